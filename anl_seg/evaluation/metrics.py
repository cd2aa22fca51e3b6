"""Overlap metrics: a confusion matrix per case, counts per class from it, metrics from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: One label, or a region: several labels taken as one, as in nnU-Net's region-based training.
Label = int | tuple[int, ...]

#: With larger labels than 8 bits hold, pairs are counted by the labels' ranks, which is slower, so
#: that the table of pairs stays small.
MAX_DIRECT_LABELS = 256


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

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction is {prediction.shape}, reference is {reference.shape}")
    if ignore_label is not None:
        kept = reference != ignore_label
        prediction, reference = prediction[kept], reference[kept]
    prediction, reference = prediction.ravel(), reference.ravel()
    highest = max(int(prediction.max(initial=0)), int(reference.max(initial=0)))
    if highest < MAX_DIRECT_LABELS:
        values = np.arange(highest + 1)
    else:
        values = np.union1d(np.unique(prediction), np.unique(reference))
        prediction = np.searchsorted(values, prediction)
        reference = np.searchsorted(values, reference)
    joint = reference.astype(np.intp) * values.size + prediction
    pixels = np.bincount(joint, minlength=values.size**2).reshape(values.size, values.size)
    present = pixels.any(axis=0) | pixels.any(axis=1)
    return ConfusionMatrix(values[present], pixels[np.ix_(present, present)])


def count(matrix: ConfusionMatrix, label: Label) -> Counts:
    """Reduce a confusion matrix to the counts of one label or region against all the rest."""
    members = np.isin(matrix.values, label)
    tp = int(matrix.pixels[np.ix_(members, members)].sum())
    n_ref = int(matrix.pixels[members].sum())
    n_pred = int(matrix.pixels[:, members].sum())
    total = int(matrix.pixels.sum())
    return Counts(tp=tp, fp=n_pred - tp, fn=n_ref - tp, tn=total - n_ref - n_pred + tp)


def dice(counts: Counts) -> float:
    """Dice coefficient, 2 TP / (2 TP + FP + FN), in [0, 1]; NaN if both masks are empty.

    0/0 says nothing about how well the class is outlined: 1 would let cases without the class
    lift the mean, 0 would punish a right answer. So it is undefined, left out of means and counted
    apart, as nnU-Net leaves it out. A class found in one mask only is defined: it scores 0.
    """
    if counts.both_empty:
        return float("nan")
    return 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """Jaccard index, TP / (TP + FP + FN), in [0, 1]; NaN if both masks are empty (see `dice`)."""
    if counts.both_empty:
        return float("nan")
    return counts.tp / (counts.tp + counts.fp + counts.fn)


#: Name in every output -> function of the counts. A row added here appears in all of them.
METRICS: dict[str, Callable[[Counts], float]] = {"Dice": dice, "IoU": iou}


def scores(counts: Counts) -> dict[str, float]:
    """All figures of one case and class under nnU-Net's names: the metrics, then the counts."""
    return {
        **{name: metric(counts) for name, metric in METRICS.items()},
        "TP": counts.tp,
        "FP": counts.fp,
        "FN": counts.fn,
        "TN": counts.tn,
        "n_pred": counts.n_pred,
        "n_ref": counts.n_ref,
    }
