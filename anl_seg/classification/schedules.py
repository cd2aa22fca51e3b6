"""Schedules of the learning rate: a rule gives each epoch a factor of the first rate."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to 0 over all epochs, so the last epoch still has a positive rate."""

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0, of `epochs`."""
        return (1 + math.cos(math.pi * epoch / epochs)) / 2


@dataclass(frozen=True)
class Exponential:
    """Multiplied by `decay` after every epoch."""

    decay: float

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0, whatever `epochs`."""
        return self.decay**epoch


@dataclass(frozen=True)
class Steps:
    """Multiplied by `decay` after each of the shares `at` of all epochs."""

    decay: float
    at: tuple[float, ...]

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of epoch `epoch`, counted from 0, of `epochs`."""
        return self.decay ** sum(epoch >= share * epochs for share in self.at)


Schedule = Cosine | Exponential | Steps
