"""Measurement of one case: read its masks once, check them, count and measure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.metrics import ConfusionMatrix, confusion_matrix, surface_values
from anl_seg.evaluation.surface import surfaces
from anl_seg.formats.dataset_json import Label, labels_of
from anl_seg.formats.grids import check_geometry
from anl_seg.formats.images import Geometry
from anl_seg.formats.masks import (
    Labels,
    are_grey,
    grey_message,
    pixels_of,
    read_labels_and_geometry,
)


@dataclass(frozen=True)
class Pair:
    """Files of one case. `noisy` is the training mask if it is known and not the reference."""

    case: str
    prediction: Path
    reference: Path
    noisy: Path | None = None


@dataclass(frozen=True)
class Measurements:
    """The measurements to take of every pair.

    Attributes:
        labels: Classes whose surfaces are measured; None for all labels of the pair except 0.
        ignore_label: Pixels with this label in the reference are left out.
        conventions: Conventions of the evaluation.
    """

    labels: Sequence[Label] | None
    ignore_label: int | None
    conventions: Conventions


@dataclass(frozen=True)
class Measured:
    """A prediction compared with one reference.

    Attributes:
        matrix: Pixel counts of each pair of labels.
        surface: Surface metrics of every measured class; empty if surfaces are not measured.
        absent: Surface metrics of a class that is in neither mask.
    """

    matrix: ConfusionMatrix
    surface: Mapping[Label, Mapping[str, float]]
    absent: Mapping[str, float]


@dataclass(frozen=True)
class MeasuredCase:
    """A prediction compared with its reference, and with the noisy mask if there is one.

    Attributes:
        reference: Comparison with the reference.
        noisy: Comparison with the noisy mask, if any.
        has_spacing: Whether the files state the pixel spacing.
        voxel_ml: Volume of a voxel in millilitres. None in 2D, and if the files do not state it.
    """

    reference: Measured
    noisy: Measured | None
    has_spacing: bool
    voxel_ml: float | None = None


def measure(pair: Pair, wanted: Measurements) -> MeasuredCase | list[str]:
    """Measure one case, or return a line for each problem of its files."""
    problems: list[str] = []
    images = []
    for path in filter(None, (pair.prediction, pair.reference, pair.noisy)):
        with collecting(problems):
            images.append(read_labels_and_geometry(path, wanted.conventions.threshold))
    if problems:
        return problems
    (prediction, geometry), *references = images
    results = []
    for path, reference in zip(filter(None, (pair.reference, pair.noisy)), references, strict=True):
        with collecting(problems):
            _check_grid(pair.prediction, (prediction, geometry), path, reference)
            known = geometry or reference[1]
            spacing = known.spacing if known else (1.0,) * prediction.ndim
            matrix = confusion_matrix(prediction, reference[0], wanted.ignore_label)
            _check_values(pair.prediction, matrix.prediction_labels, wanted)
            _check_values(path, matrix.reference_labels, wanted)
            results.append(_measure(matrix, prediction, reference[0], spacing, wanted))
    if problems:
        return problems
    return MeasuredCase(
        results[0],
        results[1] if pair.noisy else None,
        has_spacing=(geometry or references[0][1]) is not None,
        voxel_ml=_voxel_ml(prediction.shape, geometry or references[0][1]),
    )


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """Append the problems of an InputError to `problems` and go on, to report all at once.

    The headline of several problems is left out, because they are counted with all others.
    """
    try:
        yield
    except InputError as error:
        first, *others = str(error).splitlines()
        problems.extend(line.strip() for line in others or [first])


def _check_values(file: Path, found: set[int], wanted: Measurements) -> None:
    if are_grey(file, found.difference(*map(labels_of, wanted.labels or ()))):
        raise InputError(grey_message(file, found))


def _measure(
    matrix: ConfusionMatrix,
    prediction: Labels,
    reference: Labels,
    spacing: Sequence[float],
    wanted: Measurements,
) -> Measured:
    if not wanted.conventions.surfaces:
        return Measured(matrix, {}, {})
    labels = wanted.labels
    if labels is None:
        labels = sorted((matrix.prediction_labels | matrix.reference_labels) - {0})

    def values(predicted: NDArray[np.bool_], expected: NDArray[np.bool_]) -> dict[str, float]:
        found = surfaces(predicted, expected, spacing, wanted.conventions.tolerance)
        return surface_values(found, wanted.conventions.empty)

    kept = np.ones(reference.shape, dtype=bool)
    if wanted.ignore_label is not None:
        kept = reference != wanted.ignore_label
    nothing = np.zeros_like(kept)
    return Measured(
        matrix,
        {
            label: values(pixels_of(prediction, label) & kept, pixels_of(reference, label) & kept)
            for label in labels
        },
        values(nothing, nothing),
    )


def _check_grid(
    prediction_file: Path,
    prediction: tuple[Labels, Geometry | None],
    reference_file: Path,
    reference: tuple[Labels, Geometry | None],
) -> None:
    shapes = [image.shape for image, _ in (prediction, reference)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{prediction_file}: has {_size(shapes[0])} pixels, its reference "
            f"{reference_file} has {_size(shapes[1])}; both must be on the same grid"
        )
    check_geometry(prediction_file, prediction[1], "its reference", reference_file, reference[1])


def _voxel_ml(shape: tuple[int, ...], geometry: Geometry | None) -> float | None:
    """Compute the volume of a voxel; None for a flat 3D image, whose thickness is often a dummy."""
    if geometry is None or len(shape) != 3 or 1 in shape:
        return None
    return math.prod(geometry.spacing) / 1000


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
