"""Trainer: nnU-Net's own training, with labels that are corrected and a robust loss.

Everything that overrides nnU-Net's training is in this file.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

import anl_seg
from anl_seg import losses
from anl_seg.bf16 import check_bf16
from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.formats.nnunet import BEST_CHECKPOINT, CLEAN_LABELS
from anl_seg.trainers import diagnosis, optimizers
from anl_seg.trainers.augmentation import lighten, make_reproducible
from anl_seg.trainers.averaging import WeightAverage
from anl_seg.trainers.checkpoints import check_same_settings, states_in_groups, take_states
from anl_seg.trainers.clean_labels import prepare_clean_labels
from anl_seg.trainers.corrected_labels import drop_earlier
from anl_seg.trainers.correction import (
    LabelCorrection,
    prepare_correction,
    replace_training_labels,
)
from anl_seg.trainers.datasets import InTurn, OnePass, WithCleanLabels, WithCorrectedLabels
from anl_seg.trainers.distributed import own_share, wait_for_all
from anl_seg.trainers.memorisation import PLOT, FitOfLabels, add_to_curve, fit
from anl_seg.trainers.monitor import TestImageMonitor
from anl_seg.trainers.online_validation import PixelCounts, count_pixels
from anl_seg.trainers.protocols import LEARNING_RATES
from anl_seg.trainers.raw_dataset import find_masks, has_folder
from anl_seg.trainers.seeds import seed_epoch
from anl_seg.trainers.segmentation_loss import (
    SegmentationLoss,
    WarmUp,
    create_robust_loss,
    not_finite_terms,
    replace_loss,
)
from anl_seg.trainers.settings import PLANS_KEY, TrainerSettings, settings_of_class
from anl_seg.trainers.threads import keep_to_own_processors
from anl_seg.trainers.user_errors import exit_in_one_line, go_on_without
from anl_seg.trainers.validation_summary import write_summary

#: So many steps in a row may have no finite loss in float16.
MOST_LEFT_OUT = 10

Part = TypeVar("Part", bound=nn.Module)


class nnUNetTrainerANL(nnUNetTrainer):
    """nnU-Net that corrects its labels once it memorises, and then adds ANL-CE (eq. 11).

    Until the correction the loss is nnU-Net's own. Afterwards Active Negative Loss (Ye et al.) is
    part of it.
    Network, augmentation, schedule and weights of deep supervision remain nnU-Net's. The plans file
    (`anl-seg plan`) may set another loss or schedule, see
    `anl_seg.trainers.settings.TrainerSettings`. `anl_seg.trainers.defaults` has the defaults.

    The constructor stays nnU-Net's own, because nnU-Net records its arguments by name.
    """

    #: The loss for plans without one.
    loss_name = "anl-ce"
    loss: nn.Module
    #: The loss of one output, from the library; None for nnU-Net's own loss.
    robust_loss: nn.Module | None = None
    #: The moving average of the weights, if it is on.
    average: WeightAverage | None = None
    #: The training cases, if an epoch is one pass over them.
    one_pass: OnePass | None = None
    #: The correction of the labels, if it is on and possible.
    correction: LabelCorrection | None = None
    #: The validation cases, if each epoch starts a pass over them.
    validation_pass: OnePass | None = None
    #: nnU-Net's training cases with the given labels.
    given_cases: Any = None
    #: Folder of the preprocessed clean labels of this fold, if they are known.
    clean_labels: Path | None = None
    #: Monitor of Dice on the test images, if the protocol has one and all files exist.
    monitor: TestImageMonitor | None = None
    #: Mean loss of the training steps of this epoch.
    train_loss = math.nan
    #: Number of training steps done in this epoch.
    steps = 0
    #: Number of steps without a finite loss since the last one with it.
    not_finite_steps = 0

    @cached_property
    def settings(self) -> TrainerSettings:
        """Settings in the plans file. The process exits with code 2 if they are wrong."""
        with exit_in_one_line(self.print_to_log_file):
            return settings_of_class(self.plans_manager.plans, type(self).__name__, self.loss_name)

    def initialize(self) -> None:
        """Apply schedule and seed, then let nnU-Net build network, optimiser and loss."""
        if self.device.type == "cpu":
            keep_to_own_processors()
        # Write all defaults too: checkpoints store the plans, and a new version may change
        # defaults.
        self.plans_manager.plans[PLANS_KEY] = asdict(self.settings)
        self.robust_loss = create_robust_loss(self.settings, self.label_manager, self.device)
        self._apply_schedule()
        self._seed()
        if get_allowed_n_proc_DA() > 0:
            for message in diagnosis.about_loading_processes(self.settings):
                self.print_to_log_file(f"anl-seg: {message}")
        names = diagnosis.foreground_names(
            self.dataset_json["labels"], regions=self.label_manager.has_regions
        )
        self.watch = diagnosis.TrainingWatch(self.settings, names, self.print_to_log_file)
        super().initialize()
        self.print_to_log_file(f"anl-seg {anl_seg.__version__}: {self.settings}")
        self.print_to_log_file(f"anl-seg: the loss is {self.loss}")

    def _apply_schedule(self) -> None:
        if self.settings.epochs is not None:
            self.num_epochs = self.settings.epochs
        if self.settings.iterations is not None:
            self.num_iterations_per_epoch = self.settings.iterations
        elif self.settings.schedule.one_pass:
            cases, _ = self.do_split()
            self.num_iterations_per_epoch = math.ceil(
                len(cases) / self.configuration_manager.batch_size
            )
        else:
            return
        # nnU-Net's ratio
        self.num_val_iterations_per_epoch = max(1, self.num_iterations_per_epoch // 5)

    def _seed(self) -> None:
        if self.settings.seed is not None:
            seed_epoch(self.settings.seed, self.current_epoch, self.local_rank)

    # Optimiser and loss

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        """Create the optimiser, with a group for trained parameters of the loss.

        The gradient of the L1 penalty is added once per step for any number of scales, after
        nnU-Net has unscaled and clipped the gradient. delta sign(w) is bounded, so it needs no
        clipping.
        """
        schedule = self.settings.schedule
        if schedule.weight_decay is not None:
            self.weight_decay = schedule.weight_decay
        if self.settings.delta > 0:
            self.weight_decay = 0.0
        if self.settings.optimizer == "adam":
            self.initial_lr = LEARNING_RATES["adam"]
            optimizer, lr_scheduler = optimizers.adam(
                self.network, self.weight_decay, self.num_epochs
            )
        else:
            optimizer, lr_scheduler = super().configure_optimizers()
        if schedule.decay is not None:
            lr_scheduler = optimizers.DecayByEpoch(optimizer, self.initial_lr, schedule.decay)
        if self._loss_parameters:
            optimizer.add_param_group({"params": self._loss_parameters, **self._loss_group})
        optimizer.register_step_pre_hook(self._complete_gradients)
        if self.settings.ema:
            self.average = WeightAverage(self.network.parameters(), self.settings.ema)
            optimizer.register_step_post_hook(self.average.update)
        return optimizer, lr_scheduler

    @property
    def _loss_group(self) -> Mapping[str, float]:
        return optimizers.LOSS_GROUP[str(self.settings.optimizer)]

    @property
    def _trained_loss(self) -> nn.Module | None:
        """The robust loss, if it has its own trained parameters."""
        return self.robust_loss if self._loss_parameters else None

    @property
    def _loss_parameters(self) -> list[nn.Parameter]:
        return [] if self.robust_loss is None else list(self.robust_loss.parameters())

    def _complete_gradients(self, *_: object) -> None:
        """Add our gradients to nnU-Net's before the optimiser's step."""
        if self.settings.delta > 0:
            losses.add_l1_gradient(self.network.parameters(), self.settings.delta)
        optimizers.complete_loss_gradients(self._loss_parameters, distributed=self.is_ddp)

    def _build_loss(self) -> nn.Module:
        """Build nnU-Net's loss, and insert the robust loss with `replace_loss`."""
        with np.errstate(invalid="ignore"):  # nnU-Net divides the weight of a single scale, 0, by 0
            loss: nn.Module = super()._build_loss()
        return replace_loss(
            loss, self.robust_loss, self.settings, self.label_manager, self.num_epochs
        )

    # Steps and epochs

    def on_train_start(self) -> None:
        """Check that this machine supports the settings, and prepare the training."""
        if self.settings.precision == "bf16":  # not for --val, which uses nnU-Net's precision
            with exit_in_one_line(self.print_to_log_file):
                check_bf16(self.device)
        super().on_train_start()
        if self.clean_labels is not None:
            self.loss = FitOfLabels(
                self.loss,
                self.label_manager.num_segmentation_heads,
                self.label_manager.ignore_label,
            ).to(self.device)
        self._correct_labels_if_due()  # in a training that was killed during the correction
        if self.settings.schedule.test_epochs and self.local_rank == 0:
            # Missing files are reported now, not at the end.
            with go_on_without("no test Dice", self.print_to_log_file):
                self.monitor = TestImageMonitor.of_dataset(
                    self.plans_manager.dataset_name, self.dataset_json["file_ending"]
                )

    def on_train_epoch_start(self) -> None:
        """Start an epoch: set its seed, its pass over the cases and the learning rates."""
        self.steps = 0
        self._seed()
        if self.one_pass is not None:
            self.one_pass.restart()
        for warm_up in self._parts_of_loss(WarmUp):
            if self.correction is not None and self.correction.done_in is not None:
                warm_up.epochs = min(warm_up.epochs, self.correction.done_in + 1)
            warm_up.start_epoch(self.current_epoch)
            if self.current_epoch == warm_up.epochs:
                self.watch.forget_loss()
                self.print_to_log_file("anl-seg: the warm-up with nnU-Net's own loss is over")
        super().on_train_epoch_start()
        if self._loss_parameters:  # nnU-Net's schedule sets one rate in all groups
            self.optimizer.param_groups[-1]["lr"] = self._loss_group["lr"]

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do one training step, and exit with code 2 if the loss is not finite.

        In float16 single steps may overflow. nnU-Net's gradient scaler leaves them out.
        """
        with self.autocast():
            result: dict[str, Any] = super().train_step(batch)
        self.steps += 1
        self.not_finite_steps = 0 if np.isfinite(result["loss"]) else self.not_finite_steps + 1
        if self.not_finite_steps > (MOST_LEFT_OUT if self.grad_scaler is not None else 0):
            with exit_in_one_line(self.print_to_log_file):
                raise InputError(self._why_not_finite(batch))
        for loss in self._parts_of_loss(SegmentationLoss):
            loss.seen.clear()
        return result

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """End the training steps of an epoch."""
        super().on_train_epoch_end(train_outputs)
        values = [each["loss"] for each in train_outputs if np.isfinite(each["loss"])]
        self.train_loss = float(np.mean(values)) if values else math.nan

    def on_validation_epoch_start(self) -> None:
        """Start the online validation, with the averaged weights if they exist."""
        super().on_validation_epoch_start()
        if self.validation_pass is not None:
            self.validation_pass.restart()
        if self.average is not None:
            self.average.swap()

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """End the online validation, restore the trained weights, and check for problems."""
        super().on_validation_epoch_end(val_outputs)
        counts = count_pixels(val_outputs, self.device, distributed=self.is_ddp)
        if self.correction is not None:
            self.correction.watch(counts.mean_dice, self.network.parameters())
        if self.average is not None:
            self.average.swap()
        self._look_for_trouble(counts)

    def _look_for_trouble(self, counts: PixelCounts) -> None:
        self.watch.look_at_classes(counts)
        if self.clean_labels is None:  # clean labels show more, see on_epoch_end
            self._look_at_fit("validation Dice", -self.train_loss, counts.mean_dice)

    def _look_at_fit(self, what: str, fit: float, dice: float) -> None:
        if self.correction is None or self.correction.done_in is not None:
            self.watch.look_at_fit(what, fit, dice)  # before that, the correction watches it

    def averaged(self) -> AbstractContextManager[object]:
        """Use the averaged weights in the network within a block, if they exist."""
        return nullcontext() if self.average is None else self.average.in_place()

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do one step of the online validation."""
        with self.autocast():
            result: dict[str, Any] = super().validation_step(batch)
        return result

    def autocast(self) -> AbstractContextManager[object]:
        """Switch to bf16. nnU-Net's own autocast, used only on CUDA, inherits it."""
        if self.settings.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _parts_of_loss(self, kind: type[Part]) -> list[Part]:
        return [each for each in self.loss.modules() if isinstance(each, kind)]

    def _why_not_finite(self, batch: Mapping[str, Any]) -> str:
        terms = not_finite_terms(self.loss, self.robust_loss)
        keys = batch.get("keys", ())
        if self.one_pass is not None:
            keys = self.one_pass.drawn[-len(batch["data"]) :]  # empty for other processes
        reason = diagnosis.explain_divergence(
            terms, batch["data"], keys, self.settings, self.device.type
        )
        return (
            f"not finite in epoch {self.current_epoch}, iteration {self.steps} of "
            f"{self.num_iterations_per_epoch}: {reason}. Checkpoints from before this step, if "
            f"any, are in {self.output_folder}"
        )

    def on_epoch_end(self) -> None:
        """End an epoch: extend the memorisation curve, and measure Dice on the test images.

        nnU-Net saves the checkpoint afterwards, so a killed training repeats both.
        """
        if isinstance(self.loss, FitOfLabels):
            self._extend_memorisation_curve(self.loss)
        if self.current_epoch >= self.num_epochs - self.settings.schedule.test_epochs:
            if self.monitor is not None:
                with self.averaged():
                    dice = self.monitor.measure(self, self.current_epoch)
                images = len(self.monitor.images)
                self.print_to_log_file(f"Mean Dice on {images} test images: ", dice)
            wait_for_all(self)
        super().on_epoch_end()
        self._correct_labels_if_due()

    def _correct_labels_if_due(self) -> None:
        """Correct the labels if validation is past its peak.

        The prediction of all training cases may take long, so checkpoints before and after it keep
        what is done. A training that continues from the first one predicts again.
        """
        if self.correction is None or not self.correction.is_due:
            return
        if self.current_epoch >= self.num_epochs:  # no epoch would train with them
            return
        self._save_between_epochs()
        replace_training_labels(self, self.correction)
        self.watch.forget_loss()
        self._save_between_epochs()

    def _save_between_epochs(self) -> None:
        self.current_epoch -= 1  # nnU-Net stores the epoch after it
        self.save_checkpoint(str(Path(self.output_folder, "checkpoint_latest.pth")))
        self.current_epoch += 1

    def _extend_memorisation_curve(self, loss: FitOfLabels) -> None:
        counts = loss.take_counts()
        if self.is_ddp:
            dist.all_reduce(counts)
        if self.local_rank != 0:
            return
        point = fit(counts)
        last = self.current_epoch == self.num_epochs - 1
        add_to_curve(Path(self.output_folder), self.current_epoch, point, last=last)
        noisy, clean = point["dice_noisy"], point["dice_clean"]
        if noisy is not None and clean is not None:
            self._look_at_fit("Dice with the clean labels", noisy, clean)

    # Data

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """Wrap the training cases: corrected labels, clean labels, complete passes."""
        training, validation = super().get_tr_and_val_datasets()
        self.given_cases = training
        self.clean_labels = self._prepare_clean_labels(training, validation)
        if self.clean_labels is not None:
            training = WithCleanLabels(training, self.clean_labels)
        with exit_in_one_line(self.print_to_log_file):
            self.correction = prepare_correction(self, training, validation)
        if self.correction is not None:
            training = WithCorrectedLabels(training, self.correction.folder)
            validation = self._complete_validation(validation)
        if self.settings.schedule.one_pass:
            cases = own_share(self, training.identifiers) or training.identifiers
            training = self.one_pass = OnePass(training, cases)
        return training, validation

    def _complete_validation(self, validation: Any) -> OnePass | InTurn:  # noqa: ANN401
        """Let the online validation load its cases in turn, because the peak depends on it.

        On several GPUs, each process loads its own share.
        """
        cases = own_share(self, validation.identifiers) or validation.identifiers
        if get_allowed_n_proc_DA() > 0:
            return InTurn(validation, cases)
        self.validation_pass = OnePass(validation, cases)
        return self.validation_pass

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> ComposeTransforms:  # noqa: ANN401
        """Adapt nnU-Net's augmentation to the protocol, and to the seed if there is one."""
        composed = super().get_training_transforms(*args, **kwargs)
        if self.settings.schedule.light_augmentation:
            lighten(composed)
        if self.settings.seed is not None:
            make_reproducible(composed)
        return composed

    def _prepare_clean_labels(self, training: Any, validation: Any) -> Path | None:  # noqa: ANN401
        """Preprocess the clean labels of a fold, and return their folder if they are known.

        It is None for a cascade or regions, because their channels of labels differ in meaning.
        """
        if self.is_cascaded or self.label_manager.has_regions:
            return None
        cases = dict.fromkeys([*training.identifiers, *validation.identifiers])
        masks = self._clean_masks(cases, f"no {PLOT}")
        if masks is None:
            return None
        with exit_in_one_line(self.print_to_log_file):
            return prepare_clean_labels(self, training, masks)

    def _clean_masks(self, cases: Collection[str], loss: str) -> dict[str, Path] | None:
        """Find the clean masks of all `cases` in the raw data set.

        Returns:
            Files by case. None if the data set has none, which is normal, or if one is missing.
            nnU-Net's log then states this and the `loss`.
        """
        masks = None
        dataset, ending = self.plans_manager.dataset_name, self.dataset_json["file_ending"]
        with go_on_without(loss, self.print_to_log_file):
            if has_folder(dataset, CLEAN_LABELS):
                masks = find_masks(dataset, CLEAN_LABELS, cases, ending)
            else:
                self.print_to_log_file(
                    f"anl-seg: the data set has no clean labels ({CLEAN_LABELS}), which is normal: "
                    f"{loss}"
                )
        return masks

    # Checkpoints

    def save_checkpoint(self, filename: str) -> None:
        """Save nnU-Net's checkpoint, with the loss's own parameters in their optimiser group.

        If the training is killed while saving, the previous checkpoint remains.
        """
        if self.disable_checkpointing or self.local_rank != 0:
            super().save_checkpoint(filename)  # it logs this, or does nothing
            return
        states = (self.optimizer, self._trained_loss, self.average, self.correction)
        with self.averaged(), atomic_path(Path(filename)) as partial, states_in_groups(*states):
            super().save_checkpoint(str(partial))
        if self.correction is not None and Path(filename).name != BEST_CHECKPOINT:
            # It has replaced the checkpoint from which the earlier training could continue.
            drop_earlier(self.correction.folder)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint with the same settings, and exit with code 2 if they differ."""
        checkpoint = torch.load(
            filename_or_checkpoint, map_location="cpu", weights_only=False, mmap=True
        )
        with exit_in_one_line(self.print_to_log_file):
            check_same_settings(
                self.plans_manager.plans,
                checkpoint["init_args"]["plans"],
                self.configuration_name,
                self.loss_name,
                filename_or_checkpoint,
            )
        super().load_checkpoint(filename_or_checkpoint)
        state = take_states(self.optimizer, self._trained_loss, self.average)
        if state is not None:
            self.correction = LabelCorrection(Path(self.output_folder), self.num_epochs)
            self.correction.load(state)

    # Clean references and test images

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Do nnU-Net's final validation, and compare with clean labels if they are known."""
        with self.averaged():
            super().perform_actual_validation(save_probabilities)
        if self.local_rank != 0:
            return
        predictions = Path(self.output_folder, "validation")
        ending = self.dataset_json["file_ending"]
        cases = sorted(path.name.removesuffix(ending) for path in predictions.glob(f"*{ending}"))
        if references := self._clean_masks(cases, "no comparison with clean labels"):
            dice = write_summary(
                predictions,
                references,
                predictions / "summary_clean.json",
                self.label_manager,
                self.plans_manager.image_reader_writer_class(),
            )
            self.print_to_log_file(
                "Mean Validation Dice against the clean labels: ", dice, also_print_to_console=True
            )
