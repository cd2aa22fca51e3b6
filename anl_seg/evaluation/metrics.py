"""The metrics: counts of one class from a confusion matrix, functions of them, and their table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anl_seg.evaluation.surface import Surfaces, assd, hd95, nsd
from anl_seg.formats.dataset_json import Label

#: Value of a metric if neither mask holds the class (0/0). "nan": undefined and not in any mean,
#: as in nnU-Net. "one": perfect, as in the ISIC challenge. "zero": the worst score.
EmptyRule = Literal["nan", "one", "zero"]

#: Below it the ISIC challenges of 2018 and later count a segmentation as failed.
ISIC_THRESHOLD = 0.65

#: With larger labels than 8 bits hold, pairs are counted by the labels' ranks, which is slower, so
#: that the table of pairs stays small.
MAX_DIRECT_LABELS = 256
#: Pixels counted at a time: what is made of them stays in the processor's cache.
CHUNK = 2**16


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each pair of labels meets in one case.

    Attributes:
        values: The labels that occur in either mask, ascending, `(L,)`.
        pixels: Pixels whose reference is `values[i]` and prediction is `values[j]`, `(L, L)`.
    """

    values: NDArray[np.intp]
    pixels: NDArray[np.intp]

    @property
    def reference_labels(self) -> set[int]:
        """The labels that occur in the reference."""
        return set(self.values[self.pixels.any(axis=1)].tolist())

    @property
    def prediction_labels(self) -> set[int]:
        """The labels that occur in the prediction."""
        return set(self.values[self.pixels.any(axis=0)].tolist())


@dataclass(frozen=True)
class Counts:
    """Pixels of one class: true and false, positive and negative."""

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
        """Pixels that the prediction gives to the class."""
        return self.tp + self.fp

    @property
    def n_ref(self) -> int:
        """Pixels that the reference gives to the class."""
        return self.tp + self.fn

    @property
    def both_empty(self) -> bool:
        """Whether neither mask holds the class."""
        return self.n_pred == 0 and self.n_ref == 0


def confusion_matrix(
    prediction: NDArray[np.integer], reference: NDArray[np.integer], ignore_label: int | None = None
) -> ConfusionMatrix:
    """Count how often each pair of labels meets, in one pass whatever the number of classes.

    Args:
        prediction: Label map of any shape, non-negative integers of up to 32 bits.
        reference: Label map of the same shape.
        ignore_label: Pixels with this label in the reference are left out, as nnU-Net does.

    Returns:
        How often each pair of labels meets; `count` gives the pixels of one class.

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
        foreground = pairs[pairs != 0]  # most pixels are background in both: these are not counted
        totals += np.bincount(foreground, minlength=size**2)
        totals[0] += pairs.size - foreground.size
    pixels = totals.reshape(size, size)
    pixels[values == ignore_label] = 0
    present = pixels.any(axis=0) | pixels.any(axis=1)
    return ConfusionMatrix(values[present], pixels[np.ix_(present, present)])


def count(matrix: ConfusionMatrix, label: Label) -> Counts:
    """Reduce a confusion matrix to the counts of one label or region against all the rest.

    Args:
        matrix: Confusion matrix of one case.
        label: A label, or a tuple of labels for a region.

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

    0/0 says nothing about how well the class is outlined: 1 would let cases without the class
    lift the mean, 0 would punish a right answer. So it is undefined, left out of means and counted
    apart, as nnU-Net leaves it out. A class found in one mask only is defined: it scores 0.

    Args:
        counts: Pixels of one class.

    Examples:
        >>> dice(Counts(tp=3, fp=1, fn=1, tn=5))
        0.75
    """
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Compute the Jaccard index, TP / (TP + FP + FN), in [0, 1]; NaN as in `dice`.

    Args:
        counts: Pixels of one class.

    Examples:
        >>> iou(Counts(tp=3, fp=1, fn=1, tn=5))
        0.6
    """
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """TP / (TP + FP), in [0, 1]; NaN if both masks are empty.

    A missed object has precision 0, not 0/0: left out of the mean, it would let a model that misses
    more look better.
    """
    return _ratio(counts.tp, counts.n_pred or counts.n_ref)


def recall(counts: Counts) -> float:
    """Sensitivity, TP / (TP + FN), in [0, 1]; NaN if both masks are empty.

    An object that only the prediction has gives recall 0, for the reason in `precision`.
    """
    return _ratio(counts.tp, counts.n_ref or counts.n_pred)


def specificity(counts: Counts) -> float:
    """TN / (TN + FP), in [0, 1]; NaN if the reference has no pixel outside the class."""
    return _ratio(counts.tn, counts.tn + counts.fp)


def relative_volume_difference(counts: Counts) -> float:
    """(n_pred - n_ref) / n_ref, at least -1; positive if too much is predicted.

    NaN if the reference is empty: a volume of nothing has no relative error.
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
        function: Takes `Counts` (metrics of overlap) or `Surfaces` (metrics of surfaces).
        higher_is_better: None if neither is: nearest to 0 is best.
        best: The value of a perfect prediction.
        worst: Worst possible value. NaN if unbounded, or if it depends on the image size.
        is_length: Whether it is a length, in the unit of the evaluation (`Conventions.unit`).
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
#: Computed only with `Conventions.surfaces`.
SURFACE_METRICS = (
    Metric("HD95", hd95, higher_is_better=False, best=0.0, worst=math.nan, is_length=True),
    Metric("ASSD", assd, higher_is_better=False, best=0.0, worst=math.nan, is_length=True),
    Metric("NSD", nsd),
)
#: Name -> metric, of both tables. A row added there appears in every output.
METRICS = {metric.name: metric for metric in (*OVERLAP_METRICS, *SURFACE_METRICS)}
#: Figures of a class that are no metrics, under nnU-Net's names.
COUNT_NAMES = ("TP", "FP", "FN", "TN", "n_pred", "n_ref")


def overlap_values(counts: Counts, empty: EmptyRule = "nan") -> dict[str, float]:
    """Compute every metric of overlap, by its name.

    Args:
        counts: Pixels of one class, in one case or pooled over several.
        empty: Value instead of 0/0 if neither mask holds the class.
    """
    values = {metric.name: metric.function(counts) for metric in OVERLAP_METRICS}
    if counts.both_empty and empty != "nan":
        for metric in OVERLAP_METRICS:
            if math.isnan(values[metric.name]):
                values[metric.name] = metric.best if empty == "one" else metric.worst
    return values


def surface_values(surfaces: Surfaces, empty: EmptyRule = "nan") -> dict[str, float]:
    """Compute every metric of surfaces, by its name; `empty` as in `overlap_values`."""
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
