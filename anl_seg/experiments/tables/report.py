"""Report of a table of the paper: our results beside the published ones, and notes."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from anl_seg.errors import named
from anl_seg.evaluation.reports.grid import UNDEFINED, Cell, Grid, marks
from anl_seg.experiments.runs.records import DONE
from anl_seg.experiments.runs.sweep import Standing, standings_of
from anl_seg.experiments.tables.layouts import ROMAN
from anl_seg.experiments.tables.names import choose_columns, choose_rows
from anl_seg.experiments.tables.paper_table import PaperTable, runs_of
from anl_seg.paper import hyper_parameters

SOURCE = "Ye et al., arXiv:2412.02373"


@dataclass(frozen=True)
class Report:
    """A table with its notes, for any format.

    Attributes:
        head: Warning above the table; may be empty.
        grid: The table.
        notes: Number of missing runs, the command that does them, and runs without a result.
        values: Figures of the rows as mappings with equal keys.
    """

    head: str
    grid: Grid
    notes: tuple[str, ...]
    values: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class CellResults:
    """Results of the runs of a cell.

    Attributes:
        percentages: Results in per cent, one per finished run.
        asked: Number of seeds of the cell.
    """

    percentages: tuple[float, ...]
    asked: int

    @property
    def mean(self) -> float:
        """Mean over the seeds in per cent; NaN if no run is done."""
        return statistics.fmean(self.percentages) if self.percentages else math.nan

    @property
    def std(self) -> float:
        """Standard deviation over the seeds (n - 1); NaN for fewer than two."""
        return statistics.stdev(self.percentages) if len(self.percentages) > 1 else math.nan


def results_report(table: PaperTable, root: Path, command: str) -> Report:
    """Show our results beside the published ones, and name the missing runs.

    Args:
        table: The table to fill.
        root: Folder of the runs.
        command: Command that does the missing runs.

    Returns:
        The report.

    Raises:
        InputError: If a record of a run cannot be read.

    Examples:
        >>> from anl_seg.experiments.tables.paper_table import Choice, lay_out
        >>> table = lay_out(6, Choice(rows=["anl-ce"], columns=["0.7/0.7"], seeds=[1]))
        >>> results_report(table, Path("runs"), "anl-seg table 6 --run").notes
        ('runs not done: 1 of 1 (1 waiting): anl-seg table 6 --run',)
    """
    found = standings_of(root, runs_of(table))
    results = _cell_results(table, found)
    return Report(
        head=_head(table),
        grid=_grid(table, results),
        notes=(*table.left_out, *_missing(found, command), *_without_result(table, found)),
        values=_values(table, results),
    )


def hyper_parameter_report(rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Report:
    """Return Table VIII, or a part of it: the hyper-parameters of the paper and of our presets.

    Raises:
        InputError: If a row or column is unknown.
    """
    cells = {(cell.loss, cell.column): cell for cell in hyper_parameters()}
    losses = choose_rows(cells.values(), rows)
    data = choose_columns(cells.values(), columns)
    lines = []
    values = []
    for loss, printed in losses.items():
        chosen = [cells.get((loss, column)) for column in data]
        symbols = next((cell.symbols for cell in chosen if cell), ())
        texts = [_tuple(cell.values.values()) if cell else UNDEFINED for cell in chosen]
        lines.append([Cell(text) for text in (printed, ", ".join(symbols) or UNDEFINED, *texts)])
        values += [
            {"loss": loss, "data": cell.column, "parameter": name, "value": value}
            for cell in chosen
            if cell
            for name, value in cell.values.items()
        ]
    return Report(
        head="",
        grid=Grid(
            title="Table VIII: hyper-parameters",
            headings=("method", "parameters", *data),
            rows=lines,
            note=f"As published ({SOURCE}) and in our presets. δ: weight of the L1 norm. "
            "(): no hyper-parameters. A dash: the paper has no such training.",
            text_columns=2,
        ),
        notes=(),
        values=values,
    )


def _cell_results(
    table: PaperTable, found: Sequence[Standing]
) -> dict[tuple[str, str], CellResults]:
    metrics = {each.record.id: each.record.metrics for each in found if each.state == DONE}
    return {
        place: CellResults(
            tuple(
                100 * metrics[run.id][cell.metric]
                for run in cell.runs
                if cell.metric in metrics.get(run.id, {})
            ),
            asked=len(cell.runs),
        )
        for place, cell in table.cells.items()
    }


#: Number of a table without runs -> what makes it from rows and columns.
WITHOUT_RUNS: Mapping[int, Callable[[Sequence[str], Sequence[str]], Report]] = MappingProxyType(
    {8: hyper_parameter_report}
)


def _head(table: PaperTable) -> str:
    if not table.changes:
        return ""
    changes = ", ".join(f"{name} {value}" for name, value in table.changes.items())
    return (
        f"Not the paper's experiment: {changes}; seeds {named([*map(str, table.seeds)])}. "
        f"The published figures are for {table.data} with the paper's protocol, shown beside "
        "ours for orientation only, so no difference is taken."
    )


def _grid(table: PaperTable, results: Mapping[tuple[str, str], CellResults]) -> Grid:
    """Build up to three lines for each row of the paper: ours, published, difference."""
    compared = not table.changes
    ours = {place: found.mean for place, found in results.items()}
    theirs = {
        place: cell.published.mean if cell.published else math.nan
        for place, cell in table.cells.items()
    }
    our_marks, their_marks = _marks(table, ours), _marks(table, theirs)
    rows = []
    for loss, printed in table.rows.items():
        places = [(loss, column) for column in table.columns]
        rows.append(
            [
                Cell(printed),
                Cell("ours"),
                *(Cell(_in_words(results[p], table.digits), our_marks[p]) for p in places),
            ]
        )
        if any(table.cells[place].published for place in places):
            rows.append(
                [
                    Cell(""),
                    Cell("published"),
                    *(Cell(_published(table, p), their_marks[p]) for p in places),
                ]
            )
        if any(not math.isnan(ours[place] - theirs[place]) for place in places) and compared:
            differences = (_signed(ours[p] - theirs[p], table.digits) for p in places)
            rows.append([Cell(""), Cell("difference"), *map(Cell, differences)])
    return Grid(
        title=f"Table {ROMAN[table.number]}: {table.measure}"
        + (f" on {table.data}" if compared else ""),
        headings=("method", "", *table.columns),
        rows=rows,
        note=_note(table, results),
        text_columns=2,
    )


def _note(table: PaperTable, results: Mapping[tuple[str, str], CellResults]) -> str:
    seeds = named([*map(str, table.seeds)])
    spread = (
        f"Ours: mean±std (n - 1) over the seeds {seeds}"
        if len(table.seeds) > 1
        else f"Ours: seed {seeds}"
    )
    partial = any(0 < len(each.percentages) < each.asked for each in results.values())
    return (
        f"{spread}{'; in brackets the number of finished runs' if partial else ''}. "
        f"Published: {SOURCE}. Best in bold, second underlined, ours and published apart."
    )


def _marks(table: PaperTable, means: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], Any]:
    return {
        (loss, column): mark
        for column in table.columns
        for loss, mark in zip(
            table.rows, marks([means[loss, column] for loss in table.rows]), strict=True
        )
    }


def _in_words(found: CellResults, digits: int) -> str:
    text = _plus_minus(found.mean, found.std, digits)
    done = len(found.percentages)
    return f"{text} ({done})" if 0 < done < found.asked else text


def _published(table: PaperTable, place: tuple[str, str]) -> str:
    cell = table.cells[place].published
    return _plus_minus(cell.mean, cell.std, table.digits) if cell else UNDEFINED


def _plus_minus(mean: float, std: float, digits: int) -> str:
    if math.isnan(mean):
        return UNDEFINED
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f"±{std:.{digits}f}")


def _signed(difference: float, digits: int) -> str:
    return UNDEFINED if math.isnan(difference) else f"{difference:+.{digits}f}".replace("-", "−")


def _tuple(values: Iterable[float]) -> str:
    """Format hyper-parameters as Table VIII prints them: "(5, 5, 5e-5)"."""
    return f"({', '.join(f'{value:g}'.replace('e-0', 'e-') for value in values)})"


def _missing(found: Sequence[Standing], command: str) -> list[str]:
    states = Counter(each.state for each in found if each.state != DONE)
    if not states:
        return []
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return [f"runs not done: {states.total()} of {len(found)} ({counted}): {command}"]


def _without_result(table: PaperTable, found: Sequence[Standing]) -> list[str]:
    """Note finished runs without the metric of their cell."""
    metrics = {each.record.id: each.record.metrics for each in found if each.state == DONE}
    lacking = {
        (run.id, cell.metric)
        for cell in table.cells.values()
        for run in cell.runs
        if run.id in metrics and cell.metric not in metrics[run.id]
    }
    if not lacking:
        return []
    missing = named(sorted({metric for _, metric in lacking}))
    return [f"runs done without {missing}: {len(lacking)}, because their data have no test images"]


def _values(
    table: PaperTable, results: Mapping[tuple[str, str], CellResults]
) -> list[dict[str, Any]]:
    rows = []
    for (loss, column), found in results.items():
        cell = table.cells[loss, column]
        published = cell.published
        rows.append(
            {
                "table": table.number,
                "loss": loss,
                "printed": table.rows[loss],
                "column": column,
                "metric": cell.metric,
                "mean": found.mean,
                "std": found.std,
                "seeds_done": len(found.percentages),
                "seeds_asked": found.asked,
                "published_mean": published.mean if published else math.nan,
                "published_std": published.std if published else math.nan,
                "runs": " ".join(run.id for run in cell.runs),
            }
        )
    return rows
