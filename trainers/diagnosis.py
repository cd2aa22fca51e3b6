"""Messages about a training that goes wrong, with advice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anl_seg.errors import named
from anl_seg.formats.nnunet import BEST_CHECKPOINT
from anl_seg.trainers.online_validation import PixelCounts
from anl_seg.trainers.settings import NNUNET_LOSS, TrainerSettings


def explain_divergence(
    terms: Sequence[str],
    images: Tensor,
    keys: Sequence[str],
    settings: TrainerSettings,
    device: str,
) -> str:
    """Explain which part of a loss is not finite, and give advice.

    Args:
        terms: Names of the parts that are not finite; empty if unknown.
        images: The batch `(B, C, *S)`.
        keys: Cases of the batch; empty if unknown.
        settings: Settings of the training.
        device: Kind of device, such as "cuda".

    Returns:
        The message.
    """
    which = f"the {' and '.join(terms) or 'loss'} ({settings.loss})"
    broken = [index for index, image in enumerate(images) if not image.isfinite().all()]
    if not broken:
        return (
            f"{which}; the images of this batch are fine, so the training has diverged: try "
            f"{', '.join(_calmer(settings, device))}"
        )
    cases = named([keys[index] for index in broken]) if len(keys) else "this batch"
    return (
        f"{which}; the images of {cases} contain values that are not finite: check them with "
        "nnUNetv2_plan_and_preprocess --verify_dataset_integrity and preprocess again"
    )


def _calmer(settings: TrainerSettings, device: str) -> list[str]:
    """List options of `anl-seg plan` with which the same training may stay finite."""
    options = ["--optimizer sgd" if settings.optimizer == "adam" else "--optimizer adam"]
    weights = [name for name in ("alpha", "beta") if name in settings.loss_parameters]
    options += [f"a smaller --{name}" for name in weights]
    if settings.dice_weight:
        options.append("a smaller --dice-weight")
    if device == "cuda" and settings.precision == "float32":
        options.append("--precision bf16 in place of nnU-Net's float16")
    if device == "cpu" and settings.precision == "bf16":
        options.append("--precision float32")
    return options


#: Consecutive epochs without a pixel of any class, and of one class, after which the log warns.
PATIENCE_ALL, PATIENCE_ONE = 3, 10


class MissingForeground:
    """Detector of classes in the validation labels that the network never predicts.

    Args:
        names: Names of the foreground classes or regions.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.epochs = np.zeros(len(names), dtype=int)
        self.epochs_of_all = 0

    def update(self, predicted: NDArray[Any], labelled: NDArray[Any]) -> str | None:
        """Count one epoch.

        Args:
            predicted: Number of predicted pixels of each class.
            labelled: Number of labelled pixels of each class.

        Returns:
            A warning in the epoch in which the patience ends, or None.
        """
        self.epochs = np.where((predicted == 0) & (labelled > 0), self.epochs + 1, 0)
        alone = labelled.any() and not predicted.any()
        self.epochs_of_all = self.epochs_of_all + 1 if alone else 0
        if self.epochs_of_all == PATIENCE_ALL:
            return (
                f"for {PATIENCE_ALL} epochs the network has predicted background alone, although "
                "the validation labels have foreground"
            )
        late = [name for name, n in zip(self.names, self.epochs, strict=True) if n == PATIENCE_ONE]
        if not late or alone:
            return None
        return (
            f"for {PATIENCE_ONE} epochs the network has predicted no pixel of {named(late)}, "
            "although the validation labels have some"
        )


#: Weight of the past in the smoothed curves, and fall of Dice that counts as memorisation.
SMOOTHING, FALL = 0.8, 0.02


class MemorisationOnset:
    """Detector of a rising fit to the training labels with a falling Dice on other labels.

    Both curves are smoothed over epochs. It reports once.
    """

    def __init__(self) -> None:
        self.fit = self.best_fit = self.dice = self.best_dice = -math.inf
        self.said = False

    def update(self, fit: float, dice: float) -> float | None:
        """Record one epoch.

        Args:
            fit: Fit to the training labels, larger is better: Dice, or minus the loss.
            dice: Dice on the validation images, or with the clean labels.

        Returns:
            Fall of Dice from its best value, in the epoch in which memorisation becomes clear. None
            in all other epochs.
        """
        if not (math.isfinite(fit) and math.isfinite(dice)):
            return None
        self.fit, self.dice = _smooth(self.fit, fit), _smooth(self.dice, dice)
        rising = self.fit >= self.best_fit
        self.best_fit, self.best_dice = max(self.best_fit, self.fit), max(self.best_dice, self.dice)
        fall = self.best_dice - self.dice
        if self.said or not rising or fall < FALL:
            return None
        self.said = True
        return fall


