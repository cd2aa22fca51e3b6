"""Tables of an evaluation for the terminal: classes, memorised noise, worst cases."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from operator import itemgetter

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.foreground import case_mean
from anl_seg.evaluation.memorisation import Memorisation
from anl_seg.evaluation.reports.grid import UNDEFINED
from anl_seg.evaluation.reports.terminal import text
from anl_seg.evaluation.statistics import Statistics
from anl_seg.evaluation.summary import ClassSummary, EvaluationSummary, TargetSummary
from anl_seg.formats.dataset_json import Label

#: Most cases that are all shown. Of more, only the worst are.
ALL_CASES = 40
WORST_CASES = 10
#: Metrics shown for each of several classes. The files contain all metrics.
MAIN_METRICS = ("Dice", "HD95", "NSD")
#: Row of nnU-Net's mean over the means of the classes.
NNUNET_MEAN = "foreground_mean"


def tables(summary: EvaluationSummary) -> Iterator[RenderableType]:
    """Yield everything to print, the most important last, because it stays on the screen."""
    yield case_table(summary.evaluation)
    if summary.memorisation:
        yield memorisation_table(summary.memorisation)
    yield from class_tables(summary)


def class_tables(summary: EvaluationSummary) -> Iterator[Table]:
    """Yield statistics over cases: all metrics of a single class, the main ones of several."""
    evaluation = summary.evaluation
    title, n_cases = evaluation.conventions.title, _cases(len(evaluation.cases))
    notes = "\n".join(
        note for label, found in summary.classes.items() for note in _notes(label, found)
    )
    if len(summary.targets) == 1:
        ((name, target),) = summary.targets.items()
        table = _statistics_table(f"{name}: {n_cases}", notes)
        for metric in target.statistics:
            table.add_row(text(title(metric)), *_cells(target, metric))
        yield table
        return
    for metric in (metric for metric in MAIN_METRICS if metric in evaluation.metrics):
        table = _statistics_table(f"{title(metric)}: {n_cases}", notes)
        first = next(iter(summary.targets))
        for name, target in summary.targets.items():
            table.add_row(text(name), *_cells(target, metric), end_section=name == first)
        table.add_section()
        table.add_row(text(NNUNET_MEAN), "", text(_short(summary.foreground_mean[metric])))
        yield table


def memorisation_table(rows: Sequence[Memorisation]) -> Table:
    """Build the table of Dice against the clean and the noisy masks for each kind of noise."""
    table = Table(
        title="Dice against clean and noisy masks",
        caption="gap above 0: nearer to the noise of the training than to the truth",
    )
    table.add_column("noise")
    for heading in ("n", "clean", "noisy", "gap", "95 % CI"):
        table.add_column(heading, justify="right")
    for row in rows:
        interval = f"{_short(row.gap.low)} to {_short(row.gap.high)}"
        cells = (
            row.kind,
            str(row.n),
            _mean(row.clean),
            _mean(row.noisy),
            _short(row.gap.mean),
            UNDEFINED if math.isnan(row.gap.low) else interval,
        )
        table.add_row(*map(text, cells))
    return table


def case_table(evaluation: Evaluation) -> Table:
    """Build a table with one row per case, lowest Dice first: all cases, or the worst of many."""
    cases = sorted(evaluation.cases, key=_worst_first)
    title = "cases, worst first"
    if len(cases) > ALL_CASES:
        cases = cases[:WORST_CASES]
        title = f"worst {WORST_CASES} of {len(evaluation.cases)} cases"
    several = len(evaluation.labels.names) > 1
    shown = [name for name in ("Dice", "IoU", "HD95") if name in evaluation.metrics]
    table = Table(title=title)
    table.add_column("case", overflow="fold")
    for name in shown:
        heading = evaluation.conventions.title(name)
        table.add_column(f"mean {heading}" if several else heading, justify="right")
    if several:
        table.add_column("lowest class", overflow="fold")
    for case in cases:
        cells = [case.case, *(_figure(case_mean(case, name)) for name in shown)]
        if several:
            cells.append(_lowest_class(case, evaluation))
        table.add_row(*map(text, cells))
    return table


def _statistics_table(title: str, caption: str) -> Table:
    table = Table(
        title=text(title),
        caption=text(caption) if caption else None,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("", overflow="fold")
    for heading in ("n", "mean ± std", "95 % CI", "median", "IQR", "pooled"):
        table.add_column(text(heading), justify="right")
    return table


def _cells(target: TargetSummary, metric: str) -> list[Text]:
    found = target.statistics[metric]
    cells = (
        str(found.n),
        _mean(found),
        _range(found.low, found.high),
        _short(found.median),
        _range(found.q1, found.q3),
        _short(target.pooled[metric]) if metric in target.pooled else "",
    )
    return list(map(text, cells))


def _notes(label: Label, summary: ClassSummary) -> Iterator[str]:
    """Yield notes on cases that the means do not show."""
    for number, words in (
        (summary.n_both_empty, "in neither mask"),
        (summary.n_missed, "missed"),
        (summary.n_extra, "predicted, but not in the reference"),
    ):
        if number:
            yield f"class {label}: {words} in {_cases(number)}"


def _cases(number: int) -> str:
    return f"{number} case{'s' * (number != 1)}"


def _worst_first(case: CaseResult) -> tuple[bool, float]:
    value = case_mean(case, "Dice")
    return math.isnan(value), value


def _lowest_class(case: CaseResult, evaluation: Evaluation) -> str:
    defined = [
        (values["Dice"], label)
        for label, values in case.values.items()
        if not math.isnan(values["Dice"])
    ]
    if not defined:
        return ""
    value, label = min(defined, key=itemgetter(0))
    return f"{evaluation.labels.title(label)}: {_figure(value)}"


def _mean(found: Statistics) -> str:
    if math.isnan(found.std):  # a single case, or none
        return _short(found.mean)
    return f"{_short(found.mean)} ± {_short(found.std)}"


def _range(low: float, high: float) -> str:
    return UNDEFINED if math.isnan(low) else f"{_short(low)}–{_short(high)}"


def _figure(value: float) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.4f}"


def _short(value: float) -> str:
    """Format a number for a table of 80 columns; a true minus differs from the dash of a range."""
    if math.isnan(value):
        return UNDEFINED
    return (f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}").replace("-", "−")
