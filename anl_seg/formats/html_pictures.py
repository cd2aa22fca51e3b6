"""Pictures for pages: images of cases, as data URIs, and outlines of masks as SVG paths."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError, named
from anl_seg.formats.images import ENDINGS, read_for_display, stem
from anl_seg.formats.nnunet import image_name
from anl_seg.formats.pictures import upright

#: Longest side of a shown picture, in pixels. Larger masks and images are reduced to it.
MAX_SIDE = 384
#: Endings of pictures, in addition to those that SimpleITK reads.
DISPLAY_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
#: Pillow's modes with colours, or with grey values of 8 bits.
COLOURED = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
JPEG_QUALITY = 82
#: Percentiles shown as black and white, so that single bright voxels do not darken the picture.
GREY_PERCENTILES = (0.5, 99.5)


def find_pictures(folder: Path, cases: Iterable[str]) -> dict[str, Path]:
    """Map each case to its image in `folder`, called `CASE.png` or, by nnU-Net, `CASE_0000.png`.

    Raises:
        InputError: If the folder does not exist, or any case has no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of images")
    endings = (*DISPLAY_ENDINGS, *ENDINGS)
    by_stem = {stem(path, endings): path for path in sorted(folder.iterdir()) if path.is_file()}
    found = {case: by_stem.get(image_name(case, "")) or by_stem.get(case) for case in cases}
    if missing := [case for case, path in found.items() if path is None]:
        raise InputError(
            f"{folder}: no image for {len(missing)} of {len(found)} cases: {named(missing)}; "
            "images are called CASE.png or CASE_0000.png (or .nii.gz, ...)"
        )
    return {case: path for case, path in found.items() if path is not None}


def outline(mask: NDArray[np.bool_]) -> str:
    """Trace the outline of a mask `(H, W)` as SVG path data, see `contours`.

    Examples:
        >>> outline(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool))
        'M1.25 1.25L1.25 1.75L1.75 1.75L1.75 1.25Z'
    """
    return "".join(map(_path, contours(mask)))


def contours(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Find the closed outlines of a mask `(H, W)`, including those of its holes.

    Pixel (row, column) covers the square from (column, row) to (column + 1, row + 1). The line is a
    quarter of a pixel inside the mask, so that even single pixels and holes have an outline.

    Returns:
        Corners of each outline, `(n, 2)`: column to the right and row down, in pixels.

    Examples:
        >>> contours(np.array([[False, False], [False, True]]))[0].tolist()
        [[1.25, 1.25], [1.25, 1.75], [1.75, 1.75], [1.75, 1.25]]
    """
    if not mask.any():
        return []
    doubled = mask.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    found, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [contour[:, 0] / 2 + 0.25 for contour in found]


def _path(points: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points.tolist()) + "Z"


def picture_uri(
    path: Path, shape: tuple[int, ...], plane: int | None, size: tuple[int, int]
) -> str:
    """Encode an image as a JPEG data URI, scaled to `size` if it is large or a slice.

    Args:
        path: The image. A 2D image may have any size; a 3D image must be on the mask's grid.
        shape: Shape of its mask.
        plane: Number of the slice to show, None for a 2D image.
        size: Width and height.

    Raises:
        InputError: If the file cannot be read, or a volume is on another grid.
    """
    picture = _read_picture(path, shape, plane)
    if max(picture.shape) > MAX_SIDE or plane is not None:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return data_uri(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)


def data_uri(pixels: cv2.typing.MatLike, ending: str, *options: int) -> str:
    """Encode an image with OpenCV's order of colours, blue first, as PNG or JPEG."""
    _, encoded = cv2.imencode(ending, pixels, options)
    kind = "jpeg" if ending == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _read_picture(path: Path, shape: tuple[int, ...], plane: int | None) -> NDArray[np.uint8]:
    """Read the image, blue first, with grey values stretched to the full range."""
    try:
        pixels = _decode(path)
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        raise InputError(f"{path}: cannot be read as an image ({error}); replace it") from error
    if plane is not None:
        if pixels.shape[:3] != shape:
            raise InputError(
                f"{path}: has shape {pixels.shape}, its mask {shape}; both must be on one grid"
            )
        pixels = pixels[plane]
    if pixels.dtype != np.uint8:
        low, high = np.percentile(pixels, GREY_PERCENTILES)
        spread = (pixels.astype(np.float64) - low) / max(high - low, 1e-12)
        pixels = (255 * spread.clip(0, 1)).astype(np.uint8)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels[..., 2::-1])


def _decode(path: Path) -> NDArray[Any]:
    """Read the pixels, and replace indices into a palette by its colours.

    Photos are turned as viewers do. nnU-Net does not turn its images, so their masks fit what is
    stored.
    """
    if path.name.lower().endswith(DISPLAY_ENDINGS):
        of_nnunet = stem(path, ENDINGS).endswith(image_name("", ""))
        with Image.open(path) as stored:
            picture = stored if of_nnunet else upright(stored)
            return np.asarray(picture.convert("RGB") if picture.mode in COLOURED else picture)
    return read_for_display(path)
