"""Reports as GitHub Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from anl_seg.evaluation.reports.grid import Cell, Grid

#: Text before and after a marked cell. HTML underlines, because Markdown cannot.
MARKS = {"": ("", ""), "best": ("**", "**"), "second": ("<u>", "</u>")}


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
    measured = "".join(f"- {_escape(note)}\n" for note in notes)
    paragraphs = [f"{_escape(paragraph)}\n" for paragraph in lead]
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
    parts = (f"**{_escape(grid.title)}**", table, _escape(grid.note))
    return "\n\n".join(filter(None, parts)) + "\n"


def _cell(cell: Cell) -> str:
    before, after = MARKS[cell.mark]
    return f"{before}{_escape(cell.text)}{after}"


def _escape(text: str) -> str:
    for character in "\\|*_<`":
        text = text.replace(character, "\\" + character)
    return text
