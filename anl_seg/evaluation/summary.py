"""Summary over all cases: statistics per class, their mean over classes, pooled metrics."""

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
        n_scored: Number of cases with the class in at least one mask.
        n_both_empty: Number of cases with the class in neither mask. By default they are left out
            of means.
        n_missed: Number of cases with the class in the reference only.
        n_extra: Number of cases with the class in the prediction only.
        mean: Mean of each figure of `CaseResult.values` over the cases that define it.
        statistics: Statistics of each metric over cases.
        pooled: Overlap metrics of the pixels of all cases taken as one image. Pooled Dice weighs
            cases by size; some papers report it (T-Loss).
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
        statistics: Statistics over cases by metric. For the foreground, the metric of a case is the
            mean over its classes.
        pooled: Overlap metrics of the pixels of all cases taken as one image. For the foreground,
            the mean over the classes.
    """

    statistics: Mapping[str, Statistics]
    pooled: Mapping[str, float]


@dataclass(frozen=True)
class EvaluationSummary:
    """An evaluation with all results computed from it, for terminal, files and page.

    Attributes:
        evaluation: The measured cases.
        classes: Figures of each class over all cases.
        targets: Statistics of the foreground (if there are several classes) and each class, by
            name.
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
        The input of `write_results`, `write_report` and the tables of the terminal.

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
    """Average the class means over all classes except the background, as nnU-Net does.

    The result is NaN if any class is in no mask, because that class has no mean.
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
