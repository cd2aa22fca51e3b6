"""Optimisers and schedules that nnU-Net lacks, and the trained parameters of a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from anl_seg.trainers.protocols import LEARNING_RATES

#: Options, by optimiser, of the group of the loss's own parameters (T-Loss: log nu). Adam's rate is
#: the published one. T-Loss is divided by its number of pixels, so SGD gets a gradient of about
#: 1e-4. With this rate, log nu moves about as much as with Adam.
LOSS_GROUP: Mapping[str, Mapping[str, float]] = {
    "adam": {"lr": 1e-3, "weight_decay": 0.0},
    "sgd": {"lr": 1.0, "weight_decay": 0.0, "momentum": 0.9},
}
#: Largest norm of the gradient of the loss's own parameters.
LOSS_CLIP = 1.0


class DecayByEpoch(LRScheduler):
    """Schedule that multiplies the learning rate by a factor after each epoch.

    Call `step(epoch)`, as nnU-Net does with its own scheduler.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, initial_lr: float, factor: float) -> None:
        self.initial_lr = initial_lr
        self.factor = factor
        super().__init__(optimizer)

    def step(self, epoch: int | None = None) -> None:
        """Set the learning rate of `epoch`, counted from 0."""
        rate = self.initial_lr * self.factor ** (epoch or 0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def adam(
    network: nn.Module, weight_decay: float, epochs: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Create Adam with the paper's learning rate and nnU-Net's polynomial decay."""
    rate = LEARNING_RATES["adam"]
    optimizer = torch.optim.Adam(network.parameters(), rate, weight_decay=weight_decay)
    return optimizer, PolyLRScheduler(optimizer, rate, epochs)


def complete_loss_gradients(parameters: Sequence[nn.Parameter], *, distributed: bool) -> None:
    """Average the gradients of the loss's own parameters over processes, and clip them.

    DDP averages only the gradients of the network.
    """
    for parameter in parameters:
        if distributed and parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= dist.get_world_size()
    nn.utils.clip_grad_norm_(parameters, LOSS_CLIP)
