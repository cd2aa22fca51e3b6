"""An evaluation as tables for the terminal: the classes, and the cases, worst first."""

from __future__ import annotations

import math
from operator import itemgetter

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import dice, iou
from anl_seg.evaluation.summary import case_mean, foreground_mean, summarize

#: Up to so many cases are all shown; of more, only the worst.
ALL_CASES = 40
WORST_CASES = 10


def class_table(evaluation: Evaluation) -> Table:
    """One row per class, and their mean where there are several."""
    table = Table(title=f"{len(evaluation.cases)} cases")
    table.add_column("class", overflow="fold")
    for heading in ("n", "both empty", "mean Dice", "mean IoU", "pooled Dice"):
        table.add_column(heading, justify="right")
    summaries = summarize(evaluation)
    for label, summary in summaries.items():
        table.add_row(
            Text(evaluation.labels.title(label)),
            str(summary.n_scored),
            str(summary.n_both_empty),
            _figure(summary.mean["Dice"]),
            _figure(summary.mean["IoU"]),
            _figure(dice(summary.pooled)),
        )
    if len(summaries) > 1:
        mean = foreground_mean(summaries)
        table.add_section()
        table.add_row("foreground", "", "", _figure(mean["Dice"]), _figure(mean["IoU"]), "")
    return table


def case_table(evaluation: Evaluation) -> Table:
    """One row per case, lowest Dice first: all cases, or only the worst of many."""
    cases = sorted(evaluation.cases, key=_worst_first)
    title = "cases, worst first"
    if len(cases) > ALL_CASES:
        cases = cases[:WORST_CASES]
        title = f"worst {WORST_CASES} of {len(evaluation.cases)} cases"
    several = len(evaluation.labels.names) > 1
    table = Table(title=title)
    table.add_column("case", overflow="fold")
    table.add_column("mean Dice" if several else "Dice", justify="right")
    table.add_column("mean IoU" if several else "IoU", justify="right")
    if several:
        table.add_column("lowest class", overflow="fold")
    for case in cases:
        row: list[RenderableType] = [
            Text(case.case),
            _figure(case_mean(case, dice)),
            _figure(case_mean(case, iou)),
        ]
        if several:
            row.append(Text(_lowest_class(case, evaluation.labels)))
        table.add_row(*row)
    return table


def _worst_first(case: CaseResult) -> tuple[bool, float]:
    value = case_mean(case, dice)
    return math.isnan(value), value


def _lowest_class(case: CaseResult, labels: LabelSet) -> str:
    defined = [
        (dice(counts), label) for label, counts in case.counts.items() if not counts.both_empty
    ]
    if not defined:
        return ""
    value, label = min(defined, key=itemgetter(0))
    return f"{labels.title(label)}: {_figure(value)}"


def _figure(value: float) -> str:
    return f"{value:.4f}"
