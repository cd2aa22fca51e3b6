"""One case of a data set: its files read, checked, and each class compared with the prediction."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.errors import InputError, named
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.grids import check_geometry
from anl_seg.formats.images import Geometry, read_image
from anl_seg.formats.masks import Labels, pixels_of, read_labels_and_geometry
from anl_seg.suspects.classes import Classes, Floats
from anl_seg.suspects.evidence import Evidence, measure, tempered

#: Endings of array files with probabilities.
ARRAY_ENDINGS = (".npz", ".npy")
#: Probabilities of a pixel may differ from a sum of one by this much: files hold float16.
SUM_TOLERANCE = 0.02
#: Pixels less likely than this are background wherever the masks are cropped to an object.
LIKELY = 0.01
#: Pixels kept around an object.
MARGIN = 8


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case.

    Attributes:
        case: Its name.
        label: The given label map.
        prediction: Probabilities, or a predicted label map.
        fold: The fold whose network predicted it, "" if that is unknown.
        images: Channels of its image, for the pictures only.
    """

    case: str
    label: Path
    prediction: Path
    fold: str = ""
    images: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Case:
    """The arrays of one case, all on one grid.

    Attributes:
        labels: The given label map, `(*S)`.
        probabilities: `(channels, *S)`, float32.
        predicted: The predicted label map, `(*S)`.
        spacing: Size of a pixel along each axis.
        unit: "mm" if the file says how large a pixel is, otherwise "px".
    """

    labels: Labels
    probabilities: Floats
    predicted: Labels
    spacing: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class Judged:
    """Findings of one case.

    Attributes:
        case: Its name.
        evidence: Class -> its evidence; classes in neither mask are absent.
        boxes: Class -> where both masks differ most: start and stop along each axis, in pixels.
        shape: Shape of the label map.
        spacing: Size of a pixel along each axis.
        unit: "mm" or "px".
        soft: Whether the prediction holds probabilities, not only 0 and 1.
    """

    case: str
    evidence: Mapping[Label, Evidence]
    boxes: Mapping[Label, tuple[tuple[int, int], ...]]
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    unit: str
    soft: bool


def read_case(files: CaseFiles, classes: Classes) -> Case:
    """Read one case and check that label map and probabilities fit together.

    Raises:
        InputError: If a file cannot be read, the grids or classes differ, or the probabilities are
            none. The message is one line.
    """
    labels, geometry = read_labels_and_geometry(files.label)
    labels, unknown = _known_labels(labels, classes)
    if unknown:
        raise InputError(
            f"{files.label}: holds the labels [{unknown}], expected {sorted(classes.allowed)}; "
            "correct the mask or the labels in dataset.json"
        )
    probabilities, predicted_on = read_probabilities(files.prediction, labels.shape, classes)
    check_geometry(files.prediction, predicted_on, "its label map", files.label, geometry)
    return Case(
        labels,
        probabilities,
        classes.predicted(probabilities),
        geometry.spacing if geometry else (1.0,) * labels.ndim,
        "mm" if geometry else "px",
    )


def read_probabilities(
    path: Path, shape: tuple[int, ...], classes: Classes
) -> tuple[Floats, Geometry | None]:
    """Read the probabilities of one case, `(channels, *shape)`, and their geometry.

    A label map gives probabilities of 0 and 1. A single channel is that of the only foreground
    class, from 0 to 255 if `classes.grey`. The geometry is None if the file does not state it, or
    has an axis of channels.

    Raises:
        InputError: If they do not fit the label map or the classes, or are no probabilities.
    """
    stored, geometry = read_stored(path)
    is_grey = classes.grey and stored.shape == shape and stored.dtype == np.uint8
    if stored.shape == shape and not is_grey:
        if stored.dtype.kind in "bui":
            return _of_label_map(path, stored, classes), geometry
        if np.array_equal(stored, np.rint(stored)):
            return _of_label_map(path, stored.astype(np.int64), classes), geometry
    found = stored.astype(np.float32)
    if is_grey:
        found /= 255
    if found.shape == shape and classes.channels == 2:
        found = np.stack([1 - found, found])
    if found.ndim == len(shape) + 2 and found.shape[1] == 1:  # nnU-Net's 2D: one slice
        found = found[:, 0]
    if found.shape != (classes.channels, *shape):
        raise InputError(
            f"{path}: has shape {stored.shape}, its label map {shape} and {classes.channels} "
            f"channels make {(classes.channels, *shape)}; is it of another data set?"
        )
    _check_probabilities(path, found, classes)
    return found, geometry if stored.shape == shape else None


