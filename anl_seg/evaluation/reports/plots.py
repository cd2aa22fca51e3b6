"""The plots of the reports, each as an SVG that stands in the page, with its text for the blind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from anl_seg.evaluation.reports.drawing import (
    COLOURS,
    INK,
    MARKERS,
    WIDTH,
    Drawing,
    Scale,
    Values,
    scale,
    shortened,
)

#: Room around the axes in CSS pixels; on the left for numbers and a title.
LEFT, RIGHT, ABOVE, BELOW = 64, 12, 10, 46
#: Height of a row that has its name above it, and of a line of a legend.
ROW, LEGEND_LINE = 54, 22
#: Names of a legend that are longer have a line of their own.
LEGEND_LETTERS = 24
#: How far points of a row are spread up and down.
SPREAD = 9


@dataclass(frozen=True)
class Plot:
    """A plot for a page.

    Attributes:
        title: Its heading.
        source: Data URI of the SVG.
        alt: What it shows, in words and figures.
        caption: How to read it.
    """

    title: str
    source: str
    alt: str
    caption: str


def box_strip(title: str, values: Mapping[str, Values], axis: str) -> Plot:
    """Box and strip: one row for each name, a point for each case, NaN left out.

    Args:
        title: Heading.
        values: Name -> values of the cases.
        axis: Label of the axis, such as "Dice".
    """
    defined = {name: _defined(row) for name, row in values.items()}
    drawing, across, middles = _rows(defined, np.concatenate(list(defined.values())), axis)
    rng = np.random.default_rng(0)
    for row, middle in zip(defined.values(), middles, strict=True):
        if row.size:
            _box(drawing, across, row, middle)
        spread = middle + rng.uniform(-SPREAD, SPREAD, row.size)
        drawing.points(across(row), spread, COLOURS[0])
    described = "; ".join(f"{name}: {_five_figures(row)}" for name, row in defined.items())
    return Plot(
        title,
        drawing.source(),
        alt=f"Box and strip plot of {axis}. {described}.",
        caption="A point is a case; the box holds the middle half, its line is the median, the "
        "whiskers reach 1.5 times its length.",
    )


def against_size(
    title: str, sizes: Mapping[str, Values], values: Mapping[str, Values], axis: str
) -> Plot:
    """A point for each case: the metric against the size of the object in the reference.

    Args:
        title: Heading.
        sizes: Class -> size of the object of each case in pixels; cases without are left out.
        values: Class -> metric of each case.
        axis: Label of the metric's axis.
    """
    shown = {name: (size > 0) & ~np.isnan(values[name]) for name, size in sizes.items()}
    places = {name: (sizes[name][cases], values[name][cases]) for name, cases in shown.items()}
    all_sizes, all_values = (np.concatenate(each) for each in zip(*places.values(), strict=True))
    legend = list(sizes) if len(sizes) > 1 else []
    drawing, bottom = _drawing(320, legend)
    across = scale(all_sizes, LEFT, WIDTH - RIGHT, log=True)
    up = scale(all_values, bottom, ABOVE)
    drawing.axis_below(across, bottom, "size in the reference (pixels)")
    drawing.axis_left(up, LEFT, axis)
    for number, (x, y) in enumerate(places.values()):
        colour, marker = _look(number)
        drawing.points(across(x), up(y), colour, marker=marker, opacity=0.7)
    for number, (name, left, line) in enumerate(_legend(legend, bottom)):
        colour, marker = _look(number)
        place = np.array([left - 12.0]), np.array([line - 4.0])
        drawing.points(*place, colour, marker=marker, opacity=1)
        drawing.text(left, line, name)
    trends = [f"{name} {_rank_correlation(*pair)}" for name, pair in places.items()]
    correlation = f"Rank correlation (Spearman): {', '.join(trends)}."
    return Plot(
        title,
        drawing.source(),
        alt=f"Scatter plot of {axis} against the size in the reference. {correlation}",
        caption=f"A point is a case. {correlation}",
    )


def slopes(title: str, baseline: str, values: Mapping[str, Values], axis: str) -> Plot:
    """Paired slopes: for every other run a panel with a line a case from the baseline to the run.

    Args:
        title: Heading.
        baseline: Name of the run on the left of every panel.
        values: Run -> value of each case, NaN where undefined, the baseline among them.
        axis: Label of the metric's axis.
    """
    others = [name for name in values if name != baseline]
    columns, height = min(len(others), 2), 310
    width = (WIDTH - LEFT - RIGHT) / columns
    drawing = Drawing(height * -(-len(others) // columns))
    described = []
    for number, name in enumerate(others):
        pairs = np.stack([values[baseline], values[name]])
        pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
        row, column = divmod(number, columns)
        left, top = LEFT + width * column, height * row
        up = scale(np.concatenate(list(values.values())), top + height - BELOW, top + ABOVE)
        if column == 0:
            drawing.axis_left(up, LEFT, axis)
        across = Scale(-0.25, 1.25, left, left + width)
        _slope_panel(drawing, across, up, pairs)
        first, second = (shortened(run, int(width / 8)) for run in (baseline, name))
        line = 20 if len(first + second) < width / 9 else 38
        drawing.text(left + 12, up.start + 20, first)
        drawing.text(left + width, up.start + line, second, anchor="end")
        rise, fall = int((pairs[1] > pairs[0]).sum()), int((pairs[1] < pairs[0]).sum())
        described.append(f"from {baseline} to {name} {rise} cases rise and {fall} fall")
    return Plot(
        title,
        drawing.source(),
        alt=f"Paired slopes of {axis}: {'; '.join(described)}.",
        caption="A line is a case, blue where it rises and dashed orange where it falls; the black "
        "line is the mean.",
    )


def curves(
    title: str, rows: Mapping[str, Values], axis: str, *, below: str = "epoch", caption: str = ""
) -> Plot:
    """Curves over the epochs, one line for each name.

    Args:
        title: Heading.
        rows: Name -> value of each epoch, NaN if undefined.
        axis: Label of the vertical axis.
        below: Label of the horizontal axis.
        caption: How to read it.

    Examples:
        >>> curves("Dice", {"ce": np.array([0.5, 0.75])}, "Dice").alt
        'Dice: ce ends at 0.750.'
    """
    drawing, bottom = _drawing(280, list(rows))
    last = max(len(values) for values in rows.values())
    across = Scale(1, max(last, 2), LEFT, WIDTH - RIGHT)
    up = Scale(0, 1, bottom, ABOVE)
    drawing.axis_below(across, bottom, below, whole=True)
    drawing.axis_left(up, LEFT, axis)
    for number, (values, (name, x, y)) in enumerate(
        zip(rows.values(), _legend(rows, bottom), strict=True)
    ):
        colour, _ = _look(number)
        dashed = number > 0
        steps = np.arange(1, len(values) + 1)
        drawing.line(across(steps), up(values), colour, 1.8, dashed=dashed)
        drawing.line([x - 26, x - 4], [y - 4, y - 4], colour, 1.8, dashed=dashed)
        drawing.text(x, y, name)
    ends = "; ".join(f"{name} ends at {values[-1]:.3f}" for name, values in rows.items())
    return Plot(title, drawing.source(), alt=f"{title}: {ends}.", caption=caption)


def intervals(title: str, rows: Mapping[str, tuple[float, tuple[float, float]]], axis: str) -> Plot:
    """Mean differences with their intervals and a line at zero.

    Args:
        title: Heading.
        rows: Name -> mean and the two ends of its interval, NaN where undefined.
        axis: Label of the axis.
    """
    figures = {name: np.array([low, mean, high]) for name, (mean, (low, high)) in rows.items()}
    drawing, across, middles = _rows(rows, np.concatenate([*figures.values(), [0.0]]), axis)
    zero = float(across(0))
    drawing.line([zero, zero], [ABOVE, middles[-1] + SPREAD], dashed=True)
    for figure, middle in zip(figures.values(), middles, strict=True):
        places = across(figure)
        drawing.line(places, np.full(3, middle), COLOURS[0], 2.5)
        drawing.points(places[1:2], np.array([middle]), COLOURS[0], opacity=1)
    described = "; ".join(
        f"{name}: "
        + ("undefined" if math.isnan(mean) else f"{mean:.3f}, from {low:.3f} to {high:.3f}")
        for name, (mean, (low, high)) in rows.items()
    )
    return Plot(
        title,
        drawing.source(),
        alt=f"{axis} with 95 % intervals. {described}.",
        caption="Mean over cases and its 95 % interval; the dashed line is no difference.",
    )


def _rows(names: Iterable[str], values: Values, axis: str) -> tuple[Drawing, Scale, list[float]]:
    """Rows with their names above them: the drawing, its scale, the middle of each row."""
    middles = [ABOVE + ROW * number + 34.0 for number, _ in enumerate(names)]
    bottom = middles[-1] + 20
    drawing = Drawing(bottom + BELOW)
    for name, middle in zip(names, middles, strict=True):
        drawing.text(RIGHT, middle - 20, shortened(name, 60))
    across = scale(values, RIGHT, WIDTH - RIGHT)
    drawing.axis_below(across, bottom, axis)
    return drawing, across, middles


def _box(drawing: Drawing, across: Scale, values: Values, middle: float) -> None:
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    near = values[(values >= q1 - 1.5 * (q3 - q1)) & (values <= q3 + 1.5 * (q3 - q1))]
    lowest, left, line, right, highest = across([near.min(), q1, median, q3, near.max()]).tolist()
    for inner, outer in ((left, lowest), (right, highest)):
        drawing.line([inner, outer], [middle, middle])
        drawing.line([outer, outer], [middle - 6, middle + 6])
    drawing.box(left, middle - 12, right - left, 24)
    drawing.line([line, line], [middle - 12, middle + 12], INK, 2)


def _slope_panel(drawing: Drawing, across: Scale, up: Scale, pairs: Values) -> None:
    x = across([0, 1])
    drawing.line([across.start, across.end], [up.start, up.start])
    for before, after in pairs.T:
        look = (COLOURS[0], False) if after > before else (COLOURS[1], True)
        drawing.line(x, up([before, after]), look[0], dashed=look[1], opacity=0.45)
    if pairs.size:
        y = up(pairs.mean(axis=1))
        drawing.line(x, y, INK, 2.5)
        drawing.points(x, y, INK, opacity=1)


def _drawing(height: float, legend: Iterable[str]) -> tuple[Drawing, float]:
    """A drawing with room for a legend, and where its lower axis stands."""
    bottom = height - BELOW
    return Drawing(max([height, *(y + 10 for _, _, y in _legend(legend, bottom))])), bottom


def _legend(names: Iterable[str], bottom: float) -> list[tuple[str, float, float]]:
    """Names below an axis, in two columns if they are short, and where they stand."""
    names = list(names)
    columns = 2 if all(len(name) <= LEGEND_LETTERS for name in names) else 1
    places = (divmod(number, columns) for number in range(len(names)))
    return [
        (
            shortened(name, 2 * LEGEND_LETTERS),
            LEFT + 210.0 * column,
            bottom + 62.0 + LEGEND_LINE * line,
        )
        for name, (line, column) in zip(names, places, strict=True)
    ]


def _look(number: int) -> tuple[str, str]:
    """Colour and marker of the class of a number."""
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]


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
    """Spearman's, as `scipy.stats.spearmanr` gives it, which takes longer to load than to draw."""
    if sizes.size < 3 or not np.ptp(sizes) or not np.ptp(values):
        return "undefined"
    return f"{np.corrcoef(_ranks(sizes), _ranks(values))[0, 1]:.2f}"


def _ranks(values: Values) -> Values:
    """Ranks from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places])
