"""Pictures of cases for reports: outlines of classes, errors as filled pixels, the image below."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError, named
from anl_seg.evaluation.folders import process_map
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import Label
from anl_seg.formats.images import ENDINGS, read_picture
from anl_seg.formats.masks import Labels, read_labels
from anl_seg.progress import Track, untracked

#: Longest side of what is shown, in pixels; larger masks and pictures are thinned out to it.
MAX_SIDE = 384
#: What a picture may end with, besides the endings that SimpleITK reads.
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")
#: Pillow's modes with colours, or with grey values of 8 bits.
COLOURED = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
JPEG_QUALITY = 82
#: Grey values are spread between these percentiles, so that single bright voxels do not darken all.
GREY_PERCENTILES = (0.5, 99.5)
#: Colours of wrong pixels, red, green, blue and opacity: predicted where the reference has nothing,
#: missed, and given to another class. page.css has the same for the key.
FALSE_POSITIVE = (255, 122, 0, 150)
FALSE_NEGATIVE = (214, 40, 200, 150)
OTHER_CLASS = (235, 235, 235, 130)


@dataclass(frozen=True)
class Panel:
    """What is drawn of one prediction.

    Attributes:
        outlines: Number of the class, from 0 in the order shown -> its outline as SVG path data.
            Classes that the prediction lacks are absent.
        errors: Data URI of an image of the wrong pixels, "" if there are none.
        errors_box: Place of that image: left, top, width and height.
    """

    outlines: Mapping[int, str]
    errors: str
    errors_box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Overlay:
    """What is drawn of one case.

    Attributes:
        width: Of the coordinate system of the outlines, in pixels.
        height: Of the coordinate system of the outlines, in pixels.
        reference: Outlines of the reference, as in `Panel`.
        predictions: Method -> what is drawn of its prediction.
        picture: Data URI of the image below, or None.
        plane: Which slice of a volume this is, in words, or "".
        plane_reason: Why this slice is shown, in words, or "".
    """

    width: int
    height: int
    reference: Mapping[int, str]
    predictions: Mapping[str, Panel]
    picture: str | None
    plane: str
    plane_reason: str = ""


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case to draw.

    Attributes:
        reference: Label map, 2D `(H, W)` or 3D `(D, H, W)`.
        predictions: Method -> label map of the same shape.
        picture: Image of the case, of any size if 2D, on the masks' grid if 3D; or None.
    """

    reference: Path
    predictions: Mapping[str, Path]
    picture: Path | None = None


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


def draw_cases(
    files: Mapping[str, CaseFiles],
    labels: LabelSet,
    num_processes: int = 1,
    track: Track = untracked,
    threshold: float | None = None,
) -> dict[str, Overlay]:
    """Draw many cases.

    Args:
        files: Case -> its files.
        labels: The classes that are outlined.
        num_processes: Processes that read and draw.
        track: Wraps the cases to show progress.
        threshold: Grey masks are foreground from this value on.

    Returns:
        Case -> what is drawn of it.

    Raises:
        InputError: As `draw_overlay`.
    """
    draw = partial(
        draw_overlay,
        labels=tuple(labels.names),
        ignore_label=labels.ignore_label,
        threshold=threshold,
    )
    with process_map(num_processes) as map_:
        drawn = iter(map_(draw, files.values()))
        return {case: next(drawn) for case in track(list(files), "drawing")}


