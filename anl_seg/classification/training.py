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
from anl_seg.classification.distributed import Ranks, share_buffers, sum_over_ranks
from anl_seg.classification.protocols import Protocol
from anl_seg.losses import Preset, add_l1_gradient, create

#: Images and labels to the loss of the batch, and the class predicted for each image.
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Learner:
    """A network and what trains it.

    Attributes:
        model: The network itself, for evaluation and checkpoints.
        criterion: The loss; that of T-Loss has a parameter of its own.
        optimizer: Over the parameters of both.
        step: One optimisation step.
        device: Where it all is.
        autocast: Makes the context in which the network runs.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    step: Step
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class TrainingScores:
    """Of one epoch: the mean loss, without penalties, and accuracies against the given labels.

    The accuracies are those of the predictions on which the steps were made, so on augmented images
    and with batch statistics. Without mislabelled images their accuracy is None.
    """

    loss: float
    clean_accuracy: float | None
    mislabelled_accuracy: float | None


def make_learner(
    model: nn.Module,
    loss: str,
    preset: Preset,
    protocol: Protocol,
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
            were part of the loss; L2 is weight decay of SGD, after clipping.
        protocol: The rest.
        device: Where to train.
        precision: "float32", or "bf16" for autocast; weights and loss stay in float32.
        compiled: Whether network and loss go through `torch.compile`, on one GPU into CUDA graphs.
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

    if compiled:
        mode = "reduce-overhead" if device.type == "cuda" and alone else None
        forward = torch.compile(forward, dynamic=False, mode=mode)

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        optimizer.zero_grad(set_to_none=True)
        loss, logits = forward(images, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        if preset.l1:
            add_l1_gradient(model.parameters(), preset.l1)
        nn.utils.clip_grad_norm_(parameters, protocol.clip_norm)
        optimizer.step()
        return loss.detach(), logits.detach().argmax(1)

    return Learner(model, criterion, optimizer, step, device, autocast)


def set_learning_rate(learner: Learner, protocol: Protocol, epoch: int) -> float:
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
    for images, labels, mislabelled in batches.training(epoch):
        loss, predicted = learner.step(images, labels)
        loss_sum += loss * len(labels)
        kind = 2 * mislabelled + (predicted == labels)
        tally.index_add_(0, kind, tally.new_ones(len(labels)))
    share_buffers(learner.model)
    clean_misses, clean_hits, wrong_misses, wrong_hits = sum_over_ranks(tally).tolist()
    return TrainingScores(
        sum_over_ranks(loss_sum).item() / int(tally.sum()),
        _share(clean_hits, clean_misses),
        _share(wrong_hits, wrong_misses),
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


def _share(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
