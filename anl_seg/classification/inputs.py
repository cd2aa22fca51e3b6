"""Images and labels of a run, from its settings."""

from __future__ import annotations

import torch

from anl_seg.classification import order
from anl_seg.classification.arrays import ArrayBatches
from anl_seg.classification.augment import ShiftFlipRotate
from anl_seg.classification.batches import Batches
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.image_files import FileBatches
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.classification.settings import ClassificationSettings
from anl_seg.classification.transforms import Photos
from anl_seg.datasets import cifar_n
from anl_seg.datasets.classification import ImageArrays, ImageFiles
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise
from anl_seg.noise.labels import NoisyLabels
from anl_seg.processes import processors

MOST_WORKERS = 8


def noisy_labels(settings: ClassificationSettings, data: ImageArrays | ImageFiles) -> NoisyLabels:
    """Load the training labels named in the settings, or draw them.

    Raises:
        InputError: If the noise is impossible for the data set, or its file is missing or wrong.
    """
    if settings.labels is not None:
        return label_noise.load(settings.labels, data.y_train)
    if isinstance(data, ImageFiles):
        if settings.noise != "clean":
            raise InputError(
                f"the labels of {data.name} are already noisy; omit --noise "
                f"{settings.noise}, or give a file of noisy labels"
            )
        images = human = None
    else:
        images = data.x_train
        human = None if settings.human is None else cifar_n.read(settings.human, data)
    return label_noise.draw(
        data.y_train,
        kind=settings.noise,
        n_classes=len(data.classes),
        eta=settings.eta,
        seed=settings.seed,
        dataset=data.name,
        images=images,
        human=human,
    )


def make_batches(
    data: ImageArrays | ImageFiles,
    noisy: NoisyLabels,
    protocol: ClassificationProtocol,
    *,
    seed: int,
    device: torch.device,
    ranks: Ranks,
    workers: int | None = None,
) -> Batches:
    """Copy a small data set to the device, or prepare to read a large one from its files.

    Args:
        data: The images.
        noisy: Training labels of the images.
        protocol: Protocol with batch size and augmentation.
        seed: Seed of order and augmentation.
        device: Device of the batches.
        ranks: Rank of this process among those that share each batch.
        workers: Number of processes that read files; by default one per processor, at most 8.

    Raises:
        InputError: If there are too few training images for one batch, or the protocol is for
            another kind of images.
    """
    if not order.batches(len(noisy.labels), protocol.batch_size, world=ranks.world):
        raise InputError(
            f"{data.name} has {len(noisy.labels)} training images for a batch size of "
            f"{protocol.batch_size} over {ranks.world} processes; each process needs at least two"
        )
    match data, protocol.augmentation:
        case ImageArrays(), ShiftFlipRotate() as augmentation:
            return ArrayBatches(
                data, noisy, protocol, augmentation, seed=seed, device=device, ranks=ranks
            )
        case ImageFiles(), Photos() as photos:
            return FileBatches(
                data,
                noisy,
                protocol,
                photos,
                seed=seed,
                device=device,
                ranks=ranks,
                workers=min(MOST_WORKERS, processors()) if workers is None else workers,
            )
    raise InputError(f"the protocol of {protocol.dataset} is not for images like {data.name}")
