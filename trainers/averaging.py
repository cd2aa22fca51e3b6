"""A moving average of the network's weights, which validation and prediction use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of weights, updated after each optimiser step.

        average <- d average + (1 - d) weights,    d = min(decay, (1 + n) / (10 + n))

    n is the number of earlier updates. In the first steps d is smaller, so that the average forgets
    the initial weights, as in TensorFlow's `ExponentialMovingAverage`. Buffers are not averaged.

    Args:
        parameters: The weights. They remain the optimiser's own tensors.
        decay: Decay in (0, 1), such as 0.99.

    References:
        Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM J.
        Control Optim. 1992. Tarvainen and Valpola, "Mean teachers are better role models",
        NeurIPS 2017, arXiv:1703.01780.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.updates = 0
        self.values: list[Tensor] = []

    @torch.no_grad()
    def update(self, *_: object) -> None:
        """Add the current weights to the average; the first call copies them."""
        if not self.values:
            self.values = [parameter.detach().clone() for parameter in self.parameters]
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for value, parameter in zip(self.values, self.parameters, strict=True):
            value.lerp_(parameter, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and average, bit for bit. Before the first update, do nothing."""
        if not self.values:
            return
        for parameter, value in zip(self.parameters, self.values, strict=True):
            weight = parameter.clone()
            parameter.copy_(value)
            value.copy_(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Replace the weights by the average within a block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint besides the average. Call it within `in_place`."""
        return {"weights": self.values, "updates": self.updates}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state` of a checkpoint, whose average the network has just loaded."""
        self.updates = state["updates"]
        if not self.updates:
            return
        self.values = [
            weight.to(parameter.device, copy=True)
            for parameter, weight in zip(self.parameters, state["weights"], strict=True)
        ]
        self.swap()