def _smooth(past: float, value: float) -> float:
    return value if past == -math.inf else SMOOTHING * past + (1 - SMOOTHING) * value


class TrainingWatch:
    """Detector of problems in the epochs of a training, with warnings in nnU-Net's log.

    Args:
        settings: Settings of the training.
        names: Names of the foreground classes or regions.
        log: Function that writes to nnU-Net's log.
    """

    def __init__(
        self, settings: TrainerSettings, names: Sequence[str], log: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.missing_foreground = MissingForeground(names)
        self.log = log
        self.forget_loss()

    def forget_loss(self) -> None:
        """Forget the values of the loss, because another loss follows."""
        self.memorisation = MemorisationOnset()

    def look_at_classes(self, counts: PixelCounts) -> None:
        """Record the online validation of an epoch, and warn about missing classes."""
        if found := self.missing_foreground.update(counts.predicted, counts.labelled):
            self.log(f"anl-seg: warning: {found}; {advise_against_background(self.settings)}")

    def look_at_fit(self, what: str, fit: float, dice: float) -> None:
        """Record an epoch, and warn if the network starts to memorise.

        Args:
            what: Name of `dice`, such as "validation Dice".
            fit: Fit to the training labels, larger is better: Dice, or minus the loss.
            dice: Dice with other labels.
        """
        if fall := self.memorisation.update(fit, dice):
            self.log(
                f"anl-seg: warning: the network seems to memorise wrong labels: {what} has fallen "
                f"by {fall:.3f} from its best, while the fit to the training labels still rises; "
                f"{advise_against_memorisation(self.settings)}"
            )


def foreground_names(labels: Mapping[str, Any], *, regions: bool) -> list[str]:
    """List the names of classes or regions in the order of nnU-Net's outputs.

    Args:
        labels: The labels in `dataset.json`.
        regions: Whether nnU-Net trains regions.
    """
    values = {name: value for name, value in labels.items() if name != "ignore"}
    if regions:
        return [name for name, value in values.items() if value not in (0, [0])]
    return sorted((name for name, value in values.items() if value), key=values.__getitem__)


def about_loading_processes(settings: TrainerSettings) -> list[str]:
    """Warn about settings that need nnU-Net to load the cases in one process."""
    one_process = "nnUNet_n_proc_DA=0 nnUNetv2_train ..."
    messages = []
    if settings.seed is not None:
        messages.append(
            "the seed fixes the weights but not the order of the data, because nnU-Net loads in "
            f"several processes; {one_process} fixes both"
        )
    if settings.schedule.one_pass:
        messages.append(
            "an epoch has some cases twice and others not at all, because nnU-Net loads in several "
            f"processes; {one_process} makes it one pass"
        )
    return messages


def advise_against_background(settings: TrainerSettings) -> str:
    """List the options of `anl-seg plan` that help a network to find the foreground."""
    options = ["--optimizer adam"] if settings.optimizer == "sgd" else []
    if settings.loss != NNUNET_LOSS:
        given = {"dice_weight 1": settings.dice_weight, "ce_weight 1": settings.ce_weight}
        given["warmup 0.1"] = settings.warmup
        options += [f"--{text.replace('_', '-')}" for text, value in given.items() if not value]
    return f"if this lasts, plan with {' or '.join(options) or 'more --epochs'}"


def advise_against_memorisation(settings: TrainerSettings) -> str:
    """List the options of `anl-seg plan` that keep a network from fitting wrong labels."""
    options = [] if settings.correct_labels else ["--correct-labels"]
    options.append("fewer --epochs")
    if not settings.ema:
        options.append("--ema 0.999")
    return (
        f"plan with {' or '.join(options)}, or predict with the best checkpoint so far: "
        f"nnUNetv2_predict -chk {BEST_CHECKPOINT}"
    )
