"""Batches of a large data set: image files read and augmented by workers of a `DataLoader`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from anl_seg.classification import order, transforms
from anl_seg.classification.batches import EVALUATION_BATCH, Batch
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.classification.transforms import Photos, Transform
from anl_seg.datasets.classification import ImageFiles
from anl_seg.errors import InputError
from anl_seg.noise.labels import NoisyLabels


@dataclass(frozen=True)
class Photographs(Dataset[tuple[Tensor, int]]):
    """Image files as tensors. The key of an item is its index and the seed of its augmentation.

    Because of the seed, an image does not depend on the worker, on the number of workers, or on
    whether the run was resumed.
    """

    files: Sequence[Path]
    transform: Transform

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        place, seed = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(_read(self.files[place])), place


class FileBatches:
    """Batches of `ImageFiles`, see `anl_seg.classification.batches.Batches`."""

    def __init__(
        self,
        data: ImageFiles,
        noisy: NoisyLabels,
        protocol: ClassificationProtocol,
        photos: Photos,
        *,
        seed: int,
        device: torch.device,
        ranks: Ranks,
        workers: int,
    ) -> None:
        normalization = protocol.normalization
        self.seed, self.device, self.ranks, self.workers = seed, device, ranks, workers
        self.side = photos.crop_px
        self.labels = torch.from_numpy(noisy.labels)
        self.mislabelled = torch.from_numpy(noisy.mislabelled)
        testing = transforms.for_testing(photos, normalization)
        self.varied = Photographs(data.train_files, transforms.for_training(photos, normalization))
        self.sets = {
            "train": (Photographs(data.train_files, testing), self.labels),
            "test": (Photographs(data.test_files, testing), torch.from_numpy(data.y_test)),
        }
        for name, further in data.further.items():
            self.sets[name] = (
                Photographs(further.files, testing),
                torch.from_numpy(further.labels),
            )
        self.slices = order.batches(len(self.labels), protocol.batch_size, ranks.rank, ranks.world)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.side, self.side, 3

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts for `plain`."""
        return tuple(self.sets)

    def training(self, epoch: int) -> Iterator[Batch]:
        """Yield the shuffled, augmented batches of an epoch, counted from 0; always the same."""
        generator = order.epoch_generator(self.seed, epoch)
        shuffled = torch.randperm(len(self.labels), generator=generator)
        seeds = torch.randint(2**62, (len(self.labels),), generator=generator)
        keys = [
            list(zip(shuffled[part].tolist(), seeds[part].tolist(), strict=True))
            for part in self.slices
        ]
        for images, places in self._load(self.varied, keys):
            yield images, self._moved(self.labels[places]), self._moved(self.mislabelled[places])

    def plain(self, part: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images without augmentation, with their labels, in order."""
        photographs, labels = self.sets[part]
        mine = range(self.ranks.rank, len(labels), self.ranks.world)
        starts = range(0, len(mine), EVALUATION_BATCH)
        keys = [
            [(place, 0) for place in mine[start : start + EVALUATION_BATCH]] for start in starts
        ]
        for images, places in self._load(photographs, keys):
            yield images, self._moved(labels[places])

    def _load(
        self, photographs: Photographs, keys: list[list[tuple[int, int]]]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        loader = DataLoader(
            photographs,
            batch_sampler=keys,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            generator=torch.Generator(),  # without it, the global one would be used
        )
        try:
            for images, places in loader:
                yield self._moved(images).contiguous(memory_format=torch.channels_last), places
        except InputError as error:  # a worker's error is wrapped in its traceback
            raise InputError(str(error).rpartition("InputError: ")[2].strip()) from error

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            rgb: Image.Image = image.convert("RGB")
            return rgb
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        raise InputError(
            f"{path} cannot be read as an image ({error}); get the data set's archive again"
        ) from error
