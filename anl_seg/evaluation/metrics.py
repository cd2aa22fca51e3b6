"""Metrics: counts of a class from a confusion matrix, functions of the counts, and their table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anl_seg.evaluation.surface import Surfaces, assd, hd95, nsd
from anl_seg.formats.dataset_json import Label

#: Value of a metric if the class is in neither mask (0/0). "nan": undefined and left out of means,
#: as in nnU-Net. "one": perfect, as in the ISIC challenge. "zero": the worst score.
EmptyRule = Literal["nan", "one", "zero"]

#: Jaccard index below which the ISIC challenges since 2018 count a segmentation as failed.
ISIC_THRESHOLD = 0.65

#: For labels above 8 bits, pairs are counted by the labels' ranks. This is slower, but keeps the
#: table of pairs small.
MAX_DIRECT_LABELS = 256
#: Pixels counted at a time, so that temporary arrays stay in the processor's cache.
CHUNK = 2**16


@dataclass(frozen=True)
class ConfusionMatrix:
    """Pixel counts of each pair of labels in one case.

    Attributes:
        values: The labels that occur in either mask, ascending, `(L,)`.
        pixels: Number of pixels with reference `values[i]` and prediction `values[j]`, `(L, L)`.
    """

    values: NDArray[np.intp]
    pixels: NDArray[np.intp]

    @property
    def reference_labels(self) -> set[int]:
        """Labels that occur in the reference."""
        return set(self.values[self.pixels.any(axis=1)].tolist())

    @property
    def prediction_labels(self) -> set[int]:
        """Labels that occur in the prediction."""
        return set(self.values[self.pixels.any(axis=0)].tolist())


@dataclass(frozen=True)
class Counts:
    """Pixel counts of one class: true and false, positive and negative.

    Attributes:
        tp: Pixels of the class in both masks.
        fp: Pixels of the class in the prediction only.
        fn: Pixels of the class in the reference only.
        tn: Pixels of the class in neither mask.

    Examples:
        >>> Counts(tp=3, fp=1, fn=1, tn=5).n_ref
        4
    """

    tp: int
    fp: int
    fn: int
    tn: int

    def __add__(self, other: Counts) -> Counts:
        """Pool the pixels of two cases."""
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def n_pred(self) -> int:
        """Number of pixels of the class in the prediction."""
        return self.tp + self.fp

    @property
    def n_ref(self) -> int:
        """Number of pixels of the class in the reference."""
        return self.tp + self.fn

    @property
    def both_empty(self) -> bool:
        """Whether the class is in neither mask."""
        return self.n_pred == 0 and self.n_ref == 0


def confusion_matrix(
    prediction: NDArray[np.integer], reference: NDArray[np.integer], ignore_label: int | None = None
) -> ConfusionMatrix:
    """Count the pixels of each pair of labels, in one pass for any number of classes.

    Args:
        prediction: Label map of any shape, non-negative integers of up to 32 bits.
        reference: Label map of the same shape.
        ignore_label: Pixels with this label in the reference are left out, as nnU-Net does.

    Returns:
        Pixel counts of each pair of labels. `count` reduces them to one class.

    Raises:
        ValueError: If the shapes differ.

    Examples:
        >>> confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])).pixels.tolist()
        [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction is {prediction.shape}, reference is {reference.shape}")
    prediction, reference = prediction.ravel(), reference.ravel()
    highest = max(int(prediction.max(initial=0)), int(reference.max(initial=0)))
    if highest < MAX_DIRECT_LABELS:
        values = np.arange(highest + 1)
    else:
        values = np.union1d(np.unique(prediction), np.unique(reference))
        prediction = np.searchsorted(values, prediction)
        reference = np.searchsorted(values, reference)
    size = values.size
    pair_type = np.uint16 if size <= MAX_DIRECT_LABELS else np.intp
    totals = np.zeros(size**2, dtype=np.intp)
    for start in range(0, reference.size, CHUNK):
        part = slice(start, start + CHUNK)
        pairs = reference[part].astype(pair_type) * pair_type(size) + prediction[part]
        foreground = pairs[pairs != 0]  # skip the many pixels that are background in both
        totals += np.bincount(foreground, minlength=size**2)
        totals[0] += pairs.size - foreground.size
    pixels = totals.reshape(size, size)
    pixels[values == ignore_label] = 0
    present = pixels.any(axis=0) | pixels.any(axis=1)
    return ConfusionMatrix(values[present], pixels[np.ix_(present, present)])


def count(matrix: ConfusionMatrix, label: Label) -> Counts:
    """Reduce a confusion matrix to the counts of one label or region against the rest.

    Args:
        matrix: Confusion matrix of one case.
        label: A label, or a tuple of labels for a region.

    Returns:
        Pixel counts of the label or region.

    Examples:
        >>> matrix = confusion_matrix(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
        >>> count(matrix, 1)
        Counts(tp=1, fp=1, fn=0, tn=2)
    """
    members = np.isin(matrix.values, label)
    tp = int(matrix.pixels[np.ix_(members, members)].sum())
    n_ref = int(matrix.pixels[members].sum())
    n_pred = int(matrix.pixels[:, members].sum())
    total = int(matrix.pixels.sum())
    return Counts(tp=tp, fp=n_pred - tp, fn=n_ref - tp, tn=total - n_ref - n_pred + tp)


def dice(counts: Counts) -> float:
    """Compute the Dice coefficient, 2 TP / (2 TP + FP + FN), in [0, 1]; NaN if both are empty.

    If both masks are empty, Dice is 0/0. A value of 1 would let cases without the class raise the
    mean, and 0 would punish a correct answer. So it is undefined, left out of means as in nnU-Net,
    and counted separately. If only one mask has the class, Dice is 0.

    Args:
        counts: Pixel counts of one class.

    Returns:
        Dice, in [0, 1] or NaN.

    Examples:
        >>> dice(Counts(tp=3, fp=1, fn=1, tn=5))
        0.75
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Compute the Jaccard index, TP / (TP + FP + FN), in [0, 1]; NaN as in `dice`.

    Args:
        counts: Pixel counts of one class.

    Returns:
        Jaccard index, in [0, 1] or NaN.

    Examples:
        >>> iou(Counts(tp=3, fp=1, fn=1, tn=5))
        0.6
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """Compute precision, TP / (TP + FP), in [0, 1]; NaN if both masks are empty.

    A missed object has precision 0, not 0/0. If it were left out of the mean, a model that misses
    more objects would look better.
    """
    return _ratio(counts.tp, counts.n_pred or counts.n_ref)


def recall(counts: Counts) -> float:
    """Compute recall (sensitivity), TP / (TP + FN), in [0, 1]; NaN if both masks are empty.

    An object that is only in the prediction has recall 0, for the reason given in `precision`.
    """
    return _ratio(counts.tp, counts.n_ref or counts.n_pred)


def specificity(counts: Counts) -> float:
    """Compute specificity, TN / (TN + FP), in [0, 1]; NaN if the reference is all of the class."""
    return _ratio(counts.tn, counts.tn + counts.fp)


def relative_volume_difference(counts: Counts) -> float:
    """Compute (n_pred - n_ref) / n_ref, at least -1; positive if too much is predicted.

    It is NaN if the reference is empty, because an empty volume has no relative error.
    """
    return _ratio(counts.n_pred - counts.n_ref, counts.n_ref)


def thresholded_jaccard(counts: Counts) -> float:
    """Compute the ISIC challenges' Jaccard index: 0 below 0.65, the agreement of experts."""
    value = iou(counts)
    return 0.0 if value < ISIC_THRESHOLD else value


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


@dataclass(frozen=True)
class Metric:
    """One row of a table of metrics.

    Attributes:
        name: Name of the metric in every output.
        function: Function of `Counts` (overlap metrics) or of `Surfaces` (surface metrics).
        higher_is_better: Whether higher values are better. None if the value nearest to 0 is best.
        best: Value of a perfect prediction.
        worst: Worst possible value. NaN if unbounded, or if it depends on the image size.
        is_length: Whether the metric is a length in the unit of `Conventions.unit`.
    """

    name: str
    function: Callable[[Any], float]
    higher_is_better: bool | None = True
    best: float = 1.0
    worst: float = 0.0
    is_length: bool = False


OVERLAP_METRICS = (
    Metric("Dice", dice),
    Metric("IoU", iou),
    Metric("Precision", precision),
    Metric("Recall", recall),
    Metric("Specificity", specificity),
    Metric("RVD", relative_volume_difference, higher_is_better=None, best=0.0, worst=math.nan),
    Metric("TJ", thresholded_jaccard),
)
#: Surface metrics, computed only with `Conventions.surfaces`.
SURFACE_METRICS = (
    Metric("HD95", hd95, higher_is_better=False, best=0.0, worst=math.nan, is_length=True),
    Metric("ASSD", assd, higher_is_better=False, best=0.0, worst=math.nan, is_length=True),
    Metric("NSD", nsd),
)
#: Metrics of both tables by name. A row added there appears in every output.
METRICS = {metric.name: metric for metric in (*OVERLAP_METRICS, *SURFACE_METRICS)}
#: Counts of a class, under nnU-Net's names.
COUNT_NAMES = ("TP", "FP", "FN", "TN", "n_pred", "n_ref")


def overlap_values(counts: Counts, empty: EmptyRule = "nan") -> dict[str, float]:
    """Compute every overlap metric, by name.

    Args:
        counts: Pixel counts of one class, in one case or pooled over several.
        empty: Rule that replaces 0/0 if the class is in neither mask.
    """
    values = {metric.name: metric.function(counts) for metric in OVERLAP_METRICS}
    if counts.both_empty and empty != "nan":
        for metric in OVERLAP_METRICS:
            if math.isnan(values[metric.name]):
                values[metric.name] = metric.best if empty == "one" else metric.worst
    return values


def surface_values(surfaces: Surfaces, empty: EmptyRule = "nan") -> dict[str, float]:
    """Compute every surface metric, by name; `empty` is as in `overlap_values`."""
    if surfaces.both_empty and empty == "one":
        return {metric.name: metric.best for metric in SURFACE_METRICS}
    if surfaces.both_empty and empty == "zero":
        return {
            metric.name: surfaces.diagonal if metric.is_length else metric.worst
            for metric in SURFACE_METRICS
        }
    return {metric.name: metric.function(surfaces) for metric in SURFACE_METRICS}


def count_values(counts: Counts) -> dict[str, float]:
    """Return the numbers of pixels under nnU-Net's names."""
    return {name: getattr(counts, name.lower()) for name in COUNT_NAMES}