def draw_overlay(
    files: CaseFiles,
    labels: Sequence[Label],
    ignore_label: int | None = None,
    threshold: float | None = None,
) -> Overlay:
    """Outline the classes of one case in the reference and in predictions, and fill the errors.

    Of a volume, the slice along the first axis in which most pixels are wrong is shown. If no pixel
    is wrong, it is the slice with the most foreground.

    Args:
        files: The masks and the image.
        labels: The classes or regions that are outlined. The background 0 is not.
        ignore_label: Pixels with this label in the reference are never errors.
        threshold: Grey masks are foreground from this value on.

    Raises:
        InputError: If a file cannot be read, or a volume's image is on another grid.
    """
    shown = [label for label in labels if label != 0]
    reference, *predictions = (
        read_labels(path, threshold) for path in (files.reference, *files.predictions.values())
    )
    shape = reference.shape
    plane, reason = None, ""
    if len(shape) == 3:
        plane, reason = _choose_plane(reference, predictions, ignore_label)
        reference, predictions = reference[plane], [mask[plane] for mask in predictions]
    step = -(-max(reference.shape) // MAX_SIDE)
    reference, *predictions = (mask[::step, ::step] for mask in (reference, *predictions))
    height, width = reference.shape
    picture = None
    if files.picture is not None:
        picture = _picture_uri(files.picture, shape, plane, (width, height))
    panels = [_panel(reference, mask, shown, ignore_label) for mask in predictions]
    return Overlay(
        width=width,
        height=height,
        reference=_outlines(reference, shown),
        predictions=dict(zip(files.predictions, panels, strict=True)),
        picture=picture,
        plane="" if plane is None else f"slice {plane + 1} of {shape[0]}",
        plane_reason=reason,
    )


def outline(mask: NDArray[np.bool_]) -> str:
    """Outline of a mask `(H, W)` as SVG path data in pixels, x to the right, y down.

    Pixel (row, column) covers the square from (column, row) to (column + 1, row + 1). The line runs
    a quarter of a pixel inside the mask, so that even single pixels and holes have an outline.

    Example:
        >>> outline(np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool))
        'M1.25 1.25L1.25 1.75L1.75 1.75L1.75 1.25Z'
    """
    if not mask.any():
        return ""
    doubled = mask.view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return "".join(_path(contour[:, 0] / 2 + 0.25) for contour in contours)


def _path(points: NDArray[np.float64]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points.tolist()) + "Z"


def _outlines(mask: Labels, shown: Sequence[Label]) -> dict[int, str]:
    paths = {number: outline(_has(mask, label)) for number, label in enumerate(shown)}
    return {number: path for number, path in paths.items() if path}


def _has(mask: Labels, label: Label) -> NDArray[np.bool_]:
    return np.isin(mask, label) if isinstance(label, tuple) else mask == label


def _choose_plane(
    reference: Labels, predictions: Sequence[Labels], ignore_label: int | None
) -> tuple[int, str]:
    """Number of the slice to show, and why."""
    wrong = np.zeros(len(reference), dtype=np.intp)
    for prediction in predictions:
        differs = prediction != reference
        if ignore_label is not None:
            differs &= reference != ignore_label
        wrong += np.count_nonzero(differs, axis=(1, 2))
    if wrong.any():
        return int(wrong.argmax()), "most wrong pixels"
    foreground = np.count_nonzero(reference, axis=(1, 2))
    return int(foreground.argmax()), "most foreground"


def _panel(
    reference: Labels, prediction: Labels, shown: Sequence[Label], ignore_label: int | None
) -> Panel:
    errors = np.zeros((*reference.shape, 4), dtype=np.uint8)
    members = [(_has(reference, label), _has(prediction, label)) for label in shown]
    expected, predicted = (np.logical_or.reduce(masks) for masks in zip(*members, strict=True))
    wrong = np.logical_or.reduce([here != there for here, there in members])
    if ignore_label is not None:
        wrong &= reference != ignore_label
    errors[wrong] = OTHER_CLASS
    errors[wrong & ~expected] = FALSE_POSITIVE
    errors[wrong & ~predicted] = FALSE_NEGATIVE
    left, top, width, height = cv2.boundingRect(wrong.view(np.uint8))
    uri = ""
    if width:
        part = errors[top : top + height, left : left + width]
        uri = _data_uri(cv2.cvtColor(part, cv2.COLOR_RGBA2BGRA), ".png")
    return Panel(_outlines(prediction, shown), uri, (left, top, width, height))


def _data_uri(pixels: cv2.typing.MatLike, ending: str, *options: int) -> str:
    """Encode an image, blue before red as OpenCV has it, as PNG or JPEG."""
    _, encoded = cv2.imencode(ending, pixels, options)
    kind = "jpeg" if ending == ".jpg" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode()}"


def _picture_uri(
    path: Path, shape: tuple[int, ...], plane: int | None, size: tuple[int, int]
) -> str:
    picture = _read_picture(path, shape, plane)
    if max(picture.shape) > MAX_SIDE or plane is not None:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return _data_uri(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)


def _read_picture(path: Path, shape: tuple[int, ...], plane: int | None) -> NDArray[np.uint8]:
    """The image, blue before red; grey values are spread over all that a screen can show."""
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
    """Pixels as they are stored, with the colours of a palette in place of its indices."""
    if path.name.lower().endswith(PICTURE_ENDINGS):
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB") if picture.mode in COLOURED else picture)
    return read_picture(path)
