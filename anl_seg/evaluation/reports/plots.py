"""Plots of the reports: SVG images inside the page, each with a text alternative."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

Values = NDArray[np.float64]

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#6b7280"
#: Width in inches, narrow enough for legible letters on a phone.
WIDTH = 5.0
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
        figure, axes = _figure(height=0.8 + 0.55 * len(defined))
        axes.boxplot(
            list(defined.values()),
            orientation="horizontal",
            tick_labels=list(defined),
            widths=0.5,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": "#eef2f7", "edgecolor": GREY},
            whiskerprops={"color": GREY},
            capprops={"color": GREY},
            medianprops={"color": "black", "linewidth": 1.8},
        )
        rng = np.random.default_rng(0)
        for place, row in enumerate(defined.values(), start=1):
            axes.scatter(
                row,
                place + rng.uniform(-0.16, 0.16, row.size),
                s=12,
                alpha=0.55,
                color=COLOURS[0],
                linewidths=0,
                zorder=3,
                rasterized=row.size > MAX_VECTOR_POINTS,
            )
        axes.invert_yaxis()
        axes.set_xlabel(axis)
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
    title: str, sizes: Mapping[str, Values], values: Mapping[str, Values], axis: str
) -> Plot:
    """Draw the metric of each case against the size of the object in the reference.

    Args:
        title: Heading.
        sizes: By class, the size of the object of each case in pixels. Cases without an object are
            left out.
        values: By class, the metric of each case.
        axis: Label of the metric's axis.
    """
    trends = []
    with mpl.rc_context(STYLE):
        figure, axes = _figure(height=3.4)
        for place, (name, size) in enumerate(sizes.items()):
            shown = (size > 0) & ~np.isnan(values[name])
            trends.append(f"{name} {_rank_correlation(size[shown], values[name][shown])}")
            axes.scatter(
                size[shown],
                values[name][shown],
                s=20,
                alpha=0.7,
                marker=MARKERS[place % len(MARKERS)],
                color=COLOURS[place % len(COLOURS)],
                linewidths=0,
                label=name,
                rasterized=size.size > MAX_VECTOR_POINTS,
            )
        axes.set(xlabel="size in the reference (pixels)", ylabel=axis)
        if any((size > 0).any() for size in sizes.values()):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        if len(sizes) > 1:
            figure.legend(loc="outside lower center", ncols=3, frameon=False)
        source = _source(figure)
    correlation = f"Rank correlation (Spearman): {', '.join(trends)}."
    return Plot(
        title,
        source,
        alt=f"Scatter plot of {axis} against the size in the reference. {correlation}",
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
    described = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.3 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for panel in panels[len(others) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, others, strict=False):
            pairs = np.stack([values[baseline], values[name]])
            pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
            _slope_panel(panel, pairs, (baseline, name))
            up, down = int((pairs[1] > pairs[0]).sum()), int((pairs[1] < pairs[0]).sum())
            described.append(f"from {baseline} to {name} {up} cases rise and {down} fall")
        for row in range(rows):
            panels[row * columns].set_ylabel(axis)
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
        figure, axes = _figure(height=3.0)
        for place, (name, values) in enumerate(rows.items()):
            color = COLOURS[place % len(COLOURS)]
            style = "-" if place == 0 else "--"
            axes.plot(range(1, len(values) + 1), values, style, color=color, label=name)
        axes.set(xlabel=below, ylabel=axis, ylim=(0, 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
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
        figure, axes = _figure(height=0.9 + 0.42 * len(rows))
        for place, (mean, (low, high)) in enumerate(rows.values()):
            axes.plot([low, high], [place, place], color=COLOURS[0], linewidth=2.5)
            axes.plot([mean], [place], "o", color=COLOURS[0], markersize=6)
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
        axes.set_yticks(range(len(rows)), list(rows))
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(axis)
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


def _slope_panel(panel: Axes, pairs: Values, names: Sequence[str]) -> None:
    for before, after in pairs.T:
        rises = after > before
        panel.plot(
            [0, 1],
            [before, after],
            color=COLOURS[0] if rises else COLOURS[1],
            linestyle="-" if rises else "--",
            alpha=0.45,
            linewidth=1,
            marker=".",
            markersize=4,
        )
    if pairs.size:
        panel.plot([0, 1], pairs.mean(axis=1), color="black", linewidth=2.5, marker="o")
    panel.set_xticks([0, 1], names)
    panel.set_xlim(-0.25, 1.25)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _source(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
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
