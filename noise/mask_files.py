"""Binary masks as image files: read with all that must survive, written back the same way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.files import atomic_path
from anl_seg.noise.base import Mask

#: Lossless formats; the first that fits the end of a name counts.
ENDINGS = (".png", ".tif", ".tiff", ".nii.gz", ".nii", ".nrrd", ".mha")


@dataclass(frozen=True)
class MaskImage:
    """A mask read from a file.

    Attributes:
        mask: (H, W), bool.
        foreground: The value of the object in the file, 1 or 255.
        header: The SimpleITK image it came in, for type, geometry and metadata.
    """

    mask: Mask
    foreground: int
    header: Any


def ending_of(path: Path) -> str | None:
    """The ending of a mask file as it stands in its name, or None for any other file."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending) and not path.name.startswith("."):
            return path.name[-len(ending) :]
    return None


def read_mask(path: Path) -> MaskImage:
    """Read a binary 2D mask of values 0 and 1, or 0 and 255.

    Raises:
        InputError: If the file is no such mask.
    """
    try:
        image: Any = sitk.ReadImage(str(path))  # Any, since SimpleITK is typed in parts only
    except RuntimeError as error:
        raise InputError(
            f"{path}: is damaged or no image; replace it with a whole mask or take it away"
        ) from error
    channels = image.GetNumberOfComponentsPerPixel()
    if channels != 1:
        raise InputError(
            f"{path}: a colour or palette image ({channels} channels); "
            "convert it to one channel with the values 0 and 1, or 0 and 255"
        )
    if image.GetDimension() != 2:
        raise InputError(
            f"{path}: a {image.GetDimension()}D image of size {image.GetSize()}; "
            "only 2D masks can be corrupted so far"
        )
    values = sitk.GetArrayViewFromImage(image)
    mask = values != 0
    foreground = int(values.max()) if values.max() in (1, 255) else 1
    if np.any(values[mask] != foreground):
        raise InputError(
            f"{path}: holds the values {_listed(values)}; a binary mask holds 0 and 1, or 0 and 255"
        )
    return MaskImage(mask, foreground, image)


def write_mask(path: Path, mask: Mask, like: MaskImage) -> None:
    """Write `mask` atomically in the coding, pixel type and geometry of `like`."""
    header = like.header
    pixels = sitk.GetArrayViewFromImage(header)
    image: Any = sitk.GetImageFromArray(
        mask.astype(pixels.dtype) * pixels.dtype.type(like.foreground)
    )
    image.CopyInformation(header)
    for key in header.GetMetaDataKeys():
        image.SetMetaData(key, header.GetMetaData(key))
    with atomic_path(path) as partial:
        sitk.WriteImage(image, str(partial), useCompression=True)


def _listed(values: NDArray[Any], most: int = 8) -> str:
    found = np.unique(values)
    return ", ".join(f"{value:g}" for value in found[:most]) + (", …" if len(found) > most else "")
