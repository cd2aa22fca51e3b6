"""Tables of a comparison: means in the form of the paper's Table VI, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from anl_seg.evaluation.compare import MethodComparison
from anl_seg.evaluation.conclusions import DisplayUnit, display_unit
from anl_seg.evaluation.reports.grid import (
    UNDEFINED,
    Cell,
    Grid,
    Mark,
    figure,
    marks,
    p_value,
)


@dataclass(frozen=True)
class PublishedColumn:
    """Published results of the same experiment, shown beside ours.

    Attributes:
        figures: Published mean and standard deviation by name of the method, in the unit of the
            table. Methods without published results are absent.
        source: Publication of the results.
    """

    figures: Mapping[str, tuple[float, float]]
    source: str


def comparison_grids(
    comparison: MethodComparison, published: PublishedColumn | None = None
) -> list[Grid]:
    """Build the tables of a comparison.

    Args:
        comparison: Comparison of at least two methods.
        published: Published results, only if the experiment is the same.

    Returns:
        The means in the form of the paper's Table VI, and the paired differences, in one unit.
    """
    return [_means_grid(comparison, published), _difference_grid(comparison)]


def _means_grid(comparison: MethodComparison, published: PublishedColumn | None) -> Grid:
    unit = display_unit(comparison)
    several = any(len(method.groups) > 1 for method in comparison.methods)
    rows = [[Cell(m.name), Cell(str(len(m.groups)))] for m in comparison.methods]
    for target in comparison.targets:
        means = [comparison.means[target][method.name] for method in comparison.methods]
        cell_marks = _marks(comparison, [mean.mean for mean in means])
        for row, mean, mark in zip(rows, means, cell_marks, strict=True):
            row.append(Cell(_plus_minus(mean.mean, mean.std, unit), mark))
    note = "Best in bold, second underlined. Trainings: seeds or folds of a method"
    note += "; the std (n - 1) is over their means." if several else "."
    if published:
        beside = [published.figures.get(method.name) for method in comparison.methods]
        values = [math.nan if cell is None else cell[0] for cell in beside]
        for row, cell, mark in zip(rows, beside, marks(values), strict=True):
            row.append(Cell(f"{cell[0]:.1f}±{cell[1]:.1f}" if cell else UNDEFINED, mark))
        note += f" {published.source}"
    return Grid(
        title=f"{unit.title}, {'mean±std over trainings' if several else 'mean'}",
        headings=(
            "method",
            "trainings",
            *comparison.targets,
            *(["published"] if published else []),
        ),
        rows=rows,
        note=note,
    )


def _difference_grid(comparison: MethodComparison) -> Grid:
    several_classes = len(comparison.targets) > 1
    grouped = any(row.group_interval for row in comparison.differences)
    corrected = len(comparison.methods) > 2  # with one difference, Holm's p is p
    holm = "; Holm over the methods" if corrected else ""
    unit = display_unit(comparison)
    rows = [
        [
            row.method,
            *([row.target] if several_classes else []),
            str(row.n),
            unit.change(row.mean),
            unit.change_span(row.interval),
            *([unit.change_span(row.group_interval or (math.nan, math.nan))] if grouped else []),
            p_value(row.p),
            *([p_value(row.p_holm)] if corrected else []),
            figure(row.effect, 2),
            f"{row.wins}/{row.ties}/{row.losses}",
        ]
        for row in comparison.differences
    ]
    undefined = max((row.n_undefined for row in comparison.differences), default=0)
    left_out = (
        f" Up to {undefined} cases are left out because one of the two is undefined (empty masks); "
        "--empty one or zero includes them."
    )
    grouped_note = (
        " New trainings: percentile bootstrap over cases and trainings, too narrow with few."
    )
    return Grid(
        title=f"{comparison.metric.name}, difference to {comparison.baseline} ({unit.difference})",
        headings=(
            "method",
            *(["class"] if several_classes else []),
            *("n", "mean", "95 % CI"),
            *(["95 % CI, new trainings"] if grouped else []),
            *("p", *(["p (Holm)"] if corrected else []), "effect", "W/T/L"),
        ),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Paired by case, trainings of a method averaged first. 95 % CI: BCa bootstrap over "
        f"cases. p: Wilcoxon signed-rank, two-sided{holm}. "
        "Effect: matched-pairs rank-biserial correlation. W/T/L: cases won, tied, lost. The "
        "interval is of the mean; the test ranks the differences, so the two may disagree."
        f"{grouped_note if grouped else ''}{left_out if undefined else ''}",
        text_columns=2 if several_classes else 1,
    )


def _marks(comparison: MethodComparison, values: list[float]) -> list[Mark]:
    metric = comparison.metric
    if metric.higher_is_better is None:  # nearest to 0 is best
        return marks([-abs(value) for value in values])
    return marks(values, higher_is_better=metric.higher_is_better)


def _plus_minus(mean: float, std: float, unit: DisplayUnit) -> str:
    if math.isnan(std):  # a single training
        return unit.mean(mean)
    return f"{unit.mean(mean)}±{unit.mean(std)}"
