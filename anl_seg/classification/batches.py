"""Interface of a data set in training, stored on the device or in files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

#: Batch size for evaluation.
EVALUATION_BATCH = 500

#: Images `(B, C, H, W)` float32, labels `(B,)` int64, and a mask of the wrong labels, `(B,)` bool.
Batch = tuple[Tensor, Tensor, Tensor]


class Batches(Protocol):
    """This process's share of the batches, on its device.

    Attributes:
        parts: Names of the parts for `plain`: "train", "test" and further sets for evaluation.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts for `plain`."""
        ...

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the shuffled, augmented batches of an epoch, counted from 0."""
        ...

    def plain(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images without augmentation, with their labels, in order."""
        ...
