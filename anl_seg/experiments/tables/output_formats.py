"""Formats of a table of the paper: text, Markdown, LaTeX, HTML and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from rich.cells import cell_len
from rich.console import Console

from anl_seg.errors import InputError, named
from anl_seg.evaluation.reports.grid import Grid
from anl_seg.evaluation.reports.latex import latex_table
from anl_seg.evaluation.reports.markdown import markdown_table, paragraph
from anl_seg.evaluation.reports.page import render
from anl_seg.evaluation.reports.terminal import terminal_table
from anl_seg.experiments.tables.report import Report

#: Width of text in a file, in characters.
FILE_WIDTH = 160


def print_text(report: Report, console: Console) -> None:
    """Print a table, split into several if it is too wide for the console."""
    if report.head:
        console.print(report.head, style="bold", markup=False, highlight=False)
    for part in _parts(report.grid, console.width):
        console.print(terminal_table(part))
    for note in (report.grid.note, *report.notes):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def written(report: Report, form: str) -> str:
    """Render a table in a format.

    Raises:
        InputError: If the format is unknown.
    """
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}; choose one of {named([*FORMATS])}")
    return FORMATS[form](report)


def _text(report: Report) -> str:
    file = io.StringIO()
    print_text(report, Console(file=file, width=FILE_WIDTH, no_color=True))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _markdown(report: Report) -> str:
    # notes stay in one line each: they may hold a command
    parts = (paragraph(report.head), markdown_table(report.grid).rstrip(), *report.notes)
    return "\n\n".join(filter(None, parts)) + "\n"


def _latex(report: Report) -> str:
    caption = " ".join(filter(None, (report.head, report.grid.note)))
    label = report.grid.title.partition(":")[0].lower().replace(" ", "-")
    notes = "".join(f"% {note}\n" for note in report.notes)
    return notes + latex_table(replace(report.grid, note=caption), label)


def _html(report: Report) -> str:
    return render("table.html.jinja", head=report.head, grid=report.grid, notes=report.notes)


def _csv(report: Report) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(report.values[0]), lineterminator="\n")
    writer.writeheader()
    for row in report.values:
        writer.writerow({key: _for_csv(value) for key, value in row.items()})
    return file.getvalue()


#: Function that renders each format.
FORMATS: Mapping[str, Callable[[Report], str]] = MappingProxyType(
    {"text": _text, "markdown": _markdown, "latex": _latex, "html": _html, "csv": _csv}
)


def _for_csv(value: object) -> object:
    """Prepare a value for a CSV file: empty for NaN, percentages with 4 decimals."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else round(value, 4)


def _parts(grid: Grid, width: int) -> Iterator[Grid]:
    """Yield the table in parts that fit the width, each with the names of the rows."""
    lines = [grid.headings, *([cell.text for cell in row] for row in grid.rows)]
    widths = [max(cell_len(text) for text in column) + 2 for column in zip(*lines, strict=True)]
    names = range(grid.text_columns)
    parts: list[list[int]] = [[]]
    for place in range(grid.text_columns, len(widths)):
        if parts[-1] and sum(widths[each] for each in (*names, *parts[-1], place)) > width:
            parts.append([])
        parts[-1].append(place)
    for places in parts:
        kept = [*names, *places]
        yield replace(
            grid,
            headings=[grid.headings[place] for place in kept],
            rows=[[row[place] for place in kept] for row in grid.rows],
            note="",
        )
