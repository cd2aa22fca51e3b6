"""Style of the figures: sizes for a page of two columns, panels in a grid, one legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anl_seg.experiments.figures.figure_runs import FigureRun

#: Pieces of a figure, each with the folder of its run, or None if the run is missing.
Placed = Sequence[tuple[FigureRun, Path | None]]
#: Widths in inches of one column, and of both columns with the space between them.
COLUMN, PAGE = 3.5, 7.16
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.dpi": 250,
    "pdf.fonttype": 42,  # embeds fonts as TrueType, which journals require
}


@dataclass(frozen=True)
class Drawing:
    """A figure, and the numbers in it as a table.

    Attributes:
        figure: The figure.
        columns: Names of the columns of `rows`.
        rows: Rows of the table of numbers.
    """

    figure: Figure
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


def panels(placed: Placed, height: float) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Lay out a panel for each row and column of the pieces, all with the same axes.

    Args:
        placed: Runs with their places in the figure.
        height: Height of a panel in inches.

    Returns:
        The figure, and the panels by row and column.
    """
    places = [(piece.row, piece.column) for piece, _ in placed]
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*places, strict=True))
    figure = Figure(figsize=(PAGE, height * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for panel, column in zip(grid[0], columns, strict=True):
        panel.set_title(column)
    for panel, row in zip(grid[:, -1], rows, strict=True):
        _title_at_the_right(panel, row)
    return figure, {
        (row, column): panel
        for row, line in zip(rows, grid, strict=True)
        for column, panel in zip(columns, line, strict=True)
    }


def add_legend(figure: Figure, **options: Any) -> None:  # noqa: ANN401 (of matplotlib)
    """Add one legend above all panels, with the labels of all of them."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        [*handles.values()], [*handles], loc="outside upper center", ncols=len(handles), **options
    )


def note_missing(panel: Axes) -> None:
    """Write into a panel that its run is missing."""
    panel.text(0.5, 0.5, "not run yet", ha="center", va="center", transform=panel.transAxes)


def _title_at_the_right(panel: Axes, title: str) -> None:
    panel.annotate(
        title,
        (1.03, 0.5),
        xycoords="axes fraction",
        rotation=270,
        va="center",
        fontsize=STYLE["axes.titlesize"],
    )
