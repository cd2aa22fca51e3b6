"""CIFAR-10N and CIFAR-100N: human labels of CIFAR's training images."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from anl_seg.datasets import pickles
from anl_seg.datasets.labelled_images import ImageArrays, Labels
from anl_seg.errors import InputError

WEBSITE = "http://www.noisylabels.com"
#: Official file of each data set, and the labels in it that the paper uses: "Worst", "Noisy".
RELEASES = MappingProxyType(
    {
        "cifar10": ("CIFAR-10_human.pt", "worse_label"),
        "cifar100": ("CIFAR-100_human.pt", "noisy_label"),
    }
)


def read(path: Path, data: ImageArrays) -> Labels:
    """Read human labels of the training images in `data`.

    The file's clean labels must equal those of `data`. This detects another data set, or another
    order of it (such as TensorFlow's). Torch is not needed, and no code in the pickle is run.

    Args:
        path: The official `.pt` file, or its folder.
        data: CIFAR-10 or CIFAR-100, complete or a subset with its `index`.

    Returns:
        One label for each training image, `(n,)` int64.

    Raises:
        InputError: If there are no human labels for `data`, or the file is missing, damaged or in
            another order.

    Examples:
        >>> from anl_seg.datasets.classification import load_arrays
        >>> try:
        ...     read(Path("CIFAR-10_human.pt"), load_arrays("digits"))
        ... except InputError as error:
        ...     print(error)
        there are no human labels for 'digits', only for cifar10 and cifar100

    References:
        Wei et al., "Learning with Noisy Labels Revisited: A Study Using Real-World Human
        Annotations", ICLR 2022.
    """
    if data.name not in RELEASES:
        raise InputError(
            f"there are no human labels for {data.name!r}, only for {' and '.join(RELEASES)}"
        )
    name, key = RELEASES[data.name]
    file = path / name if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"{file}: no such file. Get {name} from {WEBSITE} and give its path, or its folder's"
        )
    sets = _read_pt(file)
    missing = [wanted for wanted in ("clean_label", key) if wanted not in sets]
    if missing:
        raise InputError(f"{file} lacks {', '.join(missing)}; expected {name} from {WEBSITE}")
    clean, human = (np.asarray(sets[wanted], dtype=np.int64) for wanted in ("clean_label", key))
    if data.index.max() >= min(len(clean), len(human)):
        raise InputError(
            f"{file} has {len(clean)} labels, too few for the training images of {data.name}"
        )
    different = int((clean[data.index] != data.y_train).sum())
    if different:
        raise InputError(
            f"{file}: its clean labels differ from those of {data.name} at {different} of "
            f"{len(data.y_train)} images; both must be in one order (CIFAR-N's files for torch "
            "and for TensorFlow differ)"
        )
    return human[data.index]


def _read_pt(file: Path) -> dict[str, Any]:
    """Read a dictionary of arrays from a file of `torch.save`, a zip archive with one pickle."""
    try:
        with zipfile.ZipFile(file) as bundle:
            (pickled,) = (name for name in bundle.namelist() if name.endswith("/data.pkl"))
            return dict(pickles.loads(bundle.read(pickled)))
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{file} ({file.stat().st_size} bytes) is not a file of CIFAR-N ({error}); "
            f"get it again from {WEBSITE}"
        ) from error
