"""Reader of a small data set in one `.npz` file: x_train, y_train, x_test, y_test."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.datasets.labelled_images import ImageArrays, checked_arrays
from anl_seg.errors import InputError, named

KEYS = ("x_train", "y_train", "x_test", "y_test")


def is_npz(path: Path) -> bool:
    """Return whether `path` has the ending `.npz`; the file need not exist."""
    return path.suffix == ".npz"


def read(
    name: str, path: Path, *, classes: tuple[str, ...], shape: tuple[int, int, int]
) -> ImageArrays:
    """Read a data set from an `.npz` file.

    Grey images may lack the channel axis. A subset has an array `index` with the position of each
    training image in the official order.

    Args:
        name: Name of the data set.
        path: The file.
        classes: Names of the classes.
        shape: (H, W, C) of an image.

    Raises:
        InputError: If the file is missing or damaged, or its arrays are missing or wrong.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; it must contain the arrays {', '.join(KEYS)}")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = dict(content)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a complete .npz file ({error}); write it again") from error
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise InputError(
            f"{path} lacks {named(missing)}; it must contain the arrays {', '.join(KEYS)}"
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
