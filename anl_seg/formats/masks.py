"""Mask files: search in a folder, and conversion of pixels to labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, named
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.images import (
    ENDINGS,
    PILLOW_ENDINGS,
    TIFF_ENDINGS,
    Geometry,
    ending_of,
    read_image,
)

Labels = NDArray[np.uint8 | np.uint16]
#: Reader of the pixels of a mask and of its geometry.
Read = Callable[[Path], tuple[NDArray[Any], Geometry | None]]

MAX_LABEL = 65535
#: Largest number of labels. A file with more different values is a picture, not a mask.
MAX_DIFFERENT_LABELS = 1000
#: Largest number of undeclared labels in a picture. More values count as grey values. Volumes often
#: have more: 117 in TotalSegmentator, several hundred in brain atlases.
MAX_UNDECLARED_LABELS = 32
#: Smallest grey value beside 255. Labels start at 1, and 255 may be an ignore label. So undeclared
#: values from here to 254 beside 255 are the soft border of an interpolated mask of 0 and 255.
LOWEST_SOFT_VALUE = 128
#: Atlases in volumes may have labels up to 255 too, so there the border must be at least this share
#: of the values. About half of the values between 0 and 255 are in the upper half.
SOFT_SHARE = 1 / 3
#: Endings of files that are pictures, not volumes of a scanner.
FLAT_ENDINGS = PILLOW_ENDINGS + TIFF_ENDINGS


def find_masks(folder: Path) -> dict[str, Path]:
    """Find the masks in `folder`, by case (file name without ending), sorted by file.

    Raises:
        InputError: If the folder does not exist, contains no mask or a dangling link to a mask, or
            has two masks of the same case.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of masks")
    masks: dict[str, Path] = {}
    candidates = [path for path in sorted(folder.iterdir()) if ending_of(path)]
    check_links(folder, candidates)
    for path in candidates:
        if path.name.startswith(".") or not path.is_file():
            continue
        case = path.name[: -len(ending_of(path) or "")]
        if case in masks:
            raise InputError(
                f"{folder}: {masks[case].name} and {path.name} are the same case; keep one of them"
            )
        masks[case] = path
    if not masks:
        raise InputError(
            f"{folder}: no masks found, expected files that end in {', '.join(ENDINGS)}; "
            "give the folder that directly contains the masks"
        )
    return masks


