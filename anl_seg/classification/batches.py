"""The interface of a data set in training, whether it lives on the device or in files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

#: Images at a time where nothing is trained.
EVALUATION_BATCH = 500

#: Images `(B, C, H, W)` float32, labels `(B,)` int64, and which labels are wrong, `(B,)` bool.
Batch = tuple[Tensor, Tensor, Tensor]


class Batches(Protocol):
    """Batches on the device, this process's share of them.

    Attributes:
        parts: Names for `plain`: "train", "test", and what else there is to evaluate on.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """Names for `plain`."""
        ...

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the shuffled, augmented batches of an epoch, counted from 0."""
        ...

    def plain(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images without augmentation, with their labels, in order."""
        ...
