"""Compare runs case by case: paired differences to a baseline, with seeds or folds as groups."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import stdev

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, listed, named
from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.folders import DEFAULTS, Evaluation, evaluate_folders
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import METRICS, SURFACE_METRICS, Label, Metric
from anl_seg.evaluation.paired import (
    GroupValues,
    group_interval,
    holm,
    rank_biserial,
    signed_rank_p,
)
from anl_seg.evaluation.pairs import collecting
from anl_seg.evaluation.statistics import mean_interval
from anl_seg.evaluation.summary import defined_mean
from anl_seg.evaluation.targets import target_value, targets
from anl_seg.formats.masks import find_masks
from anl_seg.progress import Track, untracked

#: Differences smaller than this are rounding of the mean over groups: ties.
TIE = 1e-12


@dataclass(frozen=True)
class Run:
    """One method: its predictions of the same cases by one or several trainings.

    Attributes:
        name: As the user calls it.
        groups: One evaluation for each seed (all cases) or fold (a part of the cases).
    """

    name: str
    groups: tuple[Evaluation, ...]


@dataclass(frozen=True)
class GroupMean:
    """A run's mean over the cases of each group, and over the groups.

    Attributes:
        groups: Mean over the cases of each seed or fold.
        mean: Mean of these.
        std: Their standard deviation (n - 1); NaN for one group.
    """

    groups: tuple[float, ...]
    mean: float
    std: float


@dataclass(frozen=True)
class Difference:
    """One run minus the baseline, paired by case, for one target.

    Attributes:
        run: Name of the run.
        target: A class, or the foreground.
        n: Cases where both are defined.
        n_undefined: Cases left out because one or both are not, such as empty masks.
        mean: Mean difference.
        interval: 95 % BCa bootstrap interval over cases, the trained networks being fixed.
        group_interval: 95 % interval over cases and seeds or folds; None if no run has several.
        p: Wilcoxon's signed-rank test, two-sided, of the values averaged over groups.
        p_holm: The same, adjusted for all runs that are compared with the baseline.
        effect: Matched-pairs rank-biserial correlation.
        wins: Cases where the run is better than the baseline.
        ties: Cases where they are equal.
        losses: Cases where the run is worse.
    """

    run: str
    target: str
    n: int
    n_undefined: int
    mean: float
    interval: tuple[float, float]
    group_interval: tuple[float, float] | None
    p: float
    p_holm: float
    effect: float
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same cases.

    Attributes:
        runs: The runs in the order given; the first is the baseline.
        metric: What is compared.
        labels: The classes.
        cases: Case names, sorted.
        values: Target -> run -> value of each group and case, `(G, n)`, NaN where undefined.
        averages: The same averaged over groups, `(n,)`.
        means: Target -> run -> means over groups.
        differences: Of every run but the baseline, for every target.
        seed: Of all bootstraps.
    """

    runs: tuple[Run, ...]
    metric: Metric
    labels: LabelSet
    cases: tuple[str, ...]
    values: Mapping[str, Mapping[str, GroupValues]]
    averages: Mapping[str, Mapping[str, NDArray[np.float64]]]
    means: Mapping[str, Mapping[str, GroupMean]]
    differences: tuple[Difference, ...]
    seed: int

    @property
    def baseline(self) -> str:
        """The run that the others are compared with."""
        return self.runs[0].name

    @property
    def targets(self) -> list[str]:
        """The foreground first, where there are several classes, then each class."""
        return list(self.values)


def group_folders(arguments: Sequence[str]) -> dict[str, list[Path]]:
    """Read runs given as FOLDER or NAME=FOLDER: name -> its folders, in the order given.

    Raises:
        InputError: If two folders without a name end alike, which would make them one run.
    """
    groups: dict[str, list[Path]] = {}
    unnamed = []
    for argument in arguments:
        name, _, folder = argument.partition("=")
        if not folder or Path(argument).is_dir():
            name, folder = Path(argument).resolve().name, argument
            unnamed.append(name)
        groups.setdefault(name, []).append(Path(folder))
    if alike := sorted(name for name in unnamed if len(groups[name]) > 1):
        raise InputError(
            f"several folders called {named(sorted(set(alike)))}: give them as NAME=FOLDER, with "
            "different names for different runs and one name for the seeds or folds of one run"
        )
    return groups