def check_links(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse links to files that do not exist, such as git-annex's, except hidden links.

    Raises:
        InputError: If there is such a link. The message names it relative to `folder`.
    """
    dangling = [
        str(path.relative_to(folder))
        for path in paths
        if path.is_symlink() and not path.exists() and not path.name.startswith(".")
    ]
    if dangling:
        found = "1 link points" if len(dangling) == 1 else f"{len(dangling)} links point"
        raise InputError(
            f"{folder}: {found} to files that do not exist: {named(dangling)}; "
            "fetch the files (for example with git annex get) or delete the links"
        )


def read_labels(path: Path, threshold: float | None = None) -> Labels:
    """Read a label map, 2D `(H, W)` or 3D `(D, H, W)`.

    Args:
        path: The mask.
        threshold: Threshold that makes a grey mask binary, see `to_labels`.

    Raises:
        InputError: If the file cannot be read, has several channels, or contains anything but a few
            different whole numbers from 0 to 65535. The message is one line.
    """
    return read_labels_and_geometry(path, threshold)[0]


def read_labels_and_geometry(
    path: Path, threshold: float | None = None
) -> tuple[Labels, Geometry | None]:
    """Read a label map as `read_labels` does, and its geometry; None if the file has none.

    Raises:
        InputError: If `read_labels` would raise it.
    """
    pixels, geometry = read_image(path)
    return to_labels(path, pixels, threshold), geometry


def to_labels(path: Path, pixels: NDArray[Any], threshold: float | None = None) -> Labels:
    """Convert the pixels of a mask to labels, as nnU-Net would read them, and check them.

    Args:
        path: The mask, for messages.
        pixels: Values of the mask, any shape and type.
        threshold: Pixels of at least this value become 1, all others 0. A mask that contains only 0
            and 1 stays as it is.

    Raises:
        InputError: If the values are anything but a few different whole numbers from 0 to 65535.
            The message is one line.
    """
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)  # nnU-Net compares values in this type
    lowest, highest = pixels.min(), pixels.max()
    whole = pixels.dtype.kind != "f" or bool(np.all(pixels == np.rint(pixels)))
    is_binary = whole and lowest >= 0 and highest <= 1
    if threshold is not None and not is_binary and not np.isnan(highest):
        return (pixels >= threshold).view(np.uint8)
    if not (whole and lowest >= 0 and highest <= MAX_LABEL):
        raise InputError(
            f"{path}: contains values from {lowest} to {highest}, "
            f"expected whole numbers from 0 to {MAX_LABEL}; is it a mask?"
        )
    labels = pixels.astype(np.uint8 if highest <= 255 else np.uint16, copy=False)
    if highest > MAX_DIFFERENT_LABELS and np.unique(labels).size > MAX_DIFFERENT_LABELS:
        raise InputError(
            f"{path}: contains more than {MAX_DIFFERENT_LABELS} different values; is it a mask?"
        )
    return labels


def check_threshold(
    folder: Path, masks: Iterable[Path], threshold: float, read: Read = read_image
) -> None:
    """Refuse a threshold for a folder of label maps, which it would leave empty.

    In a folder of grey masks, a mask may be below the threshold everywhere. So the folder decides:
    it is grey if any mask reaches the threshold. No mask is read after that one.

    Args:
        folder: The folder, for the message.
        masks: Its masks. Those that cannot be read are skipped, because their reader reports them.
        threshold: Smallest foreground value of grey masks.
        read: Reader of the pixels of a mask and of its geometry.

    Raises:
        InputError: If all values are below the threshold and at most `MAX_UNDECLARED_LABELS`, and
            not only 0 and 1.
    """
    highest = 0.0
    for path in masks:
        with suppress(InputError):
            highest = max(highest, float(read(path)[0].max()))  # NaN is never larger
        if highest >= threshold:
            return
    if 1 < highest <= MAX_UNDECLARED_LABELS:
        raise InputError(
            f"{folder}: {highest:g} is the largest value of all masks, so --threshold "
            f"{threshold:g} would leave them empty; omit the option for label maps, or lower it"
        )


def pixels_of(labels: Labels, label: Label) -> NDArray[np.bool_]:
    """Return the pixels of a label or region in a label map."""
    return np.isin(labels, label) if isinstance(label, tuple) else labels == label


def are_grey(path: Path, values: Iterable[int]) -> bool:
    """Return whether undeclared values of a mask look like grey values from interpolation."""
    labels = set(values) - {0}
    soft = sum(LOWEST_SOFT_VALUE <= value < 255 for value in labels) if 255 in labels else 0
    if ending_of(path) in FLAT_ENDINGS:
        return soft > 0 or len(labels) > MAX_UNDECLARED_LABELS
    return soft > 0 and max(labels) == 255 and soft >= SOFT_SHARE * (len(labels) - 1)


def grey_message(
    path: Path,
    values: Iterable[int],
    otherwise: str = "declare the labels in nnU-Net's dataset.json",
) -> str:
    """Write the message for a mask that contains grey values.

    Args:
        path: The mask.
        values: All its values.
        otherwise: What to do if the values are labels.
    """
    found = sorted(set(values))
    shown = ", ".join(map(str, found[:8])) + (", …" if len(found) > 8 else "")
    return (
        f"{path}: contains the values {shown}, probably from resizing with interpolation; "
        f"add --threshold 128 to make it binary, or {otherwise}"
    )
