"""Training steps and epochs with their losses and accuracies, without reading or writing files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from anl_seg.classification import order
from anl_seg.classification.batches import Batch, Batches
from anl_seg.classification.cuda_graphs import GraphedStep, Step
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


@dataclass(frozen=True)
class Learner:
    """A network with its loss and optimiser.

    Attributes:
        model: The network itself, for evaluation and checkpoints.
        criterion: The loss. T-Loss has a trained parameter.
        optimizer: Optimiser of the parameters of network and loss.
        step: One optimisation step.
        device: Device of network and batches.
        autocast: Function that creates the context for the network.
        negative: The normalised negative part of the loss, if it has one.
        rate: Learning rate on the GPU, from which a CUDA graph reads it; None on other devices.
    """

    model: nn.Module
    criterion: nn.Module
    optimizer: torch.optim.Optimizer
    step: Step
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]]
    negative: Summand | None
    rate: Tensor | None


@dataclass(frozen=True)
class TrainingScores:
    """Figures of one epoch: mean loss without penalties, and accuracies against the given labels.

    Accuracies, and the box plots of `largest_gradients`, use the predictions of the training steps:
    augmented images and batch statistics. Only a loss with a normalised negative part has box
    plots. Without mislabelled images, their accuracy is None.
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
    graphed: bool = False,
    ranks: Ranks | None = None,
) -> Learner:
    """Move `model` to the device, and set up SGD, penalties and clipping of the protocol.

    The L1 penalty is added to the gradient before clipping, like a part of the loss. L2 is the
    weight decay of SGD, after clipping. The Jacobian penalty is part of the loss,
    delta / 2 |d logits / d images|^2, estimated with one random direction per step. The paper gives
    no formula for it. This one is from Hoffman et al. (arXiv:1908.02729), whom the paper cites, and
    weighs squares by delta / 2 as L2 does.

    Args:
        model: Network from `(B, C, H, W)` to logits `(B, K)`.
        loss: A name from `anl_seg.losses.names()`.
        preset: Hyper-parameters of the loss, and weights of the penalties.
        protocol: Protocol of the run.
        device: Device to train on.
        precision: "float32", or "bf16" for autocast; weights and loss stay in float32.
        compiled: Whether to use `torch.compile` for the network. Its cache then serves all losses,
            which have kernels of their own. It is not used with a Jacobian penalty, because it
            cannot differentiate twice.
        graphed: Whether to record the step as a CUDA graph, which needs a GPU. It is not used with
            several processes or a Jacobian penalty.
        ranks: Processes over which gradients are averaged.
    """
    model = model.to(device).to(memory_format=torch.channels_last)
    hyper_parameters: dict[str, Any] = dict(preset.hyper_parameters)
    criterion = create(loss, **hyper_parameters).to(device)
    on_gpu = device.type == "cuda"
    rate = torch.tensor(protocol.learning_rate, device=device) if on_gpu else None
    optimizer = torch.optim.SGD(
        [*model.parameters(), *criterion.parameters()],
        lr=protocol.learning_rate if rate is None else rate,
        momentum=protocol.momentum,
        nesterov=protocol.nesterov,
        weight_decay=preset.l2,
        fused=on_gpu or None,
    )

    def autocast() -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    network = model
    alone = ranks is None or ranks.world == 1
    if not alone:
        network = DistributedDataParallel(model, device_ids=[device.index] if on_gpu else None)

    def step_of(network: Callable[[Tensor], Tensor]) -> Step:
        def forward(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            with autocast():
                logits = network(images)
            return criterion(logits, labels), logits

        return partial(_step, forward, optimizer, list(model.parameters()), preset, protocol)

    plain = step_of(network)
    step = plain
    if compiled and not preset.jacobian:
        step = step_of(torch.compile(network, dynamic=False))
    if graphed and alone and not preset.jacobian:
        step = GraphedStep(step, plain, device)
    negative = negative_summand(criterion)
    return Learner(model, criterion, optimizer, step, device, autocast, negative, rate)


def _step(
    forward: Step,
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    preset: Preset,
    protocol: ClassificationProtocol,
    images: Tensor,
    labels: Tensor,
) -> tuple[Tensor, Tensor]:
    """Do one optimisation step. The L1 penalty is of `weights`, clipping of all parameters."""
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
        add_l1_gradient(weights, preset.delta)
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    nn.utils.clip_grad_norm_(parameters, protocol.clip_norm)
    optimizer.step()
    return loss.detach(), logits.detach()


def set_learning_rate(learner: Learner, protocol: ClassificationProtocol, epoch: int) -> float:
    """Set and return the learning rate of `epoch`, counted from 0."""
    rate = protocol.learning_rate * protocol.schedule.factor(epoch, protocol.epochs)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate if learner.rate is None else learner.rate.fill_(rate)
    return rate


def train_epoch(learner: Learner, batches: Batches, seed: int, epoch: int) -> TrainingScores:
    """Train on all batches of `epoch`; the host waits for the device only at the end.

    Randomness in the network (dropout) comes from torch's global generator, which is seeded here.
    """
    torch.manual_seed(order.epoch_seed(seed, epoch))
    learner.model.train()
    loss_sum = torch.zeros((), device=learner.device)
    seen: list[Batch] = []
    for images, labels, mislabelled in batches.training(epoch):
        loss, logits = learner.step(images, labels)
        loss_sum += loss * len(labels)
        seen.append((logits, labels, mislabelled))
    share_buffers(learner.model)
    logits, labels, mislabelled = (torch.cat(parts) for parts in zip(*seen, strict=True))
    # Images by whether they are mislabelled (2) and predicted as labelled (1).
    kinds = 2 * mislabelled + (logits.argmax(1) == labels)
    tally = sum_over_ranks(torch.bincount(kinds, minlength=4))
    clean_misses, clean_hits, wrong_misses, wrong_hits = tally.tolist()
    boxes = None
    if learner.negative is not None:
        gradients = largest_gradients(learner.negative, logits.float(), labels)
        boxes = _boxes(gradients, mislabelled)
    return TrainingScores(
        sum_over_ranks(loss_sum).item() / int(tally.sum()),
        _share(clean_hits, clean_misses),
        _share(wrong_hits, wrong_misses),
        boxes,
    )


def accuracy(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Compute the share of correctly predicted images over all processes."""
    hits = []
    seen = 0
    for logits, labels in _predict(learner, batches):
        hits.append((logits.argmax(1) == labels).sum())
        seen += len(labels)
    counts = torch.stack([torch.stack(hits).sum(), hits[0].new_tensor(seen)])
    right, number = sum_over_ranks(counts).tolist()
    return float(right / number)


def mean_probabilities(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Compute marginal class probabilities, the mean softmax over all images, `(K,)` (Fig. 2)."""
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


def _boxes(gradients: Tensor, wrong: Tensor) -> dict[str, Box]:
    values, groups = (gather_over_ranks(part).cpu().numpy() for part in (gradients, wrong))
    return describe_boxes(values, groups)


def _share(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits + misses else None
