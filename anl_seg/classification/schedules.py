"""Schedules of the learning rate, as a factor of the initial rate for each epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to 0 over all epochs. The last epoch still has a positive rate."""

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0, of `epochs`."""
        return (1 + math.cos(math.pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class Exponential:
    """Decay by the factor `decay` after every epoch."""

    decay: float

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0; `epochs` has no effect."""
        return self.decay**epoch


@dataclass(frozen=True)
class Steps:
    """Decay by the factor `decay` after each of the shares `at` of all epochs."""

    decay: float
    at: tuple[float, ...]

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0, of `epochs`."""
        return self.decay ** sum(epoch >= share * epochs for share in self.at)


Schedule = Cosine | Exponential | Steps
