"""Fit of a network to clean and noisy labels of its training patches, epoch by epoch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anl_seg.formats.files import atomic_path, write_text

CURVE = "memorisation.jsonl"
PLOT = "memorisation.png"
#: Shortest time between two plots. An epoch of a small data set takes less time than a plot.
PLOT_SECONDS = 30.0


class FitOfLabels(nn.Module):
    """A loss that also counts the agreement of the output with noisy and with clean labels.

    It is called with nnU-Net's outputs and targets, which are lists if there are several scales.
    The loss uses the first channel of a target. The second channel has the clean labels. The noisy
    labels are the third channel if they were corrected, otherwise the first. Targets of one channel
    are not counted.

    Args:
        loss: The loss.
        classes: Number K of classes.
        ignore_label: Label that does not count, or None.
    """

    confusions: Tensor

    def __init__(self, loss: nn.Module, classes: int, ignore_label: int | None) -> None:
        super().__init__()
        self.loss = loss
        self.classes = classes
        self.ignore_label = ignore_label
        #: Pixels by noisy label, clean label and prediction, summed over the epoch.
        self.register_buffer("confusions", torch.zeros(classes**3, dtype=torch.long))

    def forward(self, output: Any, target: Any) -> Tensor:  # noqa: ANN401 (tensors or lists)
        """Return the loss."""
        several = isinstance(target, (list, tuple))
        first = target[0] if several else target
        if first.shape[1] > 1:
            self._count(output[0] if several else output, first)
            target = [each[:, :1] for each in target] if several else target[:, :1]
        return self.loss(output, target)

    @torch.no_grad()
    def _count(self, logits: Tensor, target: Tensor) -> None:
        noisy, clean = target[:, 2 if target.shape[1] == 3 else 0].long(), target[:, 1].long()
        index = (noisy * self.classes + clean) * self.classes + logits.argmax(1)
        if self.ignore_label is not None:
            index = index[(noisy != self.ignore_label) & (clean != self.ignore_label)]
        self.confusions += torch.bincount(index.flatten(), minlength=self.classes**3)

    def take_counts(self) -> Tensor:
        """Return the counts since the last call, `(K, K, K)`: noisy, clean, predicted label."""
        counts = self.confusions.clone().reshape(3 * [self.classes])
        self.confusions.zero_()
        return counts


def fit(counts: Tensor) -> dict[str, float | int | None]:
    """Summarise the counts of `FitOfLabels`.

    Returns:
        These values by name, each None if its denominator is 0:

        - `dice_noisy` and `dice_clean`: pooled Dice of the predictions with both kinds of labels,
          mean over the foreground classes that occur;
        - `wrong_pixels`: number of pixels whose labels differ;
        - `memorised` and `corrected`: shares of these pixels that are predicted as labelled, and
          correctly.
    """
    counts = counts.cpu().double()  # MPS has no float64
    same = torch.eye(len(counts), dtype=torch.bool)
    wrong = counts[~same]  # (noisy, clean) pairs that differ, by prediction
    noisy, clean = (~same).nonzero(as_tuple=True)
    rows = torch.arange(len(wrong))
    number = int(wrong.sum())
    return {
        "dice_noisy": _dice(counts.sum(1)),
        "dice_clean": _dice(counts.sum(0)),
        "wrong_pixels": number,
        "memorised": float(wrong[rows, noisy].sum()) / number if number else None,
        "corrected": float(wrong[rows, clean].sum()) / number if number else None,
    }


def _dice(confusion: Tensor) -> float | None:
    both = (confusion.sum(0) + confusion.sum(1))[1:]
    dice = 2 * confusion.diagonal()[1:] / both
    return float(dice[both > 0].mean()) if (both > 0).any() else None


def add_to_curve(
    folder: Path, epoch: int, values: dict[str, float | int | None], *, last: bool = False
) -> None:
    """Append the `values` of an epoch, counted from 0, to the curve. Later epochs are removed.

    The plot is drawn after the `last` epoch, and whenever it is older than `PLOT_SECONDS`.
    """
    path = folder / CURVE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    curve = [point for point in map(json.loads, lines) if point["epoch"] < epoch]
    curve.append({"epoch": epoch, **values})
    write_text(path, "".join(json.dumps(point) + "\n" for point in curve))
    plot = folder / PLOT
    if last or not plot.exists() or time.time() - plot.stat().st_mtime > PLOT_SECONDS:
        _plot(plot, curve)


def _plot(path: Path, curve: list[dict[str, Any]]) -> None:
    from matplotlib import style  # takes a second to import
    from matplotlib.figure import Figure

    left = {"dice_clean": "with the clean labels", "dice_noisy": "with the noisy labels"}
    right = {"corrected": "predicted correctly", "memorised": "predicted as labelled"}
    epochs = [point["epoch"] for point in curve]
    with style.context("default"):  # nnU-Net's plot changes the global style
        figure = Figure(figsize=(10, 4), layout="constrained")
        for axes, names in zip(figure.subplots(1, 2), (left, right), strict=True):
            for key, label in names.items():
                values = [float("nan") if point[key] is None else point[key] for point in curve]
                axes.plot(epochs, values, marker="." if len(curve) < 30 else "", label=label)
            axes.set(xlabel="epoch", ylim=(0, 1))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend()
            axes.grid(alpha=0.3)
        figure.axes[0].set_ylabel("Dice on the training patches")
        figure.axes[1].set_ylabel("share of the pixels with wrong labels")
        with atomic_path(path) as partial:
            figure.savefig(partial, dpi=120)
