"""Correction of the training labels by the network's predictions, once it starts to memorise.

A network learns the common pattern of its labels before it learns their individual errors (early
learning). At that time its predictions of the training cases are better labels than the given ones.
The trainer watches the Dice of the averaged weights on the validation cases. When it falls, the
weights of the best epoch predict all training cases once, and the training continues with these
masks.

References:
    Liu et al., "Early-learning regularization prevents memorization of noisy labels", NeurIPS 2020.
    Liu et al., "Adaptive early-learning correction for segmentation from noisy annotations",
    CVPR 2022. It decides by the fit of the training labels; we decide by the validation cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from anl_seg.trainers.corrected_labels import (
    CORRECTED_LABELS,
    bring_back,
    check_complete,
    correct_labels,
    publish,
    set_aside,
)
from anl_seg.trainers.distributed import own_share, sum_over_all, wait_for_all
from anl_seg.trainers.foreground import foreground_locations
from anl_seg.trainers.prediction import label_predictor, predicting
from anl_seg.trainers.validation_peak import ValidationPeak

if TYPE_CHECKING:
    from anl_seg.trainers.trainer import nnUNetTrainerANL


class LabelCorrection:
    """The decision when to correct labels, and the weights that will predict them.

    Args:
        output: Output folder of the training. Its subfolder `CORRECTED_LABELS` is for the labels.
        epochs: Epochs of the whole training.

    Attributes:
        folder: Folder for the corrected labels.
        done_in: The epoch after which the labels were corrected, or None.
    """

    def __init__(self, output: Path, epochs: int) -> None:
        self.folder = output / CORRECTED_LABELS
        self.epochs = epochs
        self.peak = ValidationPeak(epochs=epochs)
        self.weights: list[Tensor] = []
        self.done_in: int | None = None

    @property
    def partial(self) -> Path:
        """Folder of the corrected labels until all are written."""
        return self.folder.with_name(f"{self.folder.name}.partial")

    @property
    def is_due(self) -> bool:
        """Whether the labels are to be corrected now."""
        return self.done_in is None and self.peak.has_passed

    def watch(self, dice: float, parameters: Iterable[Tensor]) -> None:
        """Record the validation Dice of an epoch, unless the labels are corrected.

        Args:
            dice: Mean Dice over classes against the given labels.
            parameters: The weights with this Dice.
        """
        if self.done_in is None and self.peak.add(dice):
            self.weights = [parameter.detach().clone() for parameter in parameters]

    @torch.no_grad()
    def restore(self, parameters: Iterable[Tensor]) -> None:
        """Copy the weights of the best epoch into the network."""
        for parameter, weight in zip(parameters, self.weights, strict=True):
            parameter.copy_(weight)

    def finish(self, epoch: int) -> None:
        """Record that the labels are corrected, and drop the weights."""
        self.done_in = epoch
        self.weights = []

    def state(self) -> dict[str, Any]:
        """Return the content for a checkpoint."""
        return {"dice": self.peak.dice, "weights": self.weights, "done_in": self.done_in}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from the `state` of a checkpoint."""
        self.peak = ValidationPeak(state["dice"], epochs=self.epochs)
        self.weights = list(state["weights"])
        self.done_in = state["done_in"]


def prepare_correction(
    trainer: nnUNetTrainerANL,
    training: Any,  # noqa: ANN401 (nnU-Net carries no types)
    validation: Any,  # noqa: ANN401
) -> LabelCorrection | None:
    """Prepare the correction of labels for nnU-Net's data sets of a fold.

    Returns:
        The correction. None if it is off or impossible; nnU-Net's log then states the reason.
    """
    if not trainer.settings.correct_labels:
        return None
    obstacles = {
        "region-based training": trainer.label_manager.has_regions,
        "a cascade": trainer.is_cascaded,
        "a fold whose validation cases are training cases": bool(
            set(training.identifiers) & set(validation.identifiers)
        ),
    }
    for name, present in obstacles.items():
        if present:
            trainer.print_to_log_file(
                f"anl-seg: labels are not corrected, because this is {name}{_loss_without(trainer)}"
            )
            return None
    correction = trainer.correction  # from a checkpoint, or None
    if correction is None:
        correction = LabelCorrection(Path(trainer.output_folder), trainer.num_epochs)
    if trainer.local_rank == 0:
        (set_aside if correction.done_in is None else bring_back)(correction.folder)
    wait_for_all(trainer)
    if correction.done_in is not None:
        check_complete(correction.folder, training.identifiers)
    return correction


def _loss_without(trainer: nnUNetTrainerANL) -> str:
    """Say what a training without correction does with a warm-up that lasts until then."""
    if trainer.settings.warmup != 1:
        return ""
    return (
        f"; the whole training uses nnU-Net's own loss. For {trainer.settings.loss} from the "
        "start, plan with --keep-labels"
    )


def replace_training_labels(trainer: nnUNetTrainerANL, correction: LabelCorrection) -> None:
    """Replace the training labels by predictions of the best epoch, and continue from there.

    Call it between two epochs.
    """
    trainer.print_to_log_file(
        f"anl-seg: validation Dice is past its peak of epoch {correction.peak.best_epoch}; the "
        "network of that epoch now predicts the training cases, and these masks replace the "
        "given labels"
    )
    correction.restore(trainer.network.parameters())
    with trainer.averaged():
        correction.restore(trainer.network.parameters())
    trainer.optimizer.state.clear()  # its momentum belongs to other weights
    cases = own_share(trainer, sorted(trainer.given_cases.identifiers))
    with predicting(trainer):
        changed = correct_labels(
            trainer.given_cases,
            _with_progress(cases, trainer.print_to_log_file),
            label_predictor(trainer, trainer.autocast),
            correction.partial,
            locate=partial(
                foreground_locations,
                classes=trainer.label_manager.foreground_labels,
                patch_size=trainer.configuration_manager.patch_size,
            ),
            ignore_label=trainer.label_manager.ignore_label,
        )
    wait_for_all(trainer)
    if trainer.local_rank == 0:
        publish(correction.partial, correction.folder)
    wait_for_all(trainer)
    correction.finish(trainer.current_epoch - 1)
    share, number = sum_over_all(trainer, [sum(changed.values()), len(changed)])
    trainer.print_to_log_file(
        f"anl-seg: {share / number:.1%} of the pixels have changed; the new labels are in "
        f"{correction.folder}"
    )


def _with_progress(cases: Sequence[str], log: Callable[[str], None]) -> Iterator[str]:
    """Yield cases, and log after each tenth of them."""
    tenths = {len(cases) * tenth // 10 for tenth in range(1, 10)} - {0}
    for number, case in enumerate(cases):
        if number in tenths:
            log(f"anl-seg: {number / len(cases):.0%} of the training cases are predicted")
        yield case
