"""Classification data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from anl_seg.datasets import animal10n, cifar, clothing1m, digits, mnist, webvision
from anl_seg.datasets.labelled_images import ImageArrays, ImageFiles, LabelledFiles
from anl_seg.errors import InputError, named

__all__ = ["DATASETS", "ImageArrays", "ImageFiles", "LabelledFiles", "load", "load_arrays"]

#: Default parent of the folders of data sets.
DEFAULT_ROOT = Path("data")

#: Readers of a data set's folder (or `.npz` file), by name of the data set.
DATASETS: Mapping[str, Callable[[Path], ImageArrays | ImageFiles]] = MappingProxyType(
    {
        "digits": digits.read,
        "mnist": mnist.read,
        "cifar10": partial(cifar.read, cifar.CIFAR10),
        "cifar100": partial(cifar.read, cifar.CIFAR100),
        "webvision": webvision.read,
        "animal10n": animal10n.read,
        "clothing1m": clothing1m.read,
    }
)


def load(name: str, root: Path | None = None) -> ImageArrays | ImageFiles:
    """Load a data set: small ones into memory, large ones as lists of files.

    Args:
        name: A key of `DATASETS`.
        root: Folder with the official layout, or an `.npz` file for the small sets; by default
            `data/<name>` in the current folder.

    Returns:
        Images and labels of training and test set.

    Raises:
        InputError: If the name is unknown, or the data set is missing or incomplete. The message
            says what to download, from where, and where to put it.

    Examples:
        >>> len(load("digits").classes)
        10
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; choose one of {named(sorted(DATASETS))}")
    return DATASETS[name](DEFAULT_ROOT / name if root is None else root)


def load_arrays(name: str, root: Path | None = None) -> ImageArrays:
    """Load a data set with clean labels, for which noise can be drawn: one of the small ones.

    Args:
        name: A key of `DATASETS`.
        root: Folder of the data set, as in `load`.

    Returns:
        Images and labels of training and test set.

    Raises:
        InputError: If `load` raises it, or the data set is one of the large ones.

    Examples:
        >>> len(load_arrays("digits").classes)
        10
    """
    data = load(name, root)
    if isinstance(data, ImageFiles):
        raise InputError(
            f"the labels of {name} are already noisy; choose a data set with clean ones"
        )
    return data
