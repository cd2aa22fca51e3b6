"""Mask files: read with their coding and geometry, written back in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.formats.images import read_image, write_image
from anl_seg.formats.masks import to_labels
from anl_seg.noise.label_maps import classes_in


@dataclass(frozen=True)
class MaskImage:
    """A mask read from a file.

    Attributes:
        labels: (H, W) or (D, H, W), uint8 or uint16. A mask of 0 and 255 is read as 0 and 1. A
            volume of one slice is read as this slice.
        classes: Labels that occur, without background and ignore label.
        coded_255: Whether 1 is written as 255.
        thresholded: Whether the file contains other values than the labels.
        dtype: Type of the pixels in the file; bool for a 1-bit image.
        spacing_mm: Pixel spacing along every axis; None if the file does not state it.
        path: The file, which also holds the geometry.
    """

    labels: NDArray[Any]
    classes: list[int]
    coded_255: bool
    thresholded: bool
    dtype: np.dtype[Any]
    spacing_mm: tuple[float, ...] | None
    path: Path


def read_mask(
    path: Path, ignore_label: int | None = None, threshold: float | None = None
) -> MaskImage:
    """Read a binary mask (0 and 1, or 0 and 255) or a label map, 2D or 3D.

    Args:
        path: The mask.
        ignore_label: A label that is no class.
        threshold: Threshold that makes a grey mask binary, see `anl_seg.formats.masks.to_labels`.

    Raises:
        InputError: If the file is not such a mask. The message is one line.
    """
    if path.name.lower().endswith(".mhd"):
        raise InputError(f"{path}: a mask in two files; convert it to one file, .mha or .png")
    pixels, geometry = read_image(path)
    labels: NDArray[Any] = to_labels(path, pixels, threshold)
    spacing_mm = geometry.spacing if geometry else None
    if labels.ndim == 3 and 1 in labels.shape:
        thin = labels.shape.index(1)
        labels = labels.take(0, thin)
        spacing_mm = spacing_mm and spacing_mm[:thin] + spacing_mm[thin + 1 :]
    thresholded = threshold is not None and pixels.max() > 1
    classes = classes_in(labels, ignore_label)
    if thresholded:
        holds_255 = np.can_cast(np.uint8, pixels.dtype)
        return MaskImage(labels, classes, holds_255, True, pixels.dtype, spacing_mm, path)
    coded_255 = classes == [255] and ignore_label != 1
    if coded_255:
        labels, classes = _recode(labels, ignore_label), [1]
    return MaskImage(labels, classes, coded_255, False, pixels.dtype, spacing_mm, path)


def write_mask(path: Path, labels: NDArray[Any], like: MaskImage) -> None:
    """Write `labels` atomically in the coding, pixel type and geometry of `like`."""
    pixels = np.where(labels == 1, 255, labels) if like.coded_255 else labels
    write_image(path, pixels.astype(like.dtype), like.path)


def _recode(labels: NDArray[Any], ignore_label: int | None) -> NDArray[np.uint8]:
    """Turn 255 into 1, and leave the ignore label alone."""
    if ignore_label is None:
        return np.asarray(labels == 255).view(np.uint8)
    recoded = labels.astype(np.uint8)
    recoded[labels == 255] = 1
    return recoded
