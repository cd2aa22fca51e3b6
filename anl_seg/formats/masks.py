"""Mask files: which files of a folder are masks, and reading one as nnU-Net does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError

#: What Pillow reads and writes as nnU-Net does: SimpleITK takes a 1-bit PNG for 0/255 and every BMP
#: for a colour image.
PILLOW_ENDINGS = (".png", ".bmp")
#: Lossless formats, nnU-Net's among them. What ends otherwise (.json, .npz, .pkl) is no mask.
ENDINGS = (
    *PILLOW_ENDINGS,
    *(".tif", ".tiff", ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".gipl"),
)
#: Formats that say where a pixel lies and how large it is. TIFF's resolution is that of a print.
GEOMETRY_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".gipl")
#: Pillow's modes of one channel whose pixels are numbers, not indices into a palette.
PILLOW_LABEL_MODES = ("1", "L", "I", "I;16", "I;16B")

MAX_LABEL = 65535
#: More different values than any atlas has labels: a file like that is a picture.
MAX_DIFFERENT_LABELS = 1000


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of an image lie, in mm.

    Attributes:
        spacing: Distance of neighbouring pixels along each axis of the array.
        origin: Position of the first pixel, `(x, y, z)`.
        direction: The axes' directions, a matrix row by row, as SimpleITK gives it.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]


def find_masks(folder: Path) -> dict[str, Path]:
    """Map case name (file name without ending) to file for the masks in `folder`, sorted by file.

    Raises:
        InputError: If there is no such folder, no mask in it, or two masks of one case.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of masks")
    masks: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        case = path.name[: -len(ending)]
        if case in masks:
            raise InputError(
                f"{folder}: {masks[case].name} and {path.name} are the same case; keep one of them"
            )
        masks[case] = path
    if not masks:
        raise InputError(
            f"{folder}: no masks found, expected files that end in {', '.join(ENDINGS)}; "
            "give the folder in which the masks themselves lie"
        )
    return masks


def read_pixels(path: Path) -> NDArray[Any]:
    """Read the values of a one-channel image as they are stored, 2D `(H, W)` or 3D `(D, H, W)`.

    A 1-bit PNG or BMP gives bool, so its values are 0 and 1, as they are for nnU-Net.

    Raises:
        InputError: If the file cannot be read or has several channels. The message is one line.
    """
    return _read(path)[0]


def read_labels(path: Path) -> NDArray[np.uint8 | np.uint16]:
    """Read a label map, 2D `(H, W)` or 3D `(D, H, W)`.

    Raises:
        InputError: If the file cannot be read, has several channels, or holds anything but a few
            different whole numbers from 0 to 65535. The message is one line.
    """
    return read_labels_and_geometry(path)[0]


def read_labels_and_geometry(path: Path) -> tuple[NDArray[np.uint8 | np.uint16], Geometry | None]:
    """Read a label map as `read_labels` does, and where it lies; None if its format cannot say.

    Raises:
        InputError: As `read_labels`.
    """
    pixels, geometry = _read(path)
    lowest, highest = pixels.min(), pixels.max()
    whole = pixels.dtype.kind != "f" or bool(np.all(pixels == np.rint(pixels)))
    if not (whole and lowest >= 0 and highest <= MAX_LABEL):
        raise InputError(
            f"{path}: holds values from {lowest} to {highest}, "
            f"expected whole numbers from 0 to {MAX_LABEL}; is it a mask?"
        )
    labels = pixels.astype(np.uint8 if highest <= 255 else np.uint16, copy=False)
    if highest > MAX_DIFFERENT_LABELS and np.unique(labels).size > MAX_DIFFERENT_LABELS:
        raise InputError(
            f"{path}: holds more than {MAX_DIFFERENT_LABELS} different values; is it a mask?"
        )
    return labels, geometry


def _read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    try:
        return _decode(path)
    except InputError:
        raise
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(
            f"{path}: cannot be read as an image ({reason}); replace it with a whole mask"
        ) from error


def _decode(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    if path.name.lower().endswith(PILLOW_ENDINGS):
        with Image.open(path) as picture:
            if picture.mode not in PILLOW_LABEL_MODES:
                raise InputError(_colour_message(path, f"mode {picture.mode}"))
            return np.asarray(picture), None

    import SimpleITK as sitk  # takes as long to load as hundreds of PNG masks

    image: Any = sitk.ReadImage(str(path))  # Any, since SimpleITK is typed in parts only
    channels = image.GetNumberOfComponentsPerPixel()
    if channels != 1:
        raise InputError(_colour_message(path, f"{channels} channels"))
    geometry = None
    if path.name.lower().endswith(GEOMETRY_ENDINGS):
        geometry = Geometry(image.GetSpacing()[::-1], image.GetOrigin(), image.GetDirection())
    return sitk.GetArrayFromImage(image), geometry


def _colour_message(path: Path, found: str) -> str:
    return (
        f"{path}: is a colour or palette image ({found}), "
        "expected one channel that holds labels 0..K-1; convert it"
    )
