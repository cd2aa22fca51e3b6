"""Pictures of cases for reports: outlines of classes, errors as filled pixels, the image below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, named
from anl_seg.evaluation.labels import LabelSet
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.images import ENDINGS
from anl_seg.formats.masks import Labels, read_labels
from anl_seg.formats.nnunet import image_name
from anl_seg.formats.pictures import MAX_SIDE, PICTURE_ENDINGS, data_uri, outline, picture_uri
from anl_seg.processes import process_map
from anl_seg.progress import Track, untracked

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
        width: Width of the coordinate system of the outlines, in pixels.
        height: Height of the coordinate system of the outlines, in pixels.
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
    found = {case: by_stem.get(image_name(case, "")) or by_stem.get(case) for case in cases}
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
        picture = picture_uri(files.picture, shape, plane, (width, height))
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
        uri = data_uri(cv2.cvtColor(part, cv2.COLOR_RGBA2BGRA), ".png")
    return Panel(_outlines(prediction, shown), uri, (left, top, width, height))
