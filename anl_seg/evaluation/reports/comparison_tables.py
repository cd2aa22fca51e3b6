"""The tables of a comparison: the form of the paper's Table VI, and the paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping

from anl_seg.evaluation.compare import Comparison
from anl_seg.evaluation.published import Published, loss_name
from anl_seg.evaluation.reports.grid import (
    UNDEFINED,
    Cell,
    Grid,
    Mark,
    figure,
    marks,
    p_value,
    span,
)

PUBLISHED_NOTE = (
    "Published: Ye et al., arXiv:2412.02373, Table VI, ISIC-2017, mean±std of 3 seeds over the "
    "last 10 epochs; to be compared only with trainings on the same images, noise and schedule."
)


def comparison_grids(
    comparison: Comparison, published: Mapping[str, Published] | None = None
) -> list[Grid]:
    """The form of the paper's Table VI, and the paired differences."""
    return [_means_grid(comparison, published or {}), _difference_grid(comparison)]


def _means_grid(comparison: Comparison, published: Mapping[str, Published]) -> Grid:
    metric = comparison.metric
    in_percent = not metric.is_length
    spread = "mean±std over runs" if any(len(run.groups) > 1 for run in comparison.runs) else "mean"
    columns = [
        [comparison.means[target][run.name] for run in comparison.runs]
        for target in comparison.targets
    ]
    rows = [[Cell(run.name), Cell(str(len(run.groups)))] for run in comparison.runs]
    for column in columns:
        for row, mean, mark in zip(
            rows, column, _marks(comparison, [mean.mean for mean in column]), strict=True
        ):
            row.append(Cell(_plus_minus(mean.mean, mean.std, in_percent), mark))
    beside = [published.get(loss_name(run.name)) for run in comparison.runs]
    note = (
        "Best in bold, second underlined. Runs: trainings (seeds or folds) of a method; the std "
        "(n - 1) is over their means."
    )
    if any(beside):
        values = [math.nan if cell is None else cell.mean for cell in beside]
        for row, cell, mark in zip(rows, beside, marks(values), strict=True):
            row.append(Cell(f"{cell.mean:.1f}±{cell.std:.1f}" if cell else UNDEFINED, mark))
        note += " " + PUBLISHED_NOTE
    return Grid(
        title=f"{metric_title(comparison)}{' (%)' if in_percent else ''}, {spread}",
        headings=("method", "runs", *comparison.targets, *(["published"] if any(beside) else [])),
        rows=rows,
        note=note,
    )


def _difference_grid(comparison: Comparison) -> Grid:
    several_classes = len(comparison.targets) > 1
    grouped = any(row.group_interval for row in comparison.differences)
    rows = [
        [
            row.run,
            *([row.target] if several_classes else []),
            str(row.n),
            figure(row.mean),
            span(*row.interval),
            *([span(*(row.group_interval or (math.nan, math.nan)))] if grouped else []),
            p_value(row.p),
            p_value(row.p_holm),
            figure(row.effect, 2),
            f"{row.wins}/{row.ties}/{row.losses}",
        ]
        for row in comparison.differences
    ]
    undefined = max((row.n_undefined for row in comparison.differences), default=0)
    left_out = (
        f" In up to {undefined} cases one of the two is undefined (empty masks); they are in no "
        "pair: --empty one or zero keeps them."
    )
    grouped_note = (
        " New runs: cases and trainings drawn, percentile bootstrap; few trainings make it narrow."
    )
    return Grid(
        title=f"{metric_title(comparison)}, difference to {comparison.baseline}",
        headings=(
            "method",
            *(["class"] if several_classes else []),
            *("n", "mean", "95 % CI"),
            *(["95 % CI, new runs"] if grouped else []),
            *("p", "p (Holm)", "effect", "W/T/L"),
        ),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Paired by case, trainings of a method averaged first. 95 % CI: BCa bootstrap over "
        "cases. p: Wilcoxon signed-rank, two-sided; Holm over the methods. Effect: matched-pairs "
        "rank-biserial correlation. W/T/L: cases won, tied, lost."
        f"{grouped_note if grouped else ''}{left_out if undefined else ''}",
        text_columns=2 if several_classes else 1,
    )


def _marks(comparison: Comparison, values: list[float]) -> list[Mark]:
    metric = comparison.metric
    if metric.higher_is_better is None:  # nearest to 0 is best
        return marks([-abs(value) for value in values])
    return marks(values, higher_is_better=metric.higher_is_better)


def metric_title(comparison: Comparison) -> str:
    """The metric with its unit."""
    return comparison.runs[0].groups[0].conventions.title(comparison.metric.name)


def _plus_minus(mean: float, std: float, in_percent: bool) -> str:
    factor, digits = (100, 1) if in_percent else (1, 2)
    if math.isnan(std):  # a single training
        return figure(factor * mean, digits)
    return f"{figure(factor * mean, digits)}±{figure(factor * std, digits)}"
