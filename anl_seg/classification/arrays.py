"""Batches of a small data set, which is stored on the device as bytes and augmented there."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import torch
from torch import Tensor

from anl_seg.classification import order
from anl_seg.classification.augment import ShiftFlipRotate, draw, gather
from anl_seg.classification.batches import EVALUATION_BATCH, Batch
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.datasets.classification import ImageArrays
from anl_seg.noise.labels import NoisyLabels

#: Batches that are augmented by one call, by type of device. A call takes a GPU longer to start
#: than to do; a CPU prefers small tensors, which stay in its cache.
BATCHES_TOGETHER = MappingProxyType({"cuda": 32})


class ArrayBatches:
    """Batches of `ImageArrays`, see `anl_seg.classification.batches.Batches`."""

    def __init__(
        self,
        data: ImageArrays,
        noisy: NoisyLabels,
        protocol: ClassificationProtocol,
        augmentation: ShiftFlipRotate,
        *,
        seed: int,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        self.augmentation = augmentation
        self.seed, self.ranks, self.device = seed, ranks, device
        self.images, self.labels, self.mislabelled, test_images, test_labels = (
            torch.from_numpy(array).to(device)
            for array in (
                data.x_train,
                noisy.labels,
                noisy.mislabelled,
                data.x_test,
                data.y_test,
            )
        )
        self.sets = {
            "train": (self.images, self.labels),
            "test": (test_images, test_labels),
        }
        for name, further in data.further.items():
            self.sets[name] = (
                torch.from_numpy(further.images).to(device),
                torch.from_numpy(further.labels).to(device),
            )
        parts = order.batches(len(self.labels), protocol.batch_size, ranks.rank, ranks.world)
        places = torch.arange(len(self.labels))
        self.places = torch.cat([places[part] for part in parts])
        self.batch_size = len(places[parts[0]])
        mean, std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1)
            for values in (protocol.normalization.mean, protocol.normalization.std)
        )
        self.scale, self.offset = 1 / (255 * std), -mean / std

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts for `plain`."""
        return tuple(self.sets)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the shuffled, augmented batches of an epoch, counted from 0; always the same."""
        generator = order.epoch_generator(self.seed, epoch)
        indices = torch.randperm(len(self.labels), generator=generator)[self.places]
        draws = draw(self.augmentation, len(self.labels), generator)[self.places]
        indices, draws = indices.to(self.device), draws.to(self.device)
        together = self.batch_size * BATCHES_TOGETHER.get(self.device.type, 1)
        for start in range(0, len(indices), together):
            part = slice(start, start + together)
            chosen = indices[part]
            several = (
                self._normalized(gather(self.images, chosen, draws[part])),
                self.labels[chosen],
                self.mislabelled[chosen],
            )
            parts = (torch.split(whole, self.batch_size) for whole in several)
            yield from zip(*parts, strict=True)

    def plain(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images without augmentation, with their labels, in order."""
        images, labels = (whole[self.ranks.rank :: self.ranks.world] for whole in self.sets[part])
        parts = (torch.split(whole, EVALUATION_BATCH) for whole in (images, labels))
        for some, their in zip(*parts, strict=True):
            yield self._normalized(some), their

    def _normalized(self, pixels: Tensor) -> Tensor:
        """Convert bytes `(B, H, W, C)` to float32 `(B, C, H, W)`, channels last in memory."""
        return torch.addcmul(self.offset, pixels.permute(0, 3, 1, 2).float(), self.scale)
