"""Figure 2: frequency of each class in clean labels, given labels and predictions."""

from __future__ import annotations

from matplotlib.figure import Figure

from anl_seg.classification.plots import plot_marginals
from anl_seg.classification.run_files import MARGINALS_NAME
from anl_seg.experiments.figures.style import PAGE, Drawing, Placed, add_legend
from anl_seg.formats.text import read_json

HEIGHT = 2.4


def draw_marginals(placed: Placed) -> Drawing:
    """Draw bars for each class: the labels, shared by all runs, and each loss's predictions."""
    shares = {}
    for piece, folder in placed:
        if folder is not None:
            told = read_json(folder / MARGINALS_NAME)
            shares["clean labels"] = told["clean labels"]
            shares["noisy labels"] = told["given labels"]
            shares[piece.label] = told["predicted"]
    classes = told["classes"]
    figure = Figure(figsize=(PAGE, HEIGHT), layout="constrained")
    plot_marginals(figure.subplots(), classes, shares)
    add_legend(figure)
    rows = [
        [label, name, 100 * share]
        for label, row in shares.items()
        for name, share in zip(classes, row, strict=True)
    ]
    return Drawing(figure, ("bar", "class", "percent"), rows)