def needs_surfaces(metric: str) -> bool:
    """Whether surfaces must be measured for a metric.

    Raises:
        InputError: If there is no such metric.
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    return METRICS[metric] in SURFACE_METRICS


def evaluate_runs(
    folders: Mapping[str, Sequence[Path]],
    reference_dir: Path,
    *,
    labels: Sequence[int] | None = None,
    ignore_label: int | None = None,
    conventions: Conventions = DEFAULTS,
    jobs: int = 1,
    track: Track = untracked,
) -> list[Run]:
    """Evaluate every folder of every run against the same references.

    Args:
        folders: Run -> its folders of predictions. Either each holds all cases (seeds), or they
            share the cases out (folds).
        reference_dir: Folder of reference masks.
        labels: As in `evaluate_folders`, and so are the others.
        ignore_label: Likewise.
        conventions: Likewise.
        jobs: Likewise.
        track: Likewise.

    Raises:
        InputError: With the problems of all folders, as in `evaluate_folders`, and if the folders
            of a run together lack a case.
    """
    problems: list[str] = []
    runs = []
    for name, run_folders in folders.items():
        groups = []
        for folder in run_folders:
            with collecting(problems):
                groups.append(
                    evaluate_folders(
                        folder,
                        reference_dir,
                        labels=labels,
                        ignore_label=ignore_label,
                        conventions=conventions,
                        only_predicted=len(run_folders) > 1,
                        jobs=jobs,
                        track=track,
                    )
                )
        runs.append(Run(name, tuple(groups)))
    if not problems:
        references = set(find_masks(reference_dir))
        for run in runs:
            if missing := sorted(references - set(_times_held(run))):
                problems.append(f"run {run.name}: no prediction of {named(missing)}; predict them")
    if problems:
        raise InputError(listed(problems, "problems, nothing compared"))
    return runs


def compare(runs: Sequence[Run], metric: str = "Dice", *, seed: int = 1) -> Comparison:
    """Compare every run with the first one, paired by case.

    Seeds are averaged case by case before any test, since they are no further patients.

    Args:
        runs: At least two, evaluated against the same references. Every run must hold each case
            equally often: once for folds, once a seed for seeds.
        metric: Name of a row of `METRICS`.
        seed: Of all bootstraps.

    Raises:
        InputError: If there are too few runs, two have one name, the metric was not measured, or
            runs differ in their cases or labels.
    """
    _check(runs, metric)
    labels = runs[0].groups[0].labels
    cases = tuple(sorted(_times_held(runs[0])))
    values = {
        target: {run.name: _group_values(run, members, metric, cases) for run in runs}
        for target, members in targets(labels).items()
    }
    return Comparison(
        runs=tuple(runs),
        metric=METRICS[metric],
        labels=labels,
        cases=cases,
        values=values,
        averages={
            target: {name: over_groups(groups) for name, groups in by_run.items()}
            for target, by_run in values.items()
        },
        means={
            target: {name: _group_mean(groups) for name, groups in by_run.items()}
            for target, by_run in values.items()
        },
        differences=tuple(
            difference
            for target, by_run in values.items()
            for difference in _differences(target, by_run, METRICS[metric], seed)
        ),
        seed=seed,
    )


def over_groups(values: GroupValues) -> NDArray[np.float64]:
    """Mean over the groups that have the case, `(n,)`; NaN where none has a figure."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    counts = known.sum(axis=0)
    means = np.full(values.shape[1], np.nan)
    np.divide(total, counts, out=means, where=counts > 0)
    return means


