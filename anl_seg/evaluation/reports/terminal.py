"""Tables for the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from anl_seg.evaluation.reports.grid import Grid
from anl_seg.printable import printable

#: rich's style for each mark of a cell.
STYLES = {"": "", "best": "bold", "second": "underline"}


def text(content: str, style: str = "") -> Text:
    """Create text without markup, because rich reads "[x]" in a str as markup.

    Characters that the terminal lacks are replaced.
    """
    return Text(printable(content), style=style)


def terminal_table(grid: Grid) -> Table:
    """Build the table with its title above and its note below."""
    table = Table(
        title=text(grid.title),
        caption=text(grid.note) if grid.note else None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, heading in enumerate(grid.headings):
        table.add_column(
            text(heading), justify="left" if place < grid.text_columns else "right", overflow="fold"
        )
    for row in grid.rows:
        table.add_row(*(text(cell.text, STYLES[cell.mark]) for cell in row))
    return table
