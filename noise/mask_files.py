"""Mask files: read with all that must survive, written back the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.formats.masks import GEOMETRY_ENDINGS, MAX_LABEL, PILLOW_ENDINGS, read_pixels
from anl_seg.noise.label_maps import classes_in

#: More classes than that, with no dataset.json to declare them, are taken for shades of grey.
MAX_UNDECLARED_CLASSES = 32


@dataclass(frozen=True)
class MaskImage:
    """A mask read from a file.

    Attributes:
        labels: (H, W) or (D, H, W), uint8 or uint16; a mask of 0 and 255 is read as 0 and 1, a
            volume of one slice as that slice.
        classes: The labels that occur, without background and ignore label.
        coded_255: Whether 1 stands for 255 in the file.
        dtype: The type of the pixels in the file; bool for a 1-bit image.
        spacing: Size of a pixel along every axis; ones in formats without it.
        path: The file, which also holds the geometry.
    """

    labels: NDArray[Any]
    classes: list[int]
    coded_255: bool
    dtype: np.dtype[Any]
    spacing: tuple[float, ...]
    path: Path


def read_mask(path: Path, ignore_label: int | None = None) -> MaskImage:
    """Read a binary mask (0 and 1, or 0 and 255) or a label map, 2D or 3D.

    Raises:
        InputError: If the file is no such mask. The message is one line.
    """
    if path.name.lower().endswith(".mhd"):
        raise InputError(f"{path}: a mask in two files; convert it to one, .mha or .png")
    pixels = read_pixels(path)
    if pixels.ndim not in (2, 3):
        raise InputError(f"{path}: a {pixels.ndim}D image; masks have 2 or 3 dimensions")
    labels, spacing = _whole_numbers(path, pixels), _spacing(path, pixels.ndim)
    if labels.ndim == 3 and 1 in labels.shape:
        thin = labels.shape.index(1)
        labels, spacing = labels.take(0, thin), spacing[:thin] + spacing[thin + 1 :]
    classes = classes_in(labels, ignore_label)
    coded_255 = classes == [255] and ignore_label != 1
    if coded_255:
        labels, classes = _recode(labels, ignore_label), [1]
    return MaskImage(labels, classes, coded_255, pixels.dtype, spacing, path)


def write_mask(path: Path, labels: NDArray[Any], like: MaskImage) -> None:
    """Write `labels` atomically in the coding, pixel type and geometry of `like`."""
    pixels = np.where(labels == 1, 255, labels) if like.coded_255 else labels
    pixels = pixels.astype(like.dtype)
    with atomic_path(path) as partial:
        if path.name.lower().endswith(PILLOW_ENDINGS):
            Image.fromarray(pixels).save(partial)
        else:
            header: Any = sitk.ReadImage(str(like.path))  # Any, as SimpleITK is typed in parts only
            image: Any = sitk.GetImageFromArray(pixels.reshape(header.GetSize()[::-1]))
            image.CopyInformation(header)
            for key in header.GetMetaDataKeys():
                image.SetMetaData(key, header.GetMetaData(key))
            sitk.WriteImage(image, str(partial), useCompression=True)


def _whole_numbers(path: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    lowest, highest = pixels.min(), pixels.max()
    whole = pixels.dtype.kind != "f" or bool(np.all(pixels == np.rint(pixels)))
    if not (whole and lowest >= 0 and highest <= MAX_LABEL):
        raise InputError(
            f"{path}: holds values from {lowest:g} to {highest:g}; "
            f"a mask holds whole numbers from 0 to {MAX_LABEL}"
        )
    labels: NDArray[Any] = pixels.astype(np.uint8 if highest < 256 else np.uint16, copy=False)
    return labels


def _recode(labels: NDArray[Any], ignore_label: int | None) -> NDArray[np.uint8]:
    """Turn 255 into 1, and leave the ignore label alone."""
    if ignore_label is None:
        return np.asarray(labels == 255).view(np.uint8)
    recoded = labels.astype(np.uint8)
    recoded[labels == 255] = 1
    return recoded


def _spacing(path: Path, ndim: int) -> tuple[float, ...]:
    """The spacing in the order of the axes of an array, from the header alone."""
    if not path.name.lower().endswith(GEOMETRY_ENDINGS):
        return (1.0,) * ndim
    reader: Any = sitk  # Any, as SimpleITK is typed in parts only
    reader = reader.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return tuple(reader.GetSpacing())[::-1][-ndim:]
