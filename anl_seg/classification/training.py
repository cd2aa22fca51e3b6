"""Training: the step, the epoch, and what is measured of both; nothing of files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anl_seg.classification import order
from anl_seg.classification.batches import Batches
from anl_seg.classification.distributed import (
    Ranks,
    gather_over_ranks,
    share_buffers,
    sum_over_ranks,
)
from anl_seg.classification.gradients import (
    Box,
    describe_boxes,
    largest_gradients,
    negative_summand,
)
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.losses import Preset, add_l1_gradient, create, jacobian_norm_squared
from anl_seg.losses.functional import Summand

#: Images and labels to the loss of the batch, without penalties, and the logits of each image.
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Learner:
    """A network and what trains it.

    Attributes:
        model: The network itself, for evaluation and checkpoints.
        criterion: The loss; that of T-Loss has a parameter of its own.
        optimizer: Over the parameters of both.
        step: One optimisation step.
        device: Device of network and batches.
        autocast: Makes the context in which the network runs.
        negative: The normalised negative part of the loss, if it has one.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    step: Step
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]]
    negative: Summand | None


@dataclass(frozen=True)
class TrainingScores:
    """Figures of one epoch: mean loss without penalties, and accuracies against the given labels.

    The accuracies are those of the predictions on which the steps were made, so on augmented images
    and with batch statistics; the box plots of `largest_gradients` too, which only a loss with a
    normalised negative part has. Without mislabelled images their accuracy is None.
    """

    loss: float
    clean_accuracy: float | None
    mislabelled_accuracy: float | None
    gradients: dict[str, Box] | None


def make_learner(
    model: nn.Module,
    loss: str,
    preset: Preset,
    protocol: ClassificationProtocol,
    *,
    device: torch.device,
    precision: str = "float32",
    compiled: bool = False,
    ranks: Ranks | None = None,
) -> Learner:
    """Move `model` to the device and set up SGD, penalties and clipping as the protocol has them.

    Args:
        model: Takes `(B, C, H, W)`, gives logits `(B, K)`.
        loss: A name from `anl_seg.losses.names()`.
        preset: Its hyper-parameters; L1 is added to the gradient, before it is clipped, as if it
            were part of the loss; L2 is weight decay of SGD, after clipping. The Jacobian penalty
            is part of the loss, delta / 2 |d logits / d images|^2, estimated with one random
            direction a step: so Hoffman et al. (arXiv:1908.02729), whom the paper cites, write it,
            and so delta weighs squares as it does in L2. (The paper gives no formula.)
        protocol: The rest.
        device: Device to train on.
        precision: "float32", or "bf16" for autocast; weights and loss stay in float32.
        compiled: Whether network and loss go through `torch.compile`, on one GPU into CUDA graphs;
            with a Jacobian penalty they do not, as it cannot differentiate twice.
        ranks: Gradients are averaged over these processes.
    """
    model = model.to(device).to(memory_format=torch.channels_last)
    hyper_parameters: dict[str, Any] = dict(preset.hyper_parameters)
    criterion = create(loss, **hyper_parameters).to(device)
    parameters = [*model.parameters(), *criterion.parameters()]
    optimizer = torch.optim.SGD(
        parameters,
        lr=protocol.learning_rate,
        momentum=protocol.momentum,
        nesterov=protocol.nesterov,
        weight_decay=preset.l2,
        fused=device.type == "cuda" or None,
    )

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    network = model
    alone = ranks is None or ranks.world == 1
    if not alone:
        network = DistributedDataParallel(
            model, device_ids=[device.index] if device.type == "cuda" else None
        )

    def forward(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with autocast():
            logits = network(images)
        return criterion(logits, labels), logits

    if compiled and not preset.jacobian:
        mode = "reduce-overhead" if device.type == "cuda" and alone else None
        forward = torch.compile(forward, dynamic=False, mode=mode)

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        if preset.jacobian:
            images.requires_grad_()
        loss, logits = forward(images, labels)
        objective = loss
        if preset.jacobian:
            norm = jacobian_norm_squared(images, logits.float())
            objective = loss + preset.jacobian / 2 * norm
        objective.backward()  # type: ignore[no-untyped-call]
        if preset.delta:
            add_l1_gradient(model.parameters(), preset.delta)
        nn.utils.clip_grad_norm_(parameters, protocol.clip_norm)
        optimizer.step()
        return loss.detach(), logits.detach()

    negative = negative_summand(criterion)
    return Learner(model, criterion, optimizer, step, device, autocast, negative)


def set_learning_rate(learner: Learner, protocol: ClassificationProtocol, epoch: int) -> float:
    """Set the rate of `epoch`, counted from 0, and give it back."""
    rate = protocol.learning_rate * protocol.schedule.factor(epoch, protocol.epochs)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    return rate


def train_epoch(learner: Learner, batches: Batches, seed: int, epoch: int) -> TrainingScores:
    """Train on all batches of `epoch`; the host waits for the device only at its end.

    What is random in the network itself (dropout) comes from torch's global generator, seeded here.
    """
    torch.manual_seed(order.epoch_seed(seed, epoch))
    learner.model.train()
    loss_sum = torch.zeros((), device=learner.device)
    # Images by whether they are mislabelled (2) and predicted as labelled (1).
    tally = torch.zeros(4, device=learner.device)
    gradients, wrong = [], []
    for images, labels, mislabelled in batches.training(epoch):
        loss, logits = learner.step(images, labels)
        loss_sum += loss * len(labels)
        kind = 2 * mislabelled + (logits.argmax(1) == labels)
        tally.index_add_(0, kind, tally.new_ones(len(labels)))
        if learner.negative is not None:
            gradients.append(largest_gradients(learner.negative, logits.float(), labels))
            wrong.append(mislabelled)
    share_buffers(learner.model)
    clean_misses, clean_hits, wrong_misses, wrong_hits = sum_over_ranks(tally).tolist()
    return TrainingScores(
        sum_over_ranks(loss_sum).item() / int(tally.sum()),
        _share(clean_hits, clean_misses),
        _share(wrong_hits, wrong_misses),
        _boxes(gradients, wrong) if gradients else None,
    )


def accuracy(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Share of the images, those of all processes, whose class is predicted."""
    hits = []
    seen = 0
    for logits, labels in _predict(learner, batches):
        hits.append((logits.argmax(1) == labels).sum())
        seen += len(labels)
    counts = torch.stack([torch.stack(hits).sum(), hits[0].new_tensor(seen)])
    right, number = sum_over_ranks(counts).tolist()
    return float(right / number)


def mean_probabilities(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Marginal class probabilities: the mean softmax output over all images, `(K,)` (Fig. 2)."""
    sums = []
    seen = 0
    for logits, labels in _predict(learner, batches):
        sums.append(logits.float().softmax(1).sum(0))
        seen += len(labels)
    summed = torch.stack(sums).sum(0)
    number = sum_over_ranks(summed.new_tensor(seen))
    return (sum_over_ranks(summed) / number).cpu()


@torch.no_grad()
def _predict(
    learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]
) -> Iterable[tuple[Tensor, Tensor]]:
    learner.model.eval()
    for images, labels in batches:
        with learner.autocast():
            yield learner.model(images), labels


def _boxes(gradients: list[Tensor], wrong: list[Tensor]) -> dict[str, Box]:
    values, groups = (
        gather_over_ranks(torch.cat(parts)).cpu().numpy() for parts in (gradients, wrong)
    )
    return describe_boxes(values, groups)


def _share(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
