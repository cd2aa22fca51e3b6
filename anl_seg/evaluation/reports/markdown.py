"""Reports as GitHub Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from anl_seg.evaluation.reports.grid import Cell, Grid

#: Text before and after a marked cell. HTML underlines, because Markdown cannot.
MARKS = {"": ("", ""), "best": ("**", "**"), "second": ("<u>", "</u>")}
#: Longest line of a paragraph, in characters.
WIDTH = 100


def markdown_document(
    title: str, grids: Sequence[Grid], notes: Sequence[str], lead: Sequence[str] = ()
) -> str:
    """Format a report.

    Args:
        title: Heading of the document.
        grids: Tables.
        notes: Lines on how the figures were measured.
        lead: Paragraphs above the tables.
    """
    measured = "".join(f"- {paragraph(note, indent='  ')}\n" for note in notes)
    paragraphs = [f"{paragraph(each)}\n" for each in lead]
    tables = map(markdown_table, grids)
    parts = [f"# {_escape(title)}\n", *paragraphs, *tables, "## How this was measured\n"]
    return "\n".join([*parts, measured])


def markdown_table(grid: Grid) -> str:
    """Format the table with title above and note below; figures are right-aligned."""
    lines = [
        [*map(_escape, grid.headings)],
        ["---" if place < grid.text_columns else "---:" for place in range(len(grid.headings))],
        *[[_cell(cell) for cell in row] for row in grid.rows],
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    parts = (f"**{_escape(grid.title)}**", table, paragraph(grid.note))
    return "\n\n".join(filter(None, parts)) + "\n"


def paragraph(text: str, indent: str = "") -> str:
    """Wrap plain text as a paragraph, with `indent` before all lines except the first."""
    return textwrap.fill(
        _escape(text),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cell(cell: Cell) -> str:
    before, after = MARKS[cell.mark]
    return f"{before}{_escape(cell.text)}{after}"


def _escape(text: str) -> str:
    for character in "\\|*_<`":
        text = text.replace(character, "\\" + character)
    return text
