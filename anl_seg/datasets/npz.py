"""A small data set in one `.npz` file: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.datasets.images import ImageArrays, checked_arrays
from anl_seg.errors import InputError, named

KEYS = ("x_train", "y_train", "x_test", "y_test")


def is_npz(path: Path) -> bool:
    """Whether `path` names an `.npz` file, be it there or not."""
    return path.suffix == ".npz"


def read(
    name: str, path: Path, *, classes: tuple[str, ...], shape: tuple[int, int, int]
) -> ImageArrays:
    """Read a data set from an `.npz` file.

    Grey images may lack the channel axis. An array `index`, if there is one, holds the place of
    each training image in the official order: a subset carries it.

    Args:
        name: Name of the data set.
        path: The file.
        classes: Names of the classes.
        shape: (H, W, C) of an image.

    Raises:
        InputError: If the file is missing, damaged, lacks arrays or holds other ones.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it should hold the arrays {', '.join(KEYS)}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no whole .npz file ({error}); make it anew") from error
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise InputError(
            f"{path} lacks {named(missing)}; it should hold the arrays {', '.join(KEYS)}"
        )
    return checked_arrays(
        name,
        path,
        train=(_with_channel(arrays["x_train"]), arrays["y_train"]),
        test=(_with_channel(arrays["x_test"]), arrays["y_test"]),
        classes=classes,
        shape=shape,
        index=arrays.get("index"),
    )


def _with_channel(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images
