"""Dice of nnU-Net's online validation, from pixel counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray


@dataclass(frozen=True)
class PixelCounts:
    """Pixel counts of each foreground class or region, summed over validation batches.

    Attributes:
        true: True positives, `(K,)`.
        false: False positives, `(K,)`.
        missed: False negatives, `(K,)`.
    """

    true: NDArray[Any]
    false: NDArray[Any]
    missed: NDArray[Any]

    @property
    def predicted(self) -> NDArray[Any]:
        """Number of pixels of each class in the prediction."""
        return self.true + self.false

    @property
    def labelled(self) -> NDArray[Any]:
        """Number of pixels of each class in the labels."""
        return self.true + self.missed

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the classes that occur; NaN if none does."""
        both = self.predicted + self.labelled
        if not both.any():
            return math.nan
        return float(np.mean(2 * self.true[both > 0] / both[both > 0]))


def count_pixels(
    outputs: Sequence[Mapping[str, Any]], device: torch.device, *, distributed: bool
) -> PixelCounts:
    """Sum the counts of nnU-Net's validation steps.

    Args:
        outputs: Results of `nnUNetTrainer.validation_step`.
        device: Device of the training.
        distributed: Whether to sum over the processes of the training too.
    """
    kinds = ("tp_hard", "fp_hard", "fn_hard")
    counts = np.array([sum(each[kind] for each in outputs) for kind in kinds], dtype=float)
    if distributed:
        total = torch.from_numpy(counts).to(device)
        dist.all_reduce(total)
        counts = total.cpu().numpy()
    return PixelCounts(*counts)
