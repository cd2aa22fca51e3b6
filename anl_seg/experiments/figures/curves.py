"""Figures 3, 4, 5 and 8: accuracies over the epochs, in panels."""

from __future__ import annotations

from typing import Any

from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from anl_seg.classification.plots import BLACK, BLUE, accuracies, plot_accuracies
from anl_seg.classification.run_files import Epoch, read_log
from anl_seg.experiments.figures.figure_runs import DELTAS, NONE, FigureRun
from anl_seg.experiments.figures.style import Drawing, Placed, add_legend, note_missing, panels

HEIGHT = 1.25
#: Width of a panel of Fig. 4 and 5, which have three panels in a row instead of five.
WIDE_HEIGHT = 1.9
#: Colours of the weights of penalties, from the smallest to the largest. They are part of a colour
#: map, without its blue (ANL-CE's colour) and without colours too light for white paper.
DELTA_COLORS = [
    colormaps["plasma"](0.2 + 0.7 * place / (len(DELTAS) - 1)) for place in range(len(DELTAS))
]


def draw_accuracies(placed: Placed) -> Drawing:
    """Draw one panel for each run: test, clean and mislabelled training images (Fig. 3 and 8)."""
    figure, axes = panels(placed, HEIGHT)
    rows: list[list[object]] = []
    for piece, folder in placed:
        panel = axes[piece.row, piece.column]
        if folder is None:
            note_missing(panel)
            continue
        log = read_log(folder)
        plot_accuracies(panel, log)
        for label, percent in accuracies(log).items():
            rows += _rows(piece, label, log, percent)
        panel.set_ylim(0, 100)
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel("accuracy (%)", fontsize="medium")
    add_legend(figure)
    return Drawing(figure, ("row", "column", "curve", "epoch", "percent"), rows)


def draw_penalties(placed: Placed) -> Drawing:
    """Draw a panel for each penalty, with a curve of test accuracy for each weight (Fig. 4, 5)."""
    figure, axes = panels(placed, WIDE_HEIGHT)
    looks = _looks()
    rows: list[list[object]] = []
    for piece, folder in placed:
        if folder is None:
            continue
        log = read_log(folder)
        percent = accuracies(log)["test"]
        panel = axes[piece.row, piece.column]
        panel.plot([epoch.epoch for epoch in log], percent, **looks[piece.label])
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        rows += _rows(piece, piece.label, log, percent)
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel("test accuracy (%)", fontsize="medium")
    add_legend(figure, title="weight δ of the penalty")
    return Drawing(figure, ("row", "column", "delta", "epoch", "percent"), rows)


def _looks() -> dict[str, dict[str, Any]]:
    """Return the style of the curve of each label; ANL-CE is drawn on top."""
    looks: dict[str, dict[str, Any]] = {
        f"{delta:g}": {"color": color, "label": _power_of_ten(delta)}
        for delta, color in zip(DELTAS, DELTA_COLORS, strict=True)
    }
    looks[NONE] = {"color": BLACK, "linestyle": "--", "label": NONE}
    looks["ANL-CE"] = {"color": BLUE, "linewidth": 1.8, "label": "ANL-CE", "zorder": 3}
    return looks


def _power_of_ten(value: float) -> str:
    """Format 5e-07 as 5·10⁻⁷, in matplotlib's math text."""
    digits, exponent = f"{value:.0e}".split("e")
    factor = "" if digits == "1" else f"{digits}\\cdot"
    return f"${factor}10^{{{int(exponent)}}}$"


def _rows(
    piece: FigureRun, label: str, log: list[Epoch], percent: list[float]
) -> list[list[object]]:
    return [
        [piece.row, piece.column, label, epoch.epoch, value]
        for epoch, value in zip(log, percent, strict=True)
    ]
