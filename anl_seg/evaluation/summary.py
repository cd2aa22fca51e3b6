"""Figures over all cases: statistics per class, their mean over classes, and pixels pooled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from statistics import fmean

from anl_seg.evaluation.folders import Evaluation
from anl_seg.evaluation.foreground import defined_mean, target_value, targets
from anl_seg.evaluation.memorisation import Memorisation, memorisation
from anl_seg.evaluation.metrics import Counts, overlap_values
from anl_seg.evaluation.statistics import Statistics, describe
from anl_seg.formats.dataset_json import Label


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


@dataclass(frozen=True)
class TargetSummary:
    """A class or the foreground over all cases, as reports show it.

    Attributes:
        statistics: Metric -> statistics over cases. For the foreground, the metric of a case is the
            mean over its classes.
        pooled: Metric of overlap -> value with the pixels of all cases as one image. For the
            foreground, the mean over the classes.
    """

    statistics: Mapping[str, Statistics]
    pooled: Mapping[str, float]


@dataclass(frozen=True)
class EvaluationSummary:
    """An evaluation with all that is computed from it, for terminal, files and page alike.

    Attributes:
        evaluation: The cases and how they were scored.
        classes: Class -> its figures over all cases.
        targets: Name of a class or of the foreground -> its statistics, the foreground first.
        foreground_mean: nnU-Net's mean over the means of the classes, for each figure of a case.
        memorisation: Dice against clean and noisy masks by kind of noise. Empty without a noise
            manifest.
    """

    evaluation: Evaluation
    classes: Mapping[Label, ClassSummary]
    targets: Mapping[str, TargetSummary]
    foreground_mean: Mapping[str, float]
    memorisation: tuple[Memorisation, ...]


def summarize(evaluation: Evaluation) -> EvaluationSummary:
    """Compute all figures over the cases of an evaluation, once.

    Args:
        evaluation: Result of `evaluate_folders`.

    Returns:
        What `write_results`, `write_report` and the tables of the terminal take.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from anl_seg.evaluation import evaluate_folders
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 8), 1).save(Path(folder, "case.png"))
        ...     summary = summarize(evaluate_folders(Path(folder), Path(folder)))
        >>> summary.foreground_mean["Dice"]
        1.0
    """
    classes = {label: _summarize_class(evaluation, label) for label in evaluation.labels.names}
    return EvaluationSummary(
        evaluation=evaluation,
        classes=classes,
        targets={
            name: _summarize_target(evaluation, classes, members)
            for name, members in targets(evaluation.labels).items()
        },
        foreground_mean=_foreground_mean(classes),
        memorisation=tuple(memorisation(evaluation)),
    )


def _foreground_mean(classes: Mapping[Label, ClassSummary]) -> dict[str, float]:
    """Average the class means over all classes but the background, as nnU-Net does.

    A class that no mask holds has no mean, and then neither has the foreground: NaN.
    """
    means = [summary.mean for label, summary in classes.items() if label != 0]
    names = next(iter(classes.values())).mean
    return {name: fmean(mean[name] for mean in means) if means else math.nan for name in names}


def _summarize_target(
    evaluation: Evaluation, classes: Mapping[Label, ClassSummary], members: list[Label]
) -> TargetSummary:
    by_class = [
        overlap_values(classes[label].pooled, evaluation.conventions.empty) for label in members
    ]
    pooled = {name: defined_mean(values[name] for values in by_class) for name in by_class[0]}
    if len(members) == 1:
        return TargetSummary(classes[members[0]].statistics, pooled)
    rows = [
        [target_value(case.values, members, metric) for case in evaluation.cases]
        for metric in evaluation.metrics
    ]
    described = describe(rows, evaluation.conventions.seed)
    return TargetSummary(dict(zip(evaluation.metrics, described, strict=True)), pooled)


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
