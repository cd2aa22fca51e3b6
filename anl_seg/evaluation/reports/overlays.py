"""Outlines of masks as SVG paths and pictures as data URIs, for the cases shown in a report."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError, named
from anl_seg.evaluation.metrics import Label
from anl_seg.formats.masks import ENDINGS, read_labels

#: Longest side of what is shown, in pixels; larger masks and pictures are thinned out to it.
MAX_SIDE = 384
#: What a picture may end with, besides the endings that SimpleITK reads.
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
#: Pillow's modes with colours, or with grey values of 8 bits.
COLOURED = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
JPEG_QUALITY = 82
#: Grey values are spread between these percentiles, so that single bright voxels do not darken all.
GREY_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Overlay:
    """What is drawn of one case.

    Attributes:
        width: Of the coordinate system of the outlines.
        height: Likewise.
        clean: Outline of the clean mask as SVG path data, "" if it is empty.
        predictions: Run -> outline of its prediction, likewise.
        picture: Data URI of the image below, or None.
        plane: Which slice of a volume this is, in words, or "".
    """

    width: int
    height: int
    clean: str
    predictions: Mapping[str, str]
    picture: str | None
    plane: str


def find_pictures(folder: Path, cases: Iterable[str]) -> dict[str, Path]:
    """Map each case to its image in `folder`: its name, or nnU-Net's (`CASE_0000.png`).

    Raises:
        InputError: If there is no such folder, or any case has no image there.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of images")
    by_stem = {_stem(path): path for path in sorted(folder.iterdir()) if path.is_file()}
    found = {case: by_stem.get(f"{case}_0000") or by_stem.get(case) for case in cases}
    if missing := [case for case, path in found.items() if path is None]:
        raise InputError(
            f"{folder}: no image for {len(missing)} of {len(found)} cases: {named(missing)}; "
            "images are called CASE.png or CASE_0000.png (or .nii.gz, ...)"
        )
    return {case: path for case, path in found.items() if path is not None}


def _stem(path: Path) -> str:
    """The file's name without an ending that images have."""
    endings = (
        ending for ending in (*PICTURE_ENDINGS, *ENDINGS) if path.name.lower().endswith(ending)
    )
    return path.name[: len(path.name) - len(next(endings, ""))]


def draw_overlay(
    reference: Path,
    predictions: Mapping[str, Path],
    labels: Sequence[Label],
    picture: Path | None = None,
) -> Overlay:
    """Outline the classes of one case in the clean mask and in predictions.

    Of a volume, the slice along the first axis with the most foreground in all masks is shown.

    Args:
        reference: File of the clean mask, a label map, 2D `(H, W)` or 3D `(D, H, W)`.
        predictions: Run -> file of a label map of the same shape.
        labels: The classes or regions that are outlined, 0 is not.
        picture: Image of the case, of any size if 2D, on the masks' grid if 3D.

    Raises:
        InputError: If a file cannot be read, or a volume's image is on another grid.
    """
    shown = [label for label in labels if label != 0]
    maps = [read_labels(path) for path in (reference, *predictions.values())]
    shape = maps[0].shape
    plane = None
    if len(shape) == 3:
        members = _members(shown)
        foreground = np.sum([np.isin(label_map, members).sum(axis=(1, 2)) for label_map in maps], 0)
        plane = int(foreground.argmax())
        maps = [label_map[plane] for label_map in maps]
    step = -(-max(shape[-2:]) // MAX_SIDE)
    maps = [label_map[::step, ::step] for label_map in maps]
    clean, *predicted = ["".join(outline(np.isin(m, label)) for label in shown) for m in maps]
    height, width = maps[0].shape
    return Overlay(
        width=width,
        height=height,
        clean=clean,
        predictions=dict(zip(predictions, predicted, strict=True)),
        picture=None if picture is None else _data_uri(picture, shape, plane, (width, height)),
        plane="" if plane is None else f"slice {plane + 1} of {shape[0]}",
    )


def outline(mask: NDArray[np.bool_]) -> str:
    """Outline of a mask `(H, W)` as SVG path data in pixels, x to the right, y down.

    Pixel (row, column) covers the square from (column, row) to (column + 1, row + 1).
    """
    padded = np.pad(mask, 1).astype(np.float64)  # outlines close at the border too
    lines = contour_generator(z=padded).lines(0.5) if mask.any() else []
    return "".join(_path(_corners(np.asarray(line) - 0.5)) for line in lines)


def _corners(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of a closed line at which it turns."""
    points = points[:-1]  # the last is the first
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(points[turns])


def _path(points: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points) + "Z"


def _members(labels: Sequence[Label]) -> list[int]:
    return [
        value for label in labels for value in (label if isinstance(label, tuple) else (label,))
    ]


def _data_uri(path: Path, shape: tuple[int, ...], plane: int | None, size: tuple[int, int]) -> str:
    picture = _read_picture(path, shape, plane)
    if max(picture.size) > MAX_SIDE or plane is not None:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _read_picture(path: Path, shape: tuple[int, ...], plane: int | None) -> Image.Image:
    """The image in colours; grey values are spread over all that a screen can show."""
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
    return Image.fromarray(pixels).convert("RGB")


def _decode(path: Path) -> NDArray[Any]:
    """Pixels as they are stored, with the colours of a palette in place of its indices."""
    if path.name.lower().endswith(PICTURE_ENDINGS):
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB") if picture.mode in COLOURED else picture)
    import SimpleITK as sitk

    image: Any = sitk.ReadImage(str(path))  # Any, since SimpleITK is typed in parts only
    return np.asarray(sitk.GetArrayFromImage(image))
