"""Tables of an evaluation: classes, metrics, and the noise if it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anl_seg.evaluation.foreground import FOREGROUND, targets
from anl_seg.evaluation.memorisation import Memorisation
from anl_seg.evaluation.metrics import METRICS
from anl_seg.evaluation.reports.grid import UNDEFINED, Cell, Grid, figure, span
from anl_seg.evaluation.statistics import Statistics
from anl_seg.evaluation.summary import EvaluationSummary

#: Main metric of the report. The other metrics are in one table.
MAIN = "Dice"
SPREAD = ("mean", "std", "median", "IQR", "95 % CI")


def evaluation_grids(summary: EvaluationSummary) -> list[Grid]:
    """Build the tables of an evaluation: the classes, all metrics, and the noise if known."""
    grids = [_metric_grid(summary)]
    if len(summary.classes) > 1:
        grids.insert(0, _class_grid(summary))
    if summary.memorisation:
        grids.append(_noise_grid(summary.memorisation))
    return grids


def _class_grid(summary: EvaluationSummary) -> Grid:
    """Build the table of the main metric and the missed cases of each class."""
    members = targets(summary.evaluation.labels)
    rows = []
    for name, target in summary.targets.items():
        missed = UNDEFINED
        if name != FOREGROUND:
            missed = str(summary.classes[members[name][0]].n_missed)
        found = target.statistics[MAIN]
        rows.append(
            [name, str(found.n), missed, *_spread(found, MAIN), figure(target.pooled[MAIN])]
        )
    return Grid(
        title=f"{MAIN} of each class",
        headings=("class", "n", "missed", *SPREAD, "pooled"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Missed: cases where only the reference has the class. Foreground: mean over the "
        "classes of a case, then over cases; the mean of the classes' means, nnU-Net's "
        f"foreground_mean, is {figure(summary.foreground_mean[MAIN])}.",
    )


def _metric_grid(summary: EvaluationSummary) -> Grid:
    """Build the table of all metrics; a single class is named in the title."""
    several = len(summary.targets) > 1
    rows = [
        [
            *([name] if several else []),
            *(summary.evaluation.conventions.title(metric), str(found.n)),
            *_spread(found, metric),
            figure(target.pooled.get(metric, math.nan)),
        ]
        for name, target in summary.targets.items()
        for metric, found in target.statistics.items()
    ]
    return Grid(
        title="All metrics" if several else f"All metrics, {next(iter(summary.targets))}",
        headings=(*(["class"] if several else []), "metric", "n", *SPREAD, "pooled"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="n: cases where the metric is defined. 95 % CI: of the mean, BCa bootstrap over "
        "cases. Pooled: the pixels of all cases taken as one image. RVD: relative volume "
        "difference, 0 is best. TJ: the ISIC challenge's Jaccard index, 0 below 0.65.",
        text_columns=2 if several else 1,
    )


def _noise_grid(memorisation: Sequence[Memorisation]) -> Grid:
    rows = [
        [
            *(row.kind, str(row.n), figure(row.clean.mean), figure(row.noisy.mean)),
            *(figure(row.gap.mean), span(row.gap.low, row.gap.high)),
        ]
        for row in memorisation
    ]
    return Grid(
        title=f"{MAIN} against the clean and against the noisy masks",
        headings=("noise", "n", "clean", "noisy", "gap", "95 % CI"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Gap: noisy minus clean. Above 0, predictions are nearer to the noise of the training "
        "than to the truth (memorisation).",
    )


def _spread(statistics: Statistics, metric: str) -> list[str]:
    digits = digits_of(metric)
    return [
        figure(statistics.mean, digits),
        figure(statistics.std, digits),
        figure(statistics.median, digits),
        span(statistics.q1, statistics.q3, digits),
        span(statistics.low, statistics.high, digits),
    ]


def digits_of(metric: str) -> int:
    """Return the number of decimals of a metric in tables."""
    return 2 if METRICS[metric].is_length else 3
