"""Figures over all cases: statistics per class, their mean over classes, and pixels pooled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import add
from statistics import fmean

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.metrics import Counts, Label
from anl_seg.evaluation.statistics import Statistics, describe


@dataclass(frozen=True)
class ClassSummary:
    """One class over all cases.

    Attributes:
        n_scored: Cases where at least one mask holds the class.
        n_both_empty: Cases where neither does; by the default convention they are in no mean.
        n_missed: Cases where only the reference holds the class.
        n_extra: Cases where only the prediction does.
        mean: Mean of each figure of `CaseResult.values` over the cases where it is defined.
        statistics: The same with spread and confidence interval, for each metric.
        pooled: The pixels of all cases taken as one image; its Dice weighs cases by their size,
            as some papers report it (T-Loss).
    """

    n_scored: int
    n_both_empty: int
    n_missed: int
    n_extra: int
    mean: Mapping[str, float]
    statistics: Mapping[str, Statistics]
    pooled: Counts


@lru_cache(maxsize=64)  # the terminal, the files and the page all need it
def summarize(evaluation: Evaluation) -> dict[Label, ClassSummary]:
    """Summarise each class over all cases."""
    return {label: _summarize_class(evaluation, label) for label in evaluation.labels.names}


def foreground_mean(summaries: Mapping[Label, ClassSummary]) -> dict[str, float]:
    """Average the class means over all classes but the background, as nnU-Net does.

    A class that no mask holds has no mean, and then neither has the foreground: NaN.
    """
    means = [summary.mean for label, summary in summaries.items() if label != 0]
    names = next(iter(summaries.values())).mean
    return {name: fmean(mean[name] for mean in means) if means else math.nan for name in names}


def case_mean(case: CaseResult, metric: str) -> float:
    """Mean of a metric over the foreground classes of one case that are defined; NaN if none is."""
    return defined_mean(values[metric] for label, values in case.values.items() if label != 0)


def defined_mean(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    defined = [value for value in values if not math.isnan(value)]
    return fmean(defined) if defined else math.nan


def _summarize_class(evaluation: Evaluation, label: Label) -> ClassSummary:
    counts = [case.counts[label] for case in evaluation.cases]
    values = [case.values[label] for case in evaluation.cases]
    described = describe(
        [[row[name] for row in values] for name in evaluation.metrics], evaluation.conventions.seed
    )
    return ClassSummary(
        n_scored=sum(not case.both_empty for case in counts),
        n_both_empty=sum(case.both_empty for case in counts),
        n_missed=sum(case.n_ref > 0 and case.n_pred == 0 for case in counts),
        n_extra=sum(case.n_pred > 0 and case.n_ref == 0 for case in counts),
        mean={name: defined_mean(row[name] for row in values) for name in values[0]},
        statistics=dict(zip(evaluation.metrics, described, strict=True)),
        pooled=reduce(add, counts),
    )
