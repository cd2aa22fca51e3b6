"""Report of a search: a sentence, a table of the trials, and a picture of the surface."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anl_seg.errors import InputError
from anl_seg.experiments.figures.style import COLUMN, STYLE
from anl_seg.experiments.kinds import find_kind
from anl_seg.experiments.search.search import Search
from anl_seg.experiments.search.tune import Trial, best
from anl_seg.formats.files import atomic_path, write_text

TRIALS_NAME = "trials.csv"
PICTURE_NAMES = ("surface.png", "surface.pdf")
SYMBOLS = {"alpha": "α", "beta": "β", "delta": "δ", "lambda_": "λ"}
#: Name of each metric in words, and the labels that it compares held-out images with.
WORDS = {
    "validation_accuracy": ("validation accuracy", "labels as given"),
    "validation_accuracy_clean": ("validation accuracy", "clean labels"),
    "validation_dice": ("validation Dice", "masks as given"),
    "validation_dice_clean": ("validation Dice", "clean masks"),
}
#: Fewest points between which a surface is drawn.
FEWEST = 4
#: Ratio of the ends of a range above which its axis shows powers of ten only.
MANY = 1000


def write_report(root: Path, search: Search, trials: Sequence[Trial]) -> list[Path]:
    """Write the table of the trials and the picture of the surface, as PNG and PDF.

    The picture shows the objective over the first two searched hyper-parameters, or over the only
    one.

    Returns:
        The files written.

    Raises:
        InputError: If no trial is done.
    """
    if best(trials) is None:
        raise InputError(f"{root}: none of {len(trials)} trials is done; run the search first")
    write_text(root / TRIALS_NAME, _as_csv(search, trials))
    with rc_context(dict(STYLE)):
        figure = _draw(search, trials)
        for name in PICTURE_NAMES:
            with atomic_path(root / name) as partial:
                figure.savefig(partial)
    return [root / name for name in (TRIALS_NAME, *PICTURE_NAMES)]


def in_words(search: Search, trials: Sequence[Trial]) -> str:
    """Describe the number of finished, failed and open trials, and the best values."""
    states = Counter(_state(trial) for trial in trials)
    counts = f"{len(trials)} trial{'s' * (len(trials) != 1)}: {states['done']} done, "
    counts += f"{states['failed']} failed"
    if states["open"]:
        counts += f", {states['open']} open"
    if (top := best(trials)) is None:
        return counts
    what, against = WORDS[search.metric]
    values = ", ".join(f"{name.rstrip('_')} {value:g}" for name, value in top.values.items())
    return (
        f"{counts}\nbest: {values}: {what} {_percent(top):.2f} % ({against})\nits run: {top.folder}"
    )


def _as_csv(search: Search, trials: Sequence[Trial]) -> str:
    metrics = find_kind(search.kind).objectives.values()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", *search.ranges, *metrics, "seconds", "run"])
    for trial in trials:
        found = trial.record.metrics if trial.record else {}
        seconds = trial.record.seconds if trial.record else None
        writer.writerow(
            [trial.number, _state(trial), *(trial.values[name] for name in search.ranges)]
            + [found.get(metric) for metric in metrics]
            + [seconds, trial.folder.name]
        )
    return text.getvalue()


def _state(trial: Trial) -> str:
    return "failed" if trial.failed else "open" if trial.objective is None else "done"


def _draw(search: Search, trials: Sequence[Trial]) -> Figure:
    names = list(search.ranges)[:2]
    figure = Figure(figsize=(1.2 * COLUMN, COLUMN), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"{search.settings['loss']}: {len(trials)} trials")
    if len(names) == 1:
        _draw_curve(axes, search, names[0], trials)
    else:
        _draw_surface(figure, axes, search, names, trials)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_curve(axes: Axes, search: Search, name: str, trials: Sequence[Trial]) -> None:
    done = sorted(_done(trials), key=lambda trial: trial.values[name])
    axes.plot([t.values[name] for t in done], [_percent(t) for t in done], "o-", label="trial")
    top = best(trials)
    assert top is not None
    axes.plot(top.values[name], _percent(top), label=_named(top), **_star())
    axes.set(xlabel=SYMBOLS.get(name, name), xscale="log", ylabel=_label(search))


def _draw_surface(
    figure: Figure, axes: Axes, search: Search, names: Sequence[str], trials: Sequence[Trial]
) -> None:
    """Draw trials as points and, if only two parameters are searched, the surface between them."""
    done, failed = _done(trials), [trial for trial in trials if trial.failed]
    colors = [_percent(trial) for trial in done]
    logarithms = np.log10(_places(done, names))
    x, y = logarithms
    if len(search.ranges) == len(names) and _spans(logarithms) and min(colors) < max(colors):
        levels = np.linspace(min(colors), max(colors), 13)
        axes.tricontourf(x, y, colors, levels=levels, alpha=0.75)
    points = axes.scatter(
        x,
        y,
        c=colors,
        s=16,
        vmin=min(colors),
        vmax=max(colors),
        edgecolors="black",
        linewidths=0.4,
        label="trial",
    )
    if failed:
        x, y = np.log10(_places(failed, names))
        axes.scatter(x, y, c="black", s=14, marker="x", linewidths=0.8, label="failed")
    top = best(trials)
    assert top is not None
    axes.plot(*np.log10(_places([top], names)), label=_named(top), **_star())
    _label_axes(axes, search, names)
    figure.colorbar(points, label=_label(search))


def _label_axes(axes: Axes, search: Search, names: Sequence[str]) -> None:
    """Label axes of logarithms with the values themselves."""
    for axis, name in zip((axes.xaxis, axes.yaxis), names, strict=True):
        ticks = _ticks(*search.ranges[name])
        axis.set_ticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
        axis.set_label_text(SYMBOLS.get(name, name))
    low, high = np.log10([search.ranges[name] for name in names]).T
    margin = 0.04 * (high - low)
    (left, bottom), (right, top) = low - margin, high + margin
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _ticks(low: float, high: float) -> list[float]:
    """Return round values from `low` to `high`, or these two if there are none."""
    digits = (1, 2, 5) if high / low < MANY else (1,)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]
    return [value for value in values if low <= value <= high] or [low, high]


def _spans(points: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Return whether points, `(2, n)`, are enough for a surface and not all on one line."""
    centred = points - points.mean(axis=1, keepdims=True)
    return points.shape[1] >= FEWEST and bool(np.linalg.matrix_rank(centred, tol=1e-6) == 2)


def _places(trials: Sequence[Trial], names: Sequence[str]) -> list[list[float]]:
    return [[trial.values[name] for trial in trials] for name in names]


def _done(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.objective is not None]


def _percent(trial: Trial) -> float:
    assert trial.objective is not None
    return 100 * trial.objective


def _label(search: Search) -> str:
    what, against = WORDS[search.metric]
    return f"{what} (%), {against}"


def _named(top: Trial) -> str:
    values = (f"{SYMBOLS.get(name, name)} {value:g}" for name, value in top.values.items())
    return f"best: {', '.join(values)}"


def _star() -> dict[str, Any]:
    return {
        "marker": "*",
        "markersize": 11,
        "color": "white",
        "markeredgecolor": "black",
        "markeredgewidth": 0.7,
        "linestyle": "none",
    }
