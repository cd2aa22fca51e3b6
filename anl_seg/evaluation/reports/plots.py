"""Plots of the reports: SVG images inside the page, each with a text alternative."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#6b7280"
#: Places are fixed, in inches: an automatic layout takes as long as the drawing, and long names
#: leave it no space. The width lets letters be read on a phone.
WIDTH = 5.0
#: Left of the axes, with and without numbers there, and right of them.
NUMBERS, LEFT, RIGHT = 0.5, 0.06, 0.22
#: Numbers and label below the axes, and the label of the vertical axis above them.
BELOW, ABOVE = 0.5, 0.28
#: A row with its name, a line of text, and a letter on average.
ROW, LINE, LETTER = 0.5, 0.19, 0.08
#: Number of letters of a name in a legend, and of a line of the names below slopes.
LEGEND_LETTERS, SLOPE_LETTERS = 54, 26
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "svg.hashsalt": "anl-seg",  # the same values give the same file
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name may contain a dollar
}
#: Most points drawn as vectors. More are drawn as pixels, to keep the page small.
MAX_VECTOR_POINTS = 2000


@dataclass(frozen=True)
class Plot:
    """A plot for a page.

    Attributes:
        title: Heading of the plot.
        source: Data URI of the SVG.
        alt: Description in words and figures.
        caption: Explanation for the reader.
    """

    title: str
    source: str
    alt: str
    caption: str


def box_strip(title: str, values: Mapping[str, Values], axis: str) -> Plot:
    """Draw a box plot with points: one row per name, one point per case, NaN left out.

    Args:
        title: Heading.
        values: Values of the cases, by name.
        axis: Label of the axis, such as "Dice".
    """
    defined = {name: _defined(row) for name, row in values.items()}
    with mpl.rc_context(STYLE):
        figure, axes, places = _rows(list(defined), axis)
        boxes = boxplot_stats(list(defined.values()))
        low, q1, median, q3, high = (
            np.array([box[key] for box in boxes]) for key in ("whislo", "q1", "med", "q3", "whishi")
        )
        axes.hlines(places, low, high, GREY, linewidth=1)
        axes.barh(places, q3 - q1, 0.5, left=q1, color="#eef2f7", edgecolor=GREY, zorder=2)
        points = np.concatenate(list(defined.values()))
        heights = np.repeat(places, [row.size for row in defined.values()])
        heights += np.random.default_rng(0).uniform(-0.16, 0.16, points.size)
        axes.plot(
            points,
            heights,
            "o",
            markersize=3.5,
            markeredgewidth=0,
            alpha=0.55,
            color=COLOURS[0],
            zorder=3,
            rasterized=points.size > MAX_VECTOR_POINTS,
        )
        axes.vlines(median, places - 0.25, places + 0.25, "black", linewidth=1.8, zorder=4)
        source = _source(figure)
    described = "; ".join(f"{name}: {_five_figures(row)}" for name, row in defined.items())
    return Plot(
        title,
        source,
        alt=f"Box and strip plot of {axis}. {described}.",
        caption="A point is a case; the box is the middle half, its line the median, and the "
        "whiskers reach 1.5 times its length.",
    )


def against_size(
    title: str,
    sizes: Mapping[str, Values],
    values: Mapping[str, Values],
    axis: str,
    unit: str = "pixels",
) -> Plot:
    """Draw the metric of each case against the size of the object in the reference.

    Args:
        title: Heading.
        sizes: By class, the size of the object of each case in `unit`. Cases without an object are
            left out.
        values: By class, the metric of each case.
        axis: Label of the metric's axis.
        unit: Unit of the sizes.
    """
    trends = []
    points = sum(size.size for size in sizes.values())
    with mpl.rc_context(STYLE):
        figure, axes = _numbered(f"size in the reference ({unit})", axis, list(sizes))
        for place, (name, size) in enumerate(sizes.items()):
            shown = (size > 0) & ~np.isnan(values[name])
            trends.append(f"{name} {_rank_correlation(size[shown], values[name][shown])}")
            axes.plot(
                size[shown],
                values[name][shown],
                MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
                markersize=4.5,
                markeredgewidth=0,
                alpha=0.7,
                color=COLOURS[place % len(COLOURS)],
                rasterized=points > MAX_VECTOR_POINTS,
            )
        if any((size > 0).any() for size in sizes.values()):
            axes.set_xscale("log")
            low, high = axes.get_xlim()
            subs = (1, 2, 5) if high < 100 * low else (1,)
            axes.xaxis.set_major_locator(LogLocator(subs=subs))
            axes.xaxis.set_major_formatter("{x:,.9g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        _legend(figure, axes, list(sizes))
        source = _source(figure)
    correlation = f"Rank correlation (Spearman): {', '.join(trends)}."
    return Plot(
        title,
        source,
        alt=f"Scatter plot of {axis} against the size in the reference ({unit}). {correlation}",
        caption=f"A point is a case. {correlation}",
    )


def slopes(title: str, baseline: str, values: Mapping[str, Values], axis: str) -> Plot:
    """Draw paired slopes: one panel per other run, with a line per case from the baseline to it.

    Args:
        title: Heading.
        baseline: Name of the run on the left of every panel.
        values: By run, including the baseline, the value of each case, NaN if undefined.
        axis: Label of the metric's axis.
    """
    others = [name for name in values if name != baseline]
    columns = min(len(others), 2)
    rows = -(-len(others) // columns)
    labels = {name: _wrapped(name, SLOPE_LETTERS // columns) for name in values}
    lines = 1 + max(label.count("\n") for label in labels.values())
    described = []
    with mpl.rc_context(STYLE):
        figure, panels = _panels(rows, columns, lines, axis)
        for panel in panels[len(others) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, others, strict=False):
            pairs = np.stack([values[baseline], values[name]])
            pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
            _slope_panel(panel, pairs)
            panel.set_xticks([0, 1], [labels[baseline], labels[name]])
            up, down = int((pairs[1] > pairs[0]).sum()), int((pairs[1] < pairs[0]).sum())
            described.append(f"from {baseline} to {name} {up} cases rise and {down} fall")
        source = _source(figure)
    return Plot(
        title,
        source,
        alt=f"Paired slopes of {axis}: {'; '.join(described)}.",
        caption="A line is a case, blue if it rises and dashed orange if it falls; the black line "
        "is the mean.",
    )


def curves(
    title: str, rows: Mapping[str, Values], axis: str, *, below: str = "epoch", caption: str = ""
) -> Plot:
    """Draw curves over the epochs, one line per name.

    Args:
        title: Heading.
        rows: Value of each epoch by name, NaN if undefined.
        axis: Label of the vertical axis.
        below: Label of the horizontal axis.
        caption: Explanation for the reader.

    Examples:
        >>> curves("Dice", {"ce": np.array([0.5, 0.75])}, "Dice").alt
        'Dice: ce ends at 0.750.'
    """
    with mpl.rc_context(STYLE):
        figure, axes = _numbered(below, axis, list(rows))
        for place, values in enumerate(rows.values()):
            color = COLOURS[place % len(COLOURS)]
            style = "-" if place == 0 else "--"
            axes.plot(range(1, len(values) + 1), values, style, color=color)
        axes.set_ylim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _legend(figure, axes, list(rows))
        source = _source(figure)
    ends = "; ".join(f"{name} ends at {values[-1]:.3f}" for name, values in rows.items())
    return Plot(title, source, alt=f"{title}: {ends}.", caption=caption)


def intervals(title: str, rows: Mapping[str, tuple[float, tuple[float, float]]], axis: str) -> Plot:
    """Draw mean differences with their intervals, and a line at zero.

    Args:
        title: Heading.
        rows: Mean and the two ends of its interval by name, NaN if undefined.
        axis: Label of the axis.
    """
    with mpl.rc_context(STYLE):
        figure, axes, places = _rows(list(rows), axis)
        for place, (mean, ends) in zip(places, rows.values(), strict=True):
            axes.plot(ends, [place, place], color=COLOURS[0], linewidth=2.5)
            axes.plot([mean], [place], "o", color=COLOURS[0], markersize=6)
        axes.vlines(0 * places, places - 0.3, places + 0.3, GREY, linewidth=1, linestyle="--")
        source = _source(figure)
    described = "; ".join(
        f"{name}: "
        + ("undefined" if math.isnan(mean) else f"{mean:.3f}, from {low:.3f} to {high:.3f}")
        for name, (mean, (low, high)) in rows.items()
    )
    return Plot(
        title,
        source,
        alt=f"{axis} with 95 % intervals. {described}.",
        caption="Mean over cases and its 95 % interval; the dashed line is no difference.",
    )


def _slope_panel(panel: Axes, pairs: Values) -> None:
    raster = pairs.size > MAX_VECTOR_POINTS
    for rises, color, style in ((True, COLOURS[0], "-"), (False, COLOURS[1], "--")):
        shown = pairs[:, (pairs[1] > pairs[0]) == rises]
        ends = np.repeat([0, 1], shown.shape[1])
        panel.plot(ends, shown.ravel(), ".", color=color, alpha=0.45, ms=4, rasterized=raster)
        lines = LineCollection(
            [[(0, before), (1, after)] for before, after in shown.T],
            color=color,
            linestyle=style,
            linewidth=1,
            alpha=0.45,
            rasterized=raster,
        )
        panel.add_collection(lines)
    if pairs.size:
        panel.plot([0, 1], pairs.mean(axis=1), color="black", linewidth=2.5, marker="o")
    panel.set_xlim(-0.4, 1.4)


def _rows(names: Sequence[str], axis: str) -> tuple[Figure, Axes, Values]:
    """Make axes with rows of height 1, from the top down, and write a name at the top of each.

    Returns:
        The figure, its axes, and the height at which each row is drawn.
    """
    figure, axes = _figure(ROW * len(names), left=LEFT, below=BELOW)
    places = np.arange(len(names), dtype=np.float64)
    letters = int((WIDTH - LEFT - RIGHT) / LETTER)
    for place, name in zip(places, names, strict=True):
        axes.text(
            0, place, _shortened(name, letters), transform=axes.get_yaxis_transform(), va="top"
        )
    axes.spines.left.set_visible(False)
    axes.set(yticks=[], ylim=(len(names), 0), xlabel=axis)
    axes.use_sticky_edges = False
    return figure, axes, places + 0.68


def _numbered(below: str, above: str, names: Sequence[str]) -> tuple[Figure, Axes]:
    """Make axes with numbers on both sides, a label on each, and space for a legend of `names`."""
    lines = -(-len(names) // _columns(names)) if len(names) > 1 else 0
    figure, axes = _figure(2.6, left=NUMBERS, below=BELOW + LINE * lines, above=ABOVE)
    axes.set_xlabel(below)
    _label_above(figure, above)
    return figure, axes


def _label_above(figure: Figure, label: str) -> None:
    """Write the label of a vertical axis above it, where it need not be turned."""
    figure.text(0.1 / WIDTH, 1 - 0.05 / figure.get_figheight(), label, va="top")


def _legend(figure: Figure, axes: Axes, names: Sequence[str]) -> None:
    """Name the lines of axes below them; a single line needs no legend."""
    if len(names) > 1:
        figure.legend(
            axes.lines,
            [_shortened(name, LEGEND_LETTERS) for name in names],
            loc="lower left",
            ncols=_columns(names),
            frameon=False,
            borderaxespad=0,
        )


def _columns(names: Sequence[str]) -> int:
    """Count the columns of a legend: three, or as many as fit."""
    letters = min(LEGEND_LETTERS, max(map(len, names)))
    return max(1, min(3, int(WIDTH / (LETTER * letters + 0.5))))


def _panels(rows: int, columns: int, lines: int, axis: str) -> tuple[Figure, NDArray[Any]]:
    """Make panels with the same vertical axis, and space for lines of text below each."""
    height, below = 2.6, 0.2 + LINE * lines
    total = ABOVE + rows * (height + below)
    figure = Figure(figsize=(WIDTH, total))
    figure.subplots_adjust(
        left=NUMBERS / WIDTH,
        right=1 - RIGHT / WIDTH,
        bottom=below / total,
        top=1 - ABOVE / total,
        wspace=0.08,
        hspace=below / height,
    )
    _label_above(figure, axis)
    return figure, figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()


def _figure(
    height: float, *, left: float, below: float, above: float = 0.05
) -> tuple[Figure, Axes]:
    """Make axes of a height, and the figure around them."""
    total = above + height + below
    figure = Figure(figsize=(WIDTH, total))
    place = (left / WIDTH, below / total, 1 - (left + RIGHT) / WIDTH, height / total)
    return figure, figure.add_axes(place)


def _shortened(name: str, letters: int) -> str:
    """Omit the middle of a long name, since names often differ at their ends."""
    half = letters // 2
    return name if len(name) <= letters else f"{name[: half - 1]}…{name[-half:]}"


def _wrapped(name: str, letters: int) -> str:
    return textwrap.fill(_shortened(name, 3 * letters), letters)


def _source(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=200, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _defined(values: Values) -> Values:
    return values[~np.isnan(values)]


def _five_figures(values: Values) -> str:
    if not values.size:
        return "no values"
    lowest, q1, median, q3, highest = np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    return (
        f"{values.size} cases, median {median:.3f}, middle half {q1:.3f} to {q3:.3f}, "
        f"range {lowest:.3f} to {highest:.3f}"
    )


def _rank_correlation(sizes: Values, values: Values) -> str:
    """Compute Spearman's rank correlation without `scipy.stats`, which takes long to import."""
    if sizes.size < 3 or not np.ptp(sizes) or not np.ptp(values):
        return "undefined"
    return f"{np.corrcoef(_ranks(sizes), _ranks(values))[0, 1]:.2f}"


def _ranks(values: Values) -> Values:
    """Rank values from 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places])
