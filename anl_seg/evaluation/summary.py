"""Figures over all cases: means per class, their mean over classes, and pixels pooled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from statistics import fmean

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.metrics import Counts, Label, scores


@dataclass(frozen=True)
class ClassSummary:
    """One class over all cases.

    Attributes:
        n_scored: Cases where at least one mask holds the class; the mean metrics are over these.
        n_both_empty: Cases where neither does.
        mean: Mean of each figure of `scores` over the cases where it is defined.
        pooled: The pixels of all cases taken as one image; its Dice weighs cases by their size,
            as some papers report it (T-Loss).
    """

    n_scored: int
    n_both_empty: int
    mean: Mapping[str, float]
    pooled: Counts


def summarize(evaluation: Evaluation) -> dict[Label, ClassSummary]:
    """Summarise each class over all cases."""
    return {
        label: _summarize_class([case.counts[label] for case in evaluation.cases])
        for label in evaluation.labels.names
    }


def foreground_mean(summaries: Mapping[Label, ClassSummary]) -> dict[str, float]:
    """Average the class means over all classes but the background, as nnU-Net does.

    A class that no mask holds has no mean, and then neither has the foreground: NaN.
    """
    means = [summary.mean for label, summary in summaries.items() if label != 0]
    names = next(iter(summaries.values())).mean
    return {name: fmean(mean[name] for mean in means) if means else math.nan for name in names}


def case_mean(case: CaseResult, metric: Callable[[Counts], float]) -> float:
    """Mean of a metric over the foreground classes of one case that are defined; NaN if none is."""
    return defined_mean(metric(counts) for label, counts in case.counts.items() if label != 0)


def defined_mean(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    defined = [value for value in values if not math.isnan(value)]
    return fmean(defined) if defined else math.nan


def _summarize_class(counts: list[Counts]) -> ClassSummary:
    n_both_empty = sum(case.both_empty for case in counts)
    rows = [scores(case) for case in counts]
    return ClassSummary(
        n_scored=len(counts) - n_both_empty,
        n_both_empty=n_both_empty,
        mean={name: defined_mean(row[name] for row in rows) for name in rows[0]},
        pooled=reduce(add, counts),
    )
