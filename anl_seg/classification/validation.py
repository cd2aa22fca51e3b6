"""Validation set: a share of the training images, held out to choose hyper-parameters."""

from __future__ import annotations

import dataclasses

import numpy as np

from anl_seg.datasets.classification import ImageArrays, ImageFiles
from anl_seg.datasets.labelled_images import LabelledArrays, LabelledFiles, Labels
from anl_seg.errors import InputError
from anl_seg.noise.labels import NoisyLabels

#: Names of the held-out images with the given labels, and with the correct labels.
VALIDATION, VALIDATION_CLEAN = "validation", "validation_clean"


def hold_out(
    data: ImageArrays | ImageFiles, noisy: NoisyLabels, share: float, seed: int
) -> tuple[ImageArrays | ImageFiles, NoisyLabels]:
    """Move a share of the training images to the further sets, which are only evaluated.

    The split is stratified by the given labels, because real data have no others. The same seed
    gives the same split. The clean labels of `ImageFiles` are unknown, so they get one set only.

    Args:
        data: The images.
        noisy: Training labels of the images.
        share: Share to hold out, from 0 to below 1.
        seed: Seed of the draw.

    Returns:
        The remaining images, with the held-out ones among their `further`, and their labels.

    Raises:
        InputError: If some class has too few images to be in both parts.
    """
    if not share:
        return data, noisy
    kept, held = _split(noisy, share, seed)
    rest = dataclasses.replace(noisy, labels=noisy.labels[kept], clean=noisy.clean[kept])
    given = noisy.labels[held]
    if isinstance(data, ImageFiles):
        files = LabelledFiles(tuple(data.train_files[place] for place in held), given)
        kept_files = dataclasses.replace(
            data,
            train_files=tuple(data.train_files[place] for place in kept),
            y_train=data.y_train[kept],
            further={**data.further, VALIDATION: files},
        )
        return kept_files, rest
    images = data.x_train[held]
    kept_arrays = dataclasses.replace(
        data,
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        index=data.index[kept],
        further={
            **data.further,
            VALIDATION: LabelledArrays(images, given),
            VALIDATION_CLEAN: LabelledArrays(images, noisy.clean[held]),
        },
    )
    return kept_arrays, rest


def _split(noisy: NoisyLabels, share: float, seed: int) -> tuple[Labels, Labels]:
    """Return the indices of the images to train on and of those held out, both in order."""
    from sklearn.model_selection import train_test_split  # slow to import

    try:
        kept, held = train_test_split(
            np.arange(len(noisy.labels)),
            test_size=share,
            stratify=noisy.labels,
            random_state=seed % 2**32,
        )
    except ValueError as error:
        raise InputError(f"a validation share of {share:g} cannot be held out: {error}") from error
    return np.sort(kept), np.sort(held)
