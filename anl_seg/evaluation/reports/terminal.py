"""Tables for the terminal."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from anl_seg.evaluation.reports.grid import Grid

#: Marks of a cell -> rich's style.
STYLES = {"": "", "best": "bold", "second": "underline"}


def terminal_table(grid: Grid) -> Table:
    """The table with its title above and its note below."""
    table = Table(  # Text, since rich would read "[x]" in a name as markup
        title=Text(grid.title),
        caption=Text(grid.note) if grid.note else None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for place, heading in enumerate(grid.headings):
        table.add_column(
            Text(heading), justify="left" if place < grid.text_columns else "right", overflow="fold"
        )
    for row in grid.rows:
        table.add_row(*(Text(cell.text, style=STYLES[cell.mark]) for cell in row))
    return table
