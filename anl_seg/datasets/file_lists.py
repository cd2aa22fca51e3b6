"""Lists of image files with labels, as in the large data sets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from anl_seg.datasets.labelled_images import LabelledFiles
from anl_seg.errors import InputError, listed


def require(paths: Iterable[Path], advice: str) -> None:
    """Raise InputError, with `advice`, unless all of these files and folders exist."""
    missing = [f"{path} is missing" for path in paths if not path.exists()]
    if missing:
        raise InputError(f"{listed(missing)}\n{advice}")


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file that are not blank.

    Raises:
        InputError: If the file is not UTF-8 text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file ({error}); get it again") from error
    return [line.strip() for line in lines if line.strip()]


def read_pairs(path: Path) -> list[tuple[str, int]]:
    """Read the pairs (name, label) of a text file, one pair per line, separated by a space.

    Raises:
        InputError: If lines have another form. The message counts them and names the first ten.
    """
    pairs = []
    problems = []
    for line in read_lines(path):
        name, _, label = line.rpartition(" ")
        if name and label.isdecimal():
            pairs.append((name.strip(), int(label)))
        else:
            problems.append(f"{path}: {line!r} is not a file name and a label")
    if problems:
        raise InputError(listed(problems, "lines that cannot be used:"))
    return pairs


def labelled_files(pairs: Iterable[tuple[Path, int]]) -> LabelledFiles:
    """Collect pairs (file, label) in one record."""
    pairs = list(pairs)
    labels = np.array([label for _, label in pairs], dtype=np.int64)
    return LabelledFiles(tuple(path for path, _ in pairs), labels)


def require_images(name: str, *parts: LabelledFiles, advice: str) -> None:
    """Check that every part has images, and that all of them exist.

    Raises:
        InputError: If a part is empty or files are missing. The message counts them and names the
            first ten.
    """
    if not all(part.files for part in parts):
        raise InputError(f"{name}: a list of images is empty.\n{advice}")
    missing = [
        f"{path} is missing" for part in parts for path in part.files if not os.path.isfile(path)
    ]
    if missing:
        raise InputError(f"{name}: {listed(missing, 'missing images:')}\n{advice}")
