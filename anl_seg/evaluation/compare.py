"""Comparison of methods case by case: paired differences to a baseline, grouped by seed or fold."""

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
from anl_seg.evaluation.foreground import defined_mean, target_value, targets
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import METRICS, SURFACE_METRICS, Metric
from anl_seg.evaluation.paired import (
    GroupValues,
    group_interval,
    holm,
    rank_biserial,
    signed_rank_p,
)
from anl_seg.evaluation.pairs import collecting
from anl_seg.evaluation.statistics import mean_interval
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.masks import find_masks
from anl_seg.progress import Track, untracked

#: Smaller differences are ties, because averaging over groups rounds.
TIE = 1e-12


@dataclass(frozen=True)
class Method:
    """One method, with one or several trainings.

    Attributes:
        name: Name given by the user.
        groups: One evaluation for each seed (all cases) or fold (a part of the cases).
    """

    name: str
    groups: tuple[Evaluation, ...]

    @property
    def trainings_per_case(self) -> int:
        """Number of trainings that predicted each case: 1 for folds, else the number of seeds."""
        return max(_times_held(self).values())


@dataclass(frozen=True)
class GroupMean:
    """Means of a method over the cases of each group, and over the groups.

    Attributes:
        groups: Mean over the cases of each seed or fold.
        mean: Mean of the group means.
        std: Standard deviation of the group means (n - 1); NaN for one group.
    """

    groups: tuple[float, ...]
    mean: float
    std: float


@dataclass(frozen=True)
class Difference:
    """One method minus the baseline, paired by case, for one target.

    Attributes:
        method: Name of the method.
        target: A class, or the foreground.
        n: Number of cases for which both values are defined.
        n_undefined: Number of cases left out because a value is undefined, such as empty masks.
        mean: Mean difference.
        interval: 95 % BCa bootstrap interval over cases, with the trained networks fixed.
        group_interval: 95 % interval over cases and seeds or folds; None if no method has several.
        p: p-value of Wilcoxon's two-sided signed-rank test of the values averaged over groups.
        p_holm: p-value adjusted for all methods that are compared with the baseline (Holm).
        effect: Matched-pairs rank-biserial correlation.
        wins: Number of cases in which the method is better than the baseline.
        ties: Number of cases in which both are equal.
        losses: Number of cases in which the method is worse.
    """

    method: str
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
class MethodComparison:
    """Several methods on the same cases.

    Attributes:
        methods: The methods in the given order. The first is the baseline.
        metric: The compared metric.
        labels: The classes.
        cases: Case names, sorted.
        values: By target and method, the value of each group and case, `(G, n)`, NaN if undefined.
        averages: By target and method, the values averaged over groups, `(n,)`.
        means: By target and method, the means over groups.
        differences: Differences of every method but the baseline, for every target.
        seed: Seed of all bootstraps.
    """

    methods: tuple[Method, ...]
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
        """Name of the method that the others are compared with."""
        return self.methods[0].name

    @property
    def targets(self) -> list[str]:
        """Names of the targets: the foreground if there are several classes, then each class."""
        return list(self.values)


def group_folders(arguments: Sequence[str]) -> dict[str, list[Path]]:
    """Group folders, given as FOLDER or NAME=FOLDER, by the name of the method.

    Raises:
        InputError: If two folders without a name have the same last part, and so the same method.
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
            f"several folders called {named(sorted(set(alike)))}: give them as NAME=FOLDER, with a "
            "different name for each method and the same name for all seeds or folds of a method"
        )
    return groups


def needs_surfaces(metric: str) -> bool:
    """Return whether a metric needs surfaces.

    Raises:
        InputError: If the metric is unknown.
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
    return METRICS[metric] in SURFACE_METRICS


def evaluate_methods(
    folders: Mapping[str, Sequence[Path]],
    reference_dir: Path,
    *,
    labels: Sequence[int] | None = None,
    ignore_label: int | None = None,
    conventions: Conventions = DEFAULTS,
    num_processes: int = 1,
    track: Track = untracked,
) -> list[Method]:
    """Evaluate every folder of every method against the same references.

    Args:
        folders: Folders of predictions of each method. Either each folder contains all cases
            (seeds), or the folders share the cases out (folds).
        reference_dir: Folder of reference masks.
        labels: Labels to score. By default, those of `dataset.json`, or those in the references.
        ignore_label: Pixels with this label in the reference are left out.
        conventions: The metrics to compute, and their rules.
        num_processes: Number of processes.
        track: Wrapper of the case names that shows progress.

    Returns:
        The methods in the order of `folders`.

    Raises:
        InputError: If a folder has a problem (see `evaluate_folders`), or the folders of a method
            together lack a case. The message lists the problems of all folders.
    """
    problems: list[str] = []
    methods = []
    for name, method_folders in folders.items():
        groups = []
        for folder in method_folders:
            with collecting(problems):
                groups.append(
                    evaluate_folders(
                        folder,
                        reference_dir,
                        labels=labels,
                        ignore_label=ignore_label,
                        conventions=conventions,
                        only_predicted=len(method_folders) > 1,
                        num_processes=num_processes,
                        track=track,
                    )
                )
        methods.append(Method(name, tuple(groups)))
    if not problems:
        references = set(find_masks(reference_dir))
        for method in methods:
            if missing := sorted(references - set(_times_held(method))):
                problems.append(
                    f"method {method.name}: no prediction of {named(missing)}; predict them"
                )
    if problems:
        raise InputError(listed(problems, "problems, nothing compared"))
    return methods


