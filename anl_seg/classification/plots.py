"""Pictures of the paper's Fig. 2 and Fig. 3 for one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anl_seg.classification.run_files import Epoch
from anl_seg.formats.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
PINK, SKY, YELLOW = "#CC79A7", "#56B4E9", "#E69F00"
#: Curves of Fig. 3 by label: field of `Epoch`, colour and style.
CURVES = {
    "test": ("test_accuracy", BLACK, "-"),
    "training, clean": ("clean_accuracy", BLUE, "--"),
    "training, mislabelled": ("mislabelled_accuracy", ORANGE, ":"),
}
#: Colours of the bars of each class: clean labels, given labels, and predictions.
BAR_COLORS = (BLACK, ORANGE, BLUE, GREEN, PINK, SKY, YELLOW)
#: Most names that fit below an axis.
MOST_CLASS_NAMES = 20


def draw_accuracies(log: Sequence[Epoch], title: str, path: Path) -> None:
    """Draw accuracies over the epochs: test, clean and mislabelled training images (Fig. 3)."""
    figure, axes = _figure(title)
    plot_accuracies(axes, log)
    axes.set(xlabel="epoch", ylabel="accuracy against the given label (%)", ylim=(0, 100))
    axes.legend(frameon=False)
    _save(figure, path)


def plot_accuracies(axes: Axes, log: Sequence[Epoch]) -> None:
    """Plot the curves of Fig. 3, in percent."""
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in log]
    for label, percent in accuracies(log).items():
        _, color, style = CURVES[label]
        axes.plot(epochs, percent, style, color=color, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def accuracies(log: Sequence[Epoch]) -> dict[str, list[float]]:
    """Return the curves of Fig. 3 in per cent, by label; without curves of missing images."""
    shares = {
        label: [getattr(epoch, name) for epoch in log] for label, (name, *_) in CURVES.items()
    }
    return {
        label: [100 * share for share in curve]
        for label, curve in shares.items()
        if None not in curve
    }


def draw_marginals(
    classes: Sequence[str], shares: Mapping[str, Sequence[float]], title: str, path: Path
) -> None:
    """Draw the share of each class among labels and predictions, side by side (Fig. 2).

    Args:
        classes: Names of the K classes.
        shares: Rows of K shares, by name.
        title: Title of the picture.
        path: File of the picture.
    """
    figure, axes = _figure(title)
    plot_marginals(axes, classes, shares)
    axes.legend(frameon=False, ncols=3)
    axes.margins(y=0.2)
    _save(figure, path)


def plot_marginals(
    axes: Axes, classes: Sequence[str], shares: Mapping[str, Sequence[float]]
) -> None:
    """Plot the bars of Fig. 2, in percent, and a line at equal shares of all classes."""
    places = range(len(classes))
    width = 0.8 / len(shares)
    for number, (label, row) in enumerate(shares.items()):
        lefts = [place - 0.4 + (number + 0.5) * width for place in places]
        color = BAR_COLORS[number % len(BAR_COLORS)]
        axes.bar(lefts, [100 * share for share in row], width, color=color, label=label)
    axes.axhline(100 / len(classes), color="grey", linewidth=0.8, linestyle="--")
    if len(classes) <= MOST_CLASS_NAMES:
        axes.set_xticks(places, classes)
        if max(map(len, classes)) > 3:
            axes.tick_params(axis="x", labelrotation=45)
            for name in axes.get_xticklabels():
                name.set(ha="right", rotation_mode="anchor")
    axes.set(xlabel="class", ylabel="marginal probability (%)")


def _figure(title: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=150)
