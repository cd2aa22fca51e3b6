"""Classification data sets: images in memory, or paths of image files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, listed

#: Class labels, (n,) int64, from 0 to K-1.
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledArrays:
    """Images, `(n, H, W, C)` uint8, and their labels, `(n,)` int64."""

    images: NDArray[np.uint8]
    labels: Labels


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """A small data set in memory.

    Attributes:
        name: Name in `DATASETS`.
        x_train: Training images, `(n, H, W, C)` uint8; C is 1 or 3.
        y_train: Clean labels of the training images, `(n,)` int64.
        x_test: Test images, `(m, H, W, C)` uint8.
        y_test: Labels of the test images, `(m,)` int64.
        classes: Names of the K classes, in the order of the labels.
        index: Position of each training image in the official order, which CIFAR-N's labels use,
            `(n,)` int64.
        further: Other sets to evaluate on, by name.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: Labels
    x_test: NDArray[np.uint8]
    y_test: Labels
    classes: tuple[str, ...]
    index: Labels
    further: Mapping[str, LabelledArrays] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LabelledFiles:
    """Image files and their labels, `(n,)` int64."""

    files: tuple[Path, ...]
    labels: Labels


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A large data set as paths of its images. Its training labels are noisy by nature.

    Attributes:
        name: Name in `DATASETS`.
        train_files: Training images.
        y_train: Labels of the training images, `(n,)` int64.
        test_files: Images of its own test set.
        y_test: Labels of the test images, `(m,)` int64.
        classes: Names of the K classes, in the order of the labels.
        further: Other sets to evaluate on, by name.
    """

    name: str
    train_files: tuple[Path, ...]
    y_train: Labels
    test_files: tuple[Path, ...]
    y_test: Labels
    classes: tuple[str, ...]
    further: Mapping[str, LabelledFiles] = field(default_factory=dict)


def checked_arrays(
    name: str,
    source: Path,
    *,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    classes: tuple[str, ...],
    shape: tuple[int, int, int],
    index: NDArray[np.int64] | None = None,
) -> ImageArrays:
    """Collect images and labels from `source` in one record, and check them.

    Args:
        name: Name of the data set.
        source: Source of the arrays, for the message.
        train: Images and labels of the training set.
        test: Images and labels of the test set.
        classes: Names of the classes.
        shape: (H, W, C) of an image.
        index: Positions of the training images in the official order; by default 0, 1, 2, ...

    Raises:
        InputError: If images are not `(n, H, W, C)` uint8, labels are not n class indices, or
            positions are not n whole numbers.
    """
    problems = [
        f"{part}: {problem}"
        for part, (images, labels) in (("training", train), ("test", test))
        for problem in _problems(images, labels, shape, len(classes))
    ]
    if index is not None and (
        index.shape != train[0].shape[:1] or index.dtype.kind not in "iu" or (index < 0).any()
    ):
        problems.append(
            "index must be a whole number of at least 0 for each training image, "
            f"got {index.dtype} of shape {index.shape}"
        )
    if problems:
        raise InputError(f"{source} is not {name}: " + listed(problems))
    return ImageArrays(
        name=name,
        x_train=train[0],
        y_train=train[1].astype(np.int64),
        x_test=test[0],
        y_test=test[1].astype(np.int64),
        classes=classes,
        index=np.arange(len(train[0])) if index is None else index.astype(np.int64),
    )


def _problems(
    images: NDArray[Any], labels: NDArray[Any], shape: tuple[int, int, int], n_classes: int
) -> list[str]:
    problems = []
    n = len(images) if images.ndim else 0
    if images.dtype != np.uint8 or images.shape[1:] != shape or not n:
        expected = "x".join(map(str, shape))
        problems.append(
            f"images must be n x {expected} uint8, got {images.dtype} of shape {images.shape}"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        problems.append(
            f"labels must be {n} whole numbers, one per image, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    elif labels.size and not 0 <= labels.min() <= labels.max() < n_classes:
        problems.append(
            f"labels must be in 0..{n_classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return problems
