"""Targets of a report, and means over the foreground classes of a case."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from anl_seg.evaluation.folders import CaseResult
from anl_seg.evaluation.labels import LabelSet
from anl_seg.formats.dataset_json import Label

#: Name of the mean over all classes of a case except the background.
FOREGROUND = "foreground"


def targets(labels: LabelSet) -> dict[str, list[Label]]:
    """List the targets of a report: the foreground if there are several classes, then each class.

    Returns:
        The classes that each target averages, by name of the target.
    """
    foreground = [label for label in labels.names if label != 0]
    single: dict[str, list[Label]] = {labels.title(label): [label] for label in labels.names}
    return {FOREGROUND: foreground, **single} if len(foreground) > 1 else single


def target_value(
    values: Mapping[Label, Mapping[str, float]], members: Sequence[Label], metric: str
) -> float:
    """Average a metric over those classes of one case that define it; NaN if none does."""
    return defined_mean(values[label][metric] for label in members)


def case_mean(case: CaseResult, metric: str) -> float:
    """Average a metric over the foreground classes of a case that define it; NaN if none does."""
    return defined_mean(values[metric] for label, values in case.values.items() if label != 0)


def defined_mean(values: Iterable[float]) -> float:
    """Average the values that are not NaN; NaN if there are none."""
    defined = [value for value in values if not math.isnan(value)]
    return fmean(defined) if defined else math.nan
