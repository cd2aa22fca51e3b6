"""The tables of an evaluation: classes, metrics, and the noise where it is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anl_seg.evaluation.folders import Evaluation
from anl_seg.evaluation.memorisation import memorisation
from anl_seg.evaluation.metrics import METRICS, Label, overlap_values
from anl_seg.evaluation.reports.grid import UNDEFINED, Cell, Grid, figure, span
from anl_seg.evaluation.statistics import Statistics, describe
from anl_seg.evaluation.summary import defined_mean, foreground_mean, summarize
from anl_seg.evaluation.targets import FOREGROUND, target_value, targets

#: What the report is about; the other metrics stand in one table.
MAIN = "Dice"
SPREAD = ("mean", "std", "median", "IQR", "95 % CI")


def evaluation_grids(evaluation: Evaluation) -> list[Grid]:
    """The tables of an evaluation: the classes, all metrics, and the noise if it is known."""
    grids = [_metric_grid(evaluation)]
    if len(evaluation.labels.names) > 1:
        grids.insert(0, _class_grid(evaluation))
    if evaluation.cases[0].noise is not None:
        grids.append(_noise_grid(evaluation))
    return grids


def _class_grid(evaluation: Evaluation) -> Grid:
    """The main metric of each class, with what was missed."""
    described = describe_targets(evaluation)
    rows = []
    for name, members in targets(evaluation.labels).items():
        missed = UNDEFINED
        if name != FOREGROUND:
            missed = str(summarize(evaluation)[members[0]].n_missed)
        statistics = described[name][MAIN]
        pooled = pooled_values(evaluation, name)[MAIN]
        rows.append([name, str(statistics.n), missed, *_spread(statistics, MAIN), figure(pooled)])
    return Grid(
        title=f"{MAIN} of each class",
        headings=("class", "n", "missed", *SPREAD, "pooled"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Missed: cases where only the reference holds the class. Foreground: mean over the "
        "classes of a case, then over cases; the mean of the classes' means, nnU-Net's "
        f"foreground_mean, is {figure(foreground_mean(summarize(evaluation))[MAIN])}.",
    )


def _metric_grid(evaluation: Evaluation) -> Grid:
    """All metrics; of a single class its name stands in the title."""
    several = len(evaluation.labels.names) > 1
    rows = []
    for name, by_metric in describe_targets(evaluation).items():
        pooled = pooled_values(evaluation, name)
        for metric, statistics in by_metric.items():
            rows.append(
                [
                    *([name] if several else []),
                    *(evaluation.conventions.title(metric), str(statistics.n)),
                    *_spread(statistics, metric),
                    figure(pooled.get(metric, math.nan)),
                ]
            )
    return Grid(
        title="All metrics" if several else f"All metrics, {name}",
        headings=(*(["class"] if several else []), "metric", "n", *SPREAD, "pooled"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="n: cases where the metric is defined. 95 % CI: of the mean, BCa bootstrap over "
        "cases. Pooled: the pixels of all cases taken as one image. RVD: relative volume "
        "difference, 0 is best. TJ: the ISIC challenge's Jaccard index, 0 below 0.65.",
        text_columns=2 if several else 1,
    )


def pooled_values(evaluation: Evaluation, target: str) -> dict[str, float]:
    """Metrics of overlap over the pixels of all cases; of the foreground, the mean over classes."""
    summaries = summarize(evaluation)
    by_class = [
        overlap_values(summaries[label].pooled, evaluation.conventions.empty)
        for label in targets(evaluation.labels)[target]
    ]
    return {name: defined_mean(values[name] for values in by_class) for name in by_class[0]}


def _noise_grid(evaluation: Evaluation) -> Grid:
    rows = [
        [
            *(row.kind, str(row.n), figure(row.clean.mean), figure(row.noisy.mean)),
            *(figure(row.gap.mean), span(row.gap.low, row.gap.high)),
        ]
        for row in memorisation(evaluation)
    ]
    return Grid(
        title=f"{MAIN} against the clean and against the noisy masks",
        headings=("noise", "n", "clean", "noisy", "gap", "95 % CI"),
        rows=[[Cell(text) for text in row] for row in rows],
        note="Gap: noisy minus clean. Above 0, predictions are nearer to the noise that was taught "
        "than to the truth (memorisation).",
    )


@lru_cache(maxsize=8)  # the tables, the tiles and the page need it
def describe_targets(evaluation: Evaluation) -> dict[str, dict[str, Statistics]]:
    """Statistics over cases: target -> metric -> figures."""
    described = {}
    for name, members in targets(evaluation.labels).items():
        values = [
            case_values(evaluation, members, metric).tolist() for metric in evaluation.metrics
        ]
        statistics = describe(values, evaluation.conventions.seed)
        described[name] = dict(zip(evaluation.metrics, statistics, strict=True))
    return described


def case_values(
    evaluation: Evaluation, members: Sequence[Label], metric: str
) -> NDArray[np.float64]:
    """Mean of a metric over classes in each case, `(n,)`, NaN where undefined."""
    return np.array([target_value(case.values, members, metric) for case in evaluation.cases])


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
    """Decimals of a metric in tables."""
    return 2 if METRICS[metric].is_length else 3
