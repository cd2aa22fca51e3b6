"""Binary masks as image files: read with all that must survive, written back the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.files import atomic_path
from anl_seg.masks import PILLOW_ENDINGS, read_pixels
from anl_seg.noise.base import Mask


@dataclass(frozen=True)
class MaskImage:
    """A mask read from a file.

    Attributes:
        mask: (H, W), bool.
        foreground: The value of the object in the file, 1 or 255.
        dtype: The type of the pixels; bool for a 1-bit image.
        path: The file, which also holds the geometry.
    """

    mask: Mask
    foreground: int
    dtype: np.dtype[Any]
    path: Path


def read_mask(path: Path) -> MaskImage:
    """Read a binary 2D mask of values 0 and 1, or 0 and 255.

    Raises:
        InputError: If the file is no such mask. The message is one line.
    """
    if path.name.lower().endswith(".mhd"):
        raise InputError(f"{path}: a mask in two files; convert it to one, .mha or .png")
    values = read_pixels(path)
    if values.ndim != 2:
        raise InputError(
            f"{path}: a {values.ndim}D image of {' x '.join(map(str, values.shape))} pixels; "
            "only 2D masks can be corrupted so far"
        )
    mask = values != 0
    foreground = int(values.max()) if values.max() in (1, 255) else 1
    if np.any(values[mask] != foreground):
        raise InputError(
            f"{path}: holds the values {_listed(values)}; a binary mask holds 0 and 1, or 0 and 255"
        )
    return MaskImage(mask, foreground, values.dtype, path)


def write_mask(path: Path, mask: Mask, like: MaskImage) -> None:
    """Write `mask` atomically in the coding, pixel type and geometry of `like`."""
    pixels = mask.astype(like.dtype) * like.dtype.type(like.foreground)
    with atomic_path(path) as partial:
        if path.name.lower().endswith(PILLOW_ENDINGS):
            Image.fromarray(pixels).save(partial)
        else:
            header: Any = sitk.ReadImage(str(like.path))  # Any, as SimpleITK is typed in parts only
            image: Any = sitk.GetImageFromArray(pixels)
            image.CopyInformation(header)
            for key in header.GetMetaDataKeys():
                image.SetMetaData(key, header.GetMetaData(key))
            sitk.WriteImage(image, str(partial), useCompression=True)


def _listed(values: NDArray[Any], most: int = 8) -> str:
    found = np.unique(values)
    return ", ".join(f"{value:g}" for value in found[:most]) + (", …" if len(found) > most else "")
