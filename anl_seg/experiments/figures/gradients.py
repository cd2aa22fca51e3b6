"""Figure 7: box plots of the gradients of NNCE for clean and for mislabelled training images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from anl_seg.classification.gradients import Box
from anl_seg.classification.plots import BLUE, ORANGE
from anl_seg.classification.run_files import read_gradients
from anl_seg.experiments.figures.style import Drawing, Placed, note_missing, panels

HEIGHT = 2.2
#: Largest number of epochs shown, evenly spaced.
MOST_BOXES = 12
#: Gradient below which the axis is linear, so that it reaches 0. The gradient is 0 if the label has
#: no probability left.
SMALLEST = 1e-2
GROUPS = {"clean": BLUE, "mislabelled": ORANGE}
STATISTICS = ("n", "mean", "low", "q1", "median", "q3", "high")


def draw_gradients(placed: Placed) -> Drawing:
    """Draw one panel per run, with one box per shown epoch and group of images (Fig. 7).

    Triangles are means. Whiskers reach 1.5 times the box's height. Outliers are not drawn.
    """
    figure, axes = panels(placed, HEIGHT)
    rows: list[list[object]] = []
    drawn: list[Box] = []
    for piece, folder in placed:
        panel = axes[piece.row, piece.column]
        if folder is None:
            note_missing(panel)
            continue
        boxes = read_gradients(folder)
        epochs = _evenly(len(boxes))
        for name, color in GROUPS.items():
            shown = [boxes[epoch - 1][name] for epoch in epochs]
            _plot_boxes(panel, shown, name, color)
            drawn += shown
            rows += [
                [piece.column, epoch, name, *(box[statistic] for statistic in STATISTICS)]
                for epoch, box in zip(epochs, shown, strict=True)
            ]
        panel.set_xticks(range(len(epochs)), [str(epoch) for epoch in epochs])
        panel.set_yscale("symlog", linthresh=SMALLEST)
    highest = max(max(box["mean"], box["high"]) for box in drawn)
    figure.axes[0].set_ylim(-SMALLEST / 2, 3 * highest)  # shared by all panels
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel(
        r"$\max_{j \neq y}\ \partial\mathcal{L}_{\mathrm{NNCE}}\,/\,\partial p(j|x)$",
        fontsize="medium",
    )
    figure.legend(
        handles=[Patch(facecolor=color, label=name) for name, color in GROUPS.items()],
        loc="outside upper center",
        ncols=len(GROUPS),
    )
    return Drawing(figure, ("column", "epoch", "images", *STATISTICS), rows)


def _evenly(epochs: int) -> list[int]:
    """Return up to `MOST_BOXES` of the epochs 1 to `epochs`, including the first and the last."""
    if epochs <= MOST_BOXES:
        return list(range(1, epochs + 1))
    step = (epochs - 1) / (MOST_BOXES - 1)
    return [1 + round(place * step) for place in range(MOST_BOXES)]


def _plot_boxes(panel: Axes, boxes: list[Box], name: str, color: str) -> None:
    names = {"mean": "mean", "low": "whislo", "q1": "q1", "median": "med", "q3": "q3"}
    names["high"] = "whishi"
    shift = -0.2 if name == "clean" else 0.2
    panel.bxp(
        [{theirs: box[ours] for ours, theirs in names.items()} for box in boxes],
        positions=[place + shift for place in range(len(boxes))],
        widths=0.34,
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": color, "edgecolor": color, "alpha": 0.5, "linewidth": 0.6},
        medianprops={"color": "black", "linewidth": 0.8},
        whiskerprops={"color": color, "linewidth": 0.6},
        capprops={"color": color, "linewidth": 0.6},
        meanprops={
            "marker": "^",
            "markersize": 3,
            "markerfacecolor": color,
            "markeredgecolor": color,
        },
    )
