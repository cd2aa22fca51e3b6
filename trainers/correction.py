"""Correct the training labels by the network's own predictions, once it begins to memorise.

A network learns what its labels have in common before it learns what is wrong with each of them
(early learning). Its predictions of the training cases are then better labels than the given ones.
The trainer watches the Dice of the averaged weights on the validation cases. When it falls, the
weights of the best epoch predict all training cases once, and the training goes on with these
masks.

References:
    Liu et al., "Early-learning regularization prevents memorization of noisy labels", NeurIPS 2020.
    Liu et al., "Adaptive early-learning correction for segmentation from noisy annotations",
    CVPR 2022. It decides by the fit of the training labels, we decide by the validation cases.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anl_seg.trainers.datasets import Case, Stacked

#: Folder of the corrected labels in the folder of the fold.
CORRECTED_LABELS = "corrected_labels"
#: Epochs whose mean is compared with the best mean: at least so many, and this share of all.
LEAST_WINDOW, WINDOW_SHARE = 3, 0.02
#: The least fall of that mean that counts, in Dice.
LEAST_FALL = 0.005
#: A fall must also exceed so many standard errors of such a mean. It is looked for in every epoch,
#: so the usual two or three would be exceeded by chance.
STANDARD_ERRORS = 6
#: The least rise that makes an epoch the best one, in Dice.
LEAST_RISE = 0.002


class ValidationPeak:
    """Tells whether the validation Dice has passed its peak, and where the peak was.

    Args:
        dice: Dice of the epochs so far; NaN counts as 0.
        epochs: Epochs of the whole training.

    Attributes:
        dice: Dice of the epochs so far.
        best_epoch: The earliest epoch that no later one surpasses by `LEAST_RISE`, or None.

    Examples:
        >>> peak = ValidationPeak([0.60, 0.66, 0.67, 0.67, 0.65, 0.63, 0.61])
        >>> peak.best_epoch, peak.has_passed
        (2, True)
    """

    def __init__(self, dice: Iterable[float] = (), *, epochs: int = 0) -> None:
        self.window = max(LEAST_WINDOW, round(WINDOW_SHARE * epochs))
        self.dice: list[float] = []
        self.best_epoch: int | None = None
        for each in dice:
            self.add(each)

    def add(self, dice: float) -> bool:
        """Add the Dice of an epoch; returns whether it is the best one."""
        self.dice.append(float(np.nan_to_num(dice)))
        best = self.best_epoch is None or self.dice[-1] > self.dice[self.best_epoch] + LEAST_RISE
        if best:
            self.best_epoch = len(self.dice) - 1
        return best

    @property
    def has_passed(self) -> bool:
        """Whether the mean of the last epochs is below the best mean by more than chance."""
        if len(self.dice) <= self.window:
            return False
        means = np.convolve(self.dice, np.full(self.window, 1 / self.window), mode="valid")
        best = int(means.argmax())
        # Second differences know no trend; 0.6745 sqrt(6) is their median size at a spread of 1.
        spread = np.median(np.abs(np.diff(self.dice, 2))) / (0.6745 * np.sqrt(6))
        chance = STANDARD_ERRORS * spread / np.sqrt(self.window)
        return bool(means[-1] < means[best] - max(LEAST_FALL, chance))


class LabelCorrection:
    """Decides when labels are corrected, and keeps the weights that will do it.

    Args:
        folder: Will hold the corrected labels.
        epochs: Epochs of the whole training.

    Attributes:
        done_in: The epoch after which the labels were corrected, or None.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder = folder
        self.epochs = epochs
        self.peak = ValidationPeak(epochs=epochs)
        self.weights: list[Tensor] = []
        self.done_in: int | None = None

    def watch(self, dice: float, parameters: Iterable[Tensor]) -> bool:
        """Take in the validation Dice of an epoch; returns whether to correct the labels now.

        Args:
            dice: Mean Dice over classes with the given labels.
            parameters: The weights that it was measured with.
        """
        if self.done_in is not None:
            return False
        if self.peak.add(dice):
            self.weights = [parameter.detach().clone() for parameter in parameters]
        return self.peak.has_passed

    @torch.no_grad()
    def restore(self, parameters: Iterable[Tensor]) -> None:
        """Copy the weights of the best epoch into the network."""
        for parameter, weight in zip(parameters, self.weights, strict=True):
            parameter.copy_(weight)

    def finish(self, epoch: int) -> None:
        """Note that the labels are corrected; the weights are not needed any more."""
        self.done_in = epoch
        self.weights = []

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"dice": self.peak.dice, "weights": self.weights, "done_in": self.done_in}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state` of a checkpoint."""
        self.peak = ValidationPeak(state["dice"], epochs=self.epochs)
        self.weights = list(state["weights"])
        self.done_in = state["done_in"]


class WithCorrectedLabels:
    """A data set of nnU-Net that gives the corrected labels of a case once they are written.

    The loading processes look at the folder for each case, because they start before it exists.

    Args:
        dataset: nnU-Net's data set with the given labels, or `WithCleanLabels` around it.
        folder: Will hold the corrected labels, `CASE.npy` of the shape of the labels.
    """

    def __init__(self, dataset: Any, folder: Path) -> None:  # noqa: ANN401 (nnU-Net carries no types)
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers
        self.folder = folder

    def load_case(self, identifier: str) -> Case:
        """Load a case with the labels to train on: the corrected ones as soon as they exist.

        If the clean labels are known, the labels are `(3, *S)`: to train on, clean, given.
        """
        image, labels, previous, properties = self.dataset.load_case(identifier)
        known = labels.arrays if isinstance(labels, Stacked) else (labels,)
        file = self.folder / f"{identifier}.npy"
        first = np.load(file, mmap_mode="r") if file.exists() else known[0]
        if len(known) == 1:
            return image, first, previous, properties
        return image, Stacked(first, known[1], known[0]), previous, properties


def correct_labels(
    dataset: Any,  # noqa: ANN401 (nnU-Net carries no types)
    cases: Sequence[str],
    predict: Callable[[Any], NDArray[Any]],
    folder: Path,
    *,
    ignore_label: int | None = None,
) -> dict[str, float]:
    """Write the predicted labels of cases into a folder.

    A case keeps its given labels if the network predicts nothing of a class that they hold, so
    that no rare structure disappears. Ignored pixels stay ignored.

    Args:
        dataset: nnU-Net's data set with the given labels.
        cases: The cases to do.
        predict: Returns labels `(*S)` for a preprocessed image `(C, *S)`.
        folder: Gets `CASE.npy`, shape and dtype of the labels.
        ignore_label: Label of ignored pixels, or None.

    Returns:
        Share of the pixels that changed, by case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = {}
    for case in cases:
        image, labels, _, _ = dataset.load_case(case)
        given = np.asarray(labels[:])
        predicted = predict(image[:])[None].astype(given.dtype)
        corrected = given if _loses_a_class(given, predicted, ignore_label) else predicted.copy()
        if ignore_label is not None:
            corrected = np.where(given == ignore_label, given, corrected)
        # -1 marks pixels outside the body in nnU-Net's preprocessed labels.
        corrected = np.where(given < 0, given, corrected)
        np.save(folder / f"{case}.npy", corrected)
        changed[case] = float((corrected != given).mean())
    return changed


def _loses_a_class(given: NDArray[Any], predicted: NDArray[Any], ignore_label: int | None) -> bool:
    classes = {int(value) for value in np.unique(given) if value > 0 and value != ignore_label}
    return not classes <= set(np.unique(predicted).tolist())


def publish(partial: Path, folder: Path) -> None:
    """Let the loading processes see all corrected labels at once."""
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
