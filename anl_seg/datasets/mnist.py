"""MNIST, from its four official files or an `.npz` file."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anl_seg.datasets import npz
from anl_seg.datasets.labelled_images import ImageArrays, checked_arrays
from anl_seg.errors import InputError

WEBSITE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
SHAPE = (28, 28, 1)
CLASSES = tuple(map(str, range(10)))
#: First bytes of an IDX file of unsigned bytes; the number of axes follows.
MAGIC = b"\0\0\x08"


def read(root: Path) -> ImageArrays:
    """Read MNIST.

    Args:
        root: An `.npz` file, or a folder with the four files, packed (.gz) or not. Torchvision's
            root, with the files in `MNIST/raw`, is also accepted.

    Raises:
        InputError: If a file is missing or damaged.
    """
    if npz.is_npz(root):
        return npz.read("mnist", root, classes=CLASSES, shape=SHAPE)
    x_train, y_train, x_test, y_test = (_read_idx(path) for path in _find(root))
    return checked_arrays(
        "mnist",
        root,
        train=(x_train[..., None], y_train),
        test=(x_test[..., None], y_test),
        classes=CLASSES,
        shape=SHAPE,
    )


def _find(root: Path) -> list[Path]:
    for folder in (root / "MNIST" / "raw", root):
        candidates = [(folder / name, folder / f"{name}.gz") for name in FILES]
        found = [path for pair in candidates for path in pair if path.is_file()]
        if len({path.name.removesuffix(".gz") for path in found}) == len(FILES):
            return [plain if plain.is_file() else packed for plain, packed in candidates]
    raise InputError(
        f"{root}: MNIST is incomplete. Get {', '.join(f'{name}.gz' for name in FILES)} from "
        f"{WEBSITE} and put them into {root}; or give torchvision's folder, or an .npz file with "
        f"{', '.join(npz.KEYS)}"
    )


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes: magic number, sizes as big-endian int32, values."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}); get it again from {WEBSITE}") from error
    n_axes = content[3] if len(content) > 3 and content.startswith(MAGIC) else 0
    start = 4 + 4 * n_axes
    sizes = np.frombuffer(content[4:start], ">i4").tolist() if len(content) >= start else []
    if not sizes or len(content) - start != math.prod(sizes):
        raise InputError(f"{path} is not a complete IDX file; get it again from {WEBSITE}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)
