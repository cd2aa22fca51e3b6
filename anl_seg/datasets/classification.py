"""The classification data sets by name: which there are, and what each one gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from anl_seg.datasets import animal10n, cifar, clothing1m, digits, mnist, webvision
from anl_seg.datasets.images import ImageArrays, ImageFiles, LabelledFiles
from anl_seg.errors import InputError, named

__all__ = ["DATASETS", "ImageArrays", "ImageFiles", "LabelledFiles", "load", "load_arrays"]

#: Where a data set lies, in a folder of its name, if nothing else is said.
DEFAULT_ROOT = Path("data")

#: Name -> reader of the folder (or `.npz`) that holds the data set.
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
    """Load a data set: small ones whole, large ones as lists of files.

    Args:
        name: A key of `DATASETS`.
        root: Folder with the official layout, or an `.npz` file for the small sets; if None,
            `data/<name>` in the current folder.

    Raises:
        InputError: If there is no such data set, or it does not lie there whole: the message says
            what to get, from where, and where to put it.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}; choose one of {named(sorted(DATASETS))}")
    return DATASETS[name](DEFAULT_ROOT / name if root is None else root)


def load_arrays(name: str, root: Path | None = None) -> ImageArrays:
    """Load a data set that has clean labels, which noise can be made for: one of the small ones.

    Raises:
        InputError: As `load`, and if the data set is one of the large ones.
    """
    data = load(name, root)
    if isinstance(data, ImageFiles):
        raise InputError(f"the labels of {name} are noisy already; there are no clean ones of it")
    return data