def compare(methods: Sequence[Method], metric: str = "Dice", *, seed: int = 1) -> MethodComparison:
    """Compare every method with the first one, paired by case.

    Seeds are averaged case by case before any test, because they are not additional patients.

    Args:
        methods: At least two methods, evaluated against the same references. A method must have
            each case equally often: once for folds, once per seed for seeds.
        metric: Name of a row of `METRICS`.
        seed: Seed of all bootstraps.

    Raises:
        InputError: If there are too few methods, two have the same name, the metric was not
            measured, or methods differ in their cases or labels.
    """
    _check(methods, metric)
    labels = methods[0].groups[0].labels
    cases = tuple(sorted(_times_held(methods[0])))
    values = {
        target: {method.name: _group_values(method, members, metric, cases) for method in methods}
        for target, members in targets(labels).items()
    }
    return MethodComparison(
        methods=tuple(methods),
        metric=METRICS[metric],
        labels=labels,
        cases=cases,
        values=values,
        averages={
            target: {name: over_groups(groups) for name, groups in by_method.items()}
            for target, by_method in values.items()
        },
        means={
            target: {name: _group_mean(groups) for name, groups in by_method.items()}
            for target, by_method in values.items()
        },
        differences=tuple(
            difference
            for target, by_method in values.items()
            for difference in _differences(target, by_method, METRICS[metric], seed)
        ),
        seed=seed,
    )


def over_groups(values: GroupValues) -> NDArray[np.float64]:
    """Average over the groups that have the case, `(n,)`; NaN if no group has a value."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    counts = known.sum(axis=0)
    means = np.full(values.shape[1], np.nan)
    np.divide(total, counts, out=means, where=counts > 0)
    return means


def advantage(
    method: NDArray[np.float64], baseline: NDArray[np.float64], metric: Metric
) -> NDArray[np.float64]:
    """Compute how much better each value is than the baseline's; negative if worse."""
    if metric.higher_is_better is None:  # nearest to 0 is best
        return np.abs(baseline) - np.abs(method)
    return method - baseline if metric.higher_is_better else baseline - method


def _check(methods: Sequence[Method], metric: str) -> None:
    names = [method.name for method in methods]
    if len(methods) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"methods {named(names)}: expected at least two different names; "
            "folders with the same name are the seeds or folds of one method"
        )
    measured = methods[0].groups[0].metrics
    if metric not in measured:
        raise InputError(f"metric {metric!r}: not measured, only {', '.join(measured)}")
    problems = []
    cases = set(_times_held(methods[0]))
    for method in methods:
        held = _times_held(method)
        if uneven := sorted(case for case in held if held[case] != max(held.values())):
            problems.append(
                f"method {method.name}: {named(uneven)} in fewer of its folders than other cases; "
                "every folder must contain all cases (seeds), or each case once (folds)"
            )
        if differing := sorted(cases ^ set(held)):
            problems.append(
                f"method {method.name}: {named(differing)} predicted only by it or only by "
                f"{methods[0].name}; predict the same cases with every method"
            )
        if any(_scored(group) != _scored(methods[0].groups[0]) for group in method.groups):
            problems.append(
                f"method {method.name}: scored with other labels than {methods[0].name}; "
                "use --labels and --ignore-label"
            )
        if any(group.conventions != methods[0].groups[0].conventions for group in method.groups):
            problems.append(
                f"method {method.name}: measured with other conventions than {methods[0].name}"
            )
    if problems:
        raise InputError(listed(problems, "problems, nothing compared"))


def _scored(evaluation: Evaluation) -> tuple[set[Label], int | None]:
    """Return what all methods must share: the classes and the ignore label."""
    return set(evaluation.labels.names), evaluation.labels.ignore_label


def _times_held(method: Method) -> Counter[str]:
    return Counter(case.case for group in method.groups for case in group.cases)


def _group_values(
    method: Method, members: Sequence[Label], metric: str, cases: Sequence[str]
) -> GroupValues:
    values = np.full((len(method.groups), len(cases)), np.nan)
    places = {case: place for place, case in enumerate(cases)}
    for row, group in zip(values, method.groups, strict=True):
        for case in group.cases:
            row[places[case.case]] = target_value(case.values, members, metric)
    return values


def _group_mean(values: GroupValues) -> GroupMean:
    groups = tuple(defined_mean(row.tolist()) for row in values)
    known = [mean for mean in groups if not math.isnan(mean)]
    return GroupMean(groups, defined_mean(known), stdev(known) if len(known) > 1 else math.nan)


def _differences(
    target: str, by_method: Mapping[str, GroupValues], metric: Metric, seed: int
) -> list[Difference]:
    """Compare all other methods with the first for one target, and adjust their p together."""
    baseline, *others = by_method
    found = [
        _difference(target, name, by_method[name], by_method[baseline], metric, seed)
        for name in others
    ]
    adjusted = holm([difference.p for difference in found])
    return [replace(difference, p_holm=p) for difference, p in zip(found, adjusted, strict=True)]


def _difference(
    target: str, name: str, method: GroupValues, baseline: GroupValues, metric: Metric, seed: int
) -> Difference:
    paired = over_groups(method) - over_groups(baseline)
    known = ~np.isnan(paired)
    differences = np.where(np.abs(paired[known]) < TIE, 0.0, paired[known])
    better = advantage(over_groups(method)[known], over_groups(baseline)[known], metric)
    better[differences == 0] = 0
    several = max(len(method), len(baseline)) > 1 and differences.size > 1
    return Difference(
        method=name,
        target=target,
        n=differences.size,
        n_undefined=int((~known).sum()),
        mean=defined_mean(differences.tolist()),
        interval=mean_interval(differences, seed),
        group_interval=group_interval(method[:, known], baseline[:, known], seed)
        if several
        else None,
        p=signed_rank_p(differences),
        p_holm=math.nan,
        effect=rank_biserial(differences),
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        losses=int((better < 0).sum()),
    )
