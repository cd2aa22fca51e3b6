"""Pictures of cases for reports: outlines of classes and filled errors over the image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from anl_seg.evaluation.labels import LabelSet
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.html_pictures import MAX_SIDE, data_uri, find_pictures, outline, picture_uri
from anl_seg.formats.masks import Labels, find_masks, pixels_of, read_labels
from anl_seg.processes import process_map
from anl_seg.progress import Track, untracked

#: Colours of wrong pixels (red, green, blue, opacity): predicted on background, missed, and
#: assigned to another class. page.css has the same colours for the key.
FALSE_POSITIVE = (255, 122, 0, 150)
FALSE_NEGATIVE = (214, 40, 200, 150)
OTHER_CLASS = (235, 235, 235, 130)


@dataclass(frozen=True)
class Panel:
    """Drawing of one prediction.

    Attributes:
        outlines: Outline of each class as SVG path data, by number of the class from 0 in the order
            shown. Classes that the prediction lacks are absent.
        errors: Data URI of an image of the wrong pixels, "" if there are none.
        errors_box: Position of `errors`: left, top, width and height.
    """

    outlines: Mapping[int, str]
    errors: str
    errors_box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Overlay:
    """Drawing of one case.

    Attributes:
        width: Width of the coordinate system of the outlines, in pixels.
        height: Height of the coordinate system of the outlines, in pixels.
        reference: Outlines of the reference, as in `Panel`.
        predictions: Drawing of the prediction of each method.
        picture: Data URI of the image below, or None.
        plane: Slice of a volume, in words, or "".
        plane_reason: Reason for the choice of the slice, in words, or "".
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
        predictions: Label map of each method, same shape as the reference.
        picture: Image of the case, or None. A 2D image may have any size; a 3D image must be on the
            grid of the masks.
    """

    reference: Path
    predictions: Mapping[str, Path]
    picture: Path | None = None


def check_pictures(images: Path, prediction_dirs: Iterable[Path]) -> None:
    """Check that every predicted case has an image, before the cases are scored.

    Raises:
        InputError: If a folder does not exist, or any case has no image.
    """
    cases = {case for folder in prediction_dirs for case in find_masks(folder)}
    find_pictures(images, sorted(cases))


def draw_cases(
    files: Mapping[str, CaseFiles],
    labels: LabelSet,
    num_processes: int = 1,
    track: Track = untracked,
    threshold: float | None = None,
) -> dict[str, Overlay]:
    """Draw many cases.

    Args:
        files: Files of each case.
        labels: Classes to outline.
        num_processes: Number of processes that read and draw.
        track: Wrapper of the cases that shows progress.
        threshold: Smallest foreground value of grey masks.

    Returns:
        Drawing of each case.

    Raises:
        InputError: If a file cannot be read, or a volume's image is on another grid.
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

    For a volume, the slice along the first axis with the most wrong pixels is shown. If no pixel is
    wrong, it is the slice with the most foreground.

    Args:
        files: The masks and the image.
        labels: Classes or regions to outline. The background 0 is skipped.
        ignore_label: Pixels with this label in the reference are never errors.
        threshold: Smallest foreground value of grey masks.

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
    paths = {number: outline(pixels_of(mask, label)) for number, label in enumerate(shown)}
    return {number: path for number, path in paths.items() if path}


def _choose_plane(
    reference: Labels, predictions: Sequence[Labels], ignore_label: int | None
) -> tuple[int, str]:
    """Choose the number of the slice to show, with the reason."""
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
    members = [(pixels_of(reference, label), pixels_of(prediction, label)) for label in shown]
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