def advantage(
    run: NDArray[np.float64], baseline: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    """By how much each value of the run is better than the baseline's; below 0 where worse."""
    if metric.higher_is_better is None:  # nearest to 0 is best
        return np.abs(baseline) - np.abs(run)
    return run - baseline if metric.higher_is_better else baseline - run


def _check(runs: Sequence[Run], metric: str) -> None:
    names = [run.name for run in runs]
    if len(runs) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"runs {named(names)}: expected at least two of different names; "
            "folders of one name are the seeds or folds of one run"
        )
    measured = runs[0].groups[0].metrics
    if metric not in measured:
        raise InputError(f"metric {metric!r}: not measured, only {', '.join(measured)}")
    problems = []
    cases = set(_times_held(runs[0]))
    for run in runs:
        held = _times_held(run)
        if uneven := sorted(case for case in held if held[case] != max(held.values())):
            problems.append(
                f"run {run.name}: {named(uneven)} in fewer of its folders than other cases; "
                "give folders that all hold all cases (seeds), or that share them out (folds)"
            )
        if differing := sorted(cases ^ set(held)):
            problems.append(
                f"run {run.name}: {named(differing)} only there or only in {runs[0].name}; "
                "predict the same cases with every run"
            )
        if any(_scored(group) != _scored(runs[0].groups[0]) for group in run.groups):
            problems.append(
                f"run {run.name}: other labels than {runs[0].name}; use --labels and --ignore-label"
            )
        if any(group.conventions != runs[0].groups[0].conventions for group in run.groups):
            problems.append(f"run {run.name}: measured by other conventions than {runs[0].name}")
    if problems:
        raise InputError(listed(problems, "problems, nothing compared"))


def _scored(evaluation: Evaluation) -> tuple[set[Label], int | None]:
    """What must be the same in all runs: the classes, and which pixels are left out."""
    return set(evaluation.labels.names), evaluation.labels.ignore_label


def _times_held(run: Run) -> Counter[str]:
    return Counter(case.case for group in run.groups for case in group.cases)


def _group_values(
    run: Run, members: Sequence[Label], metric: str, cases: Sequence[str]
) -> GroupValues:
    values = np.full((len(run.groups), len(cases)), np.nan)
    places = {case: place for place, case in enumerate(cases)}
    for row, group in zip(values, run.groups, strict=True):
        for case in group.cases:
            row[places[case.case]] = target_value(case.values, members, metric)
    return values


def _group_mean(values: GroupValues) -> GroupMean:
    groups = tuple(defined_mean(row.tolist()) for row in values)
    known = [mean for mean in groups if not math.isnan(mean)]
    return GroupMean(groups, defined_mean(known), stdev(known) if len(known) > 1 else math.nan)


def _differences(
    target: str, by_run: Mapping[str, GroupValues], metric: Metric, seed: int
) -> list[Difference]:
    """Compare all runs but the first with it, for one target, and adjust their p together."""
    baseline, *others = by_run
    found = [
        _difference(target, name, by_run[name], by_run[baseline], metric, seed) for name in others
    ]
    adjusted = holm([difference.p for difference in found])
    return [replace(difference, p_holm=p) for difference, p in zip(found, adjusted, strict=True)]


def _difference(
    target: str, name: str, run: GroupValues, baseline: GroupValues, metric: Metric, seed: int
) -> Difference:
    paired = over_groups(run) - over_groups(baseline)
    known = ~np.isnan(paired)
    differences = np.where(np.abs(paired[known]) < TIE, 0.0, paired[known])
    better = advantage(over_groups(run)[known], over_groups(baseline)[known], metric)
    better[differences == 0] = 0
    several = max(len(run), len(baseline)) > 1 and differences.size > 1
    return Difference(
        run=name,
        target=target,
        n=differences.size,
        n_undefined=int((~known).sum()),
        mean=defined_mean(differences.tolist()),
        interval=mean_interval(differences, seed),
        group_interval=group_interval(run[:, known], baseline[:, known], seed) if several else None,
        p=signed_rank_p(differences),
        p_holm=math.nan,
        effect=rank_biserial(differences),
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
    )