def read_stored(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    """Read an array file or an image with the values that it holds, and the image's geometry.

    Raises:
        InputError: If it cannot be read, or its values are no real numbers.
    """
    if not path.name.lower().endswith(ARRAY_ENDINGS):
        return read_image(path)
    try:
        with path.open("rb") as file:
            content = np.load(file)
            if not isinstance(content, np.ndarray):
                name = "probabilities" if "probabilities" in content.files else content.files[0]
                content = content[name]
            array: NDArray[Any] = np.asarray(content)
    except (OSError, ValueError, EOFError, IndexError, BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: cannot be read as an array ({error}); write the probabilities again"
        ) from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{path}: holds values of type {array.dtype}, expected probabilities")
    return array, None


def _known_labels(labels: NDArray[Any], classes: Classes) -> tuple[NDArray[Any], str]:
    """Return a label map, with 1 if 255 stands for it, and its unknown labels in words."""
    values = set(np.unique(labels).tolist())
    if classes.is_binary and 255 in values - classes.allowed and values <= {0, 255}:
        return (labels == 255).astype(np.uint8), ""
    return labels, named([str(value) for value in sorted(values - classes.allowed)])


def _of_label_map(path: Path, labels: NDArray[Any], classes: Classes) -> Floats:
    labels, unknown = _known_labels(labels, classes)
    if unknown:
        others = "of all classes as .npz or .npy"
        if classes.is_binary:
            others = "as floats from 0 to 1 or uint8 from 0 to 255"
        raise InputError(
            f"{path}: predicts the labels [{unknown}], expected {sorted(classes.allowed)}; give a "
            f"mask of this data set, or probabilities {others}"
        )
    if classes.regions:
        return np.stack([pixels_of(labels, label) for label in classes.names]).astype(np.float32)
    return np.stack([labels == label for label in range(classes.channels)]).astype(np.float32)


def _check_probabilities(path: Path, found: Floats, classes: Classes) -> None:
    lowest, highest = float(found.min()), float(found.max())
    if not (lowest >= -SUM_TOLERANCE and highest <= 1 + SUM_TOLERANCE):  # NaN fails too
        raise InputError(
            f"{path}: holds values from {lowest:g} to {highest:g}, expected probabilities from 0 "
            "to 1; apply softmax (or the sigmoid for regions) before saving"
        )
    if classes.regions:
        return
    sums = found.sum(0)
    worst = float(sums.flat[np.abs(sums - 1).argmax()])
    if abs(worst - 1) > SUM_TOLERANCE:
        raise InputError(
            f"{path}: the probabilities of a pixel sum to {worst:.3g}, expected 1; "
            "save the softmax of all classes, the background among them"
        )


def judge(case: Case, classes: Classes, name: str = "", temperature: float = 1.0) -> Judged:
    """Compare each class of a case with the prediction.

    Args:
        case: The case.
        classes: The classes of the data set.
        name: Name of the case.
        temperature: Divides the log-odds of all probabilities, see `anl_seg.suspects.calibration`.
    """
    evidence, boxes = {}, {}
    judged = np.ones(case.labels.shape, dtype=bool)
    if classes.ignore_label is not None:
        judged = case.labels != classes.ignore_label
    for place, label in enumerate(classes.names):
        given = pixels_of(case.labels, label) & judged
        predicted = pixels_of(case.predicted, label) & judged
        if not (given.any() or predicted.any()):
            continue
        channel = classes.channel(case.probabilities, place)
        if temperature != 1:
            channel = tempered(channel, temperature)
        probability = np.where(judged, channel, np.float32(0))
        cut = _around(given | predicted | (probability > LIKELY))
        given, predicted, probability = given[cut], predicted[cut], probability[cut]
        foreign = [(each != 0)[cut] for each in (case.labels, case.predicted)]
        other = (predicted & ~given & foreign[0]) | (given & ~predicted & foreign[1])
        evidence[label] = measure(probability, given, predicted, case.spacing, other)
        boxes[label] = _box(given ^ predicted, cut)
    return Judged(name, evidence, boxes, case.labels.shape, case.spacing, case.unit, is_soft(case))


def is_soft(case: Case) -> bool:
    """Tell whether the prediction holds probabilities, not only 0 and 1."""
    return bool(((case.probabilities > 0) & (case.probabilities < 1)).any())


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box around a mask, with a margin."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(0, side.start - MARGIN), min(size, side.stop + MARGIN))
        for side, size in zip(box, mask.shape, strict=True)
    )


def _box(differs: NDArray[np.bool_], cut: Sequence[slice]) -> tuple[tuple[int, int], ...]:
    """Return the box around the largest piece of a mask, in pixels of the whole image, or ()."""
    pieces, count = ndimage.label(differs)
    if not count:
        return ()
    largest = int(np.bincount(pieces.ravel())[1:].argmax())
    box = ndimage.find_objects(pieces)[largest]
    return tuple(
        (side.start + place.start, side.stop + place.start)
        for side, place in zip(box, cut, strict=True)
    )
