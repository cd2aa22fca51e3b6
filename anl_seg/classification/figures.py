"""The paper's Fig. 2 and Fig. 3 of one run, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anl_seg.classification.records import Epoch
from anl_seg.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart by the colour-blind too.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"


def draw_accuracies(log: Sequence[Epoch], title: str, path: Path) -> None:
    """Draw accuracies over the epochs: test, clean and mislabelled training images (Fig. 3)."""
    figure, axes = _figure(title)
    epochs = [epoch.epoch for epoch in log]
    curves: dict[str, tuple[str, str, list[float | None]]] = {
        "test": (BLACK, "-", [epoch.test_accuracy for epoch in log]),
        "training, clean": (BLUE, "--", [epoch.clean_accuracy for epoch in log]),
        "training, mislabelled": (ORANGE, ":", [epoch.mislabelled_accuracy for epoch in log]),
    }
    for label, (color, style, shares) in curves.items():
        if None not in shares:
            percent = [100 * share for share in shares if share is not None]
            axes.plot(epochs, percent, style, color=color, label=label)
    axes.set(xlabel="epoch", ylabel="accuracy against the given label (%)", ylim=(0, 100))
    axes.legend(frameon=False)
    _save(figure, path)


def draw_marginals(
    classes: Sequence[str], shares: Mapping[str, Sequence[float]], title: str, path: Path
) -> None:
    """Draw the share of each class among labels and predictions, side by side (Fig. 2).

    Args:
        classes: Names of the K classes.
        shares: Up to three rows of K shares, by name.
        title: Over the picture.
        path: Of the picture.
    """
    figure, axes = _figure(title)
    places = range(len(classes))
    width = 0.8 / len(shares)
    for number, (label, row) in enumerate(shares.items()):
        lefts = [place - 0.4 + (number + 0.5) * width for place in places]
        color = (BLACK, ORANGE, BLUE)[number]
        axes.bar(lefts, [100 * share for share in row], width, color=color, label=label)
    axes.axhline(100 / len(classes), color="grey", linewidth=0.8, linestyle="--")
    if len(classes) <= 20:
        axes.set_xticks(places, classes)
        if max(map(len, classes)) > 3:
            axes.tick_params(axis="x", labelrotation=45)
            for name in axes.get_xticklabels():
                name.set(ha="right", rotation_mode="anchor")
    axes.set(xlabel="class", ylabel="marginal probability (%)")
    axes.legend(frameon=False, ncols=3)
    axes.margins(y=0.2)
    _save(figure, path)


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
