"""The trainer: nnU-Net's own training with a robust loss in place of Dice + cross entropy.

Everything that overrides nnU-Net's training is in this file.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

import anl_seg
from anl_seg import losses
from anl_seg.bf16 import check_bf16
from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.formats.nnunet import CLEAN_LABELS
from anl_seg.trainers import diagnosis, optimizers
from anl_seg.trainers.augmentation import lighten, make_reproducible
from anl_seg.trainers.averaging import WeightAverage
from anl_seg.trainers.checkpoints import differences
from anl_seg.trainers.clean_labels import CleanLabels
from anl_seg.trainers.correction import (
    CORRECTED_LABELS,
    LabelCorrection,
    WithCorrectedLabels,
    correct_labels,
    publish,
)
from anl_seg.trainers.datasets import OnePass, WithCleanLabels
from anl_seg.trainers.memorisation import PLOT, FitOfLabels, add_to_curve, fit
from anl_seg.trainers.monitor import TestImageMonitor
from anl_seg.trainers.protocols import LEARNING_RATES
from anl_seg.trainers.raw_dataset import find_masks
from anl_seg.trainers.segmentation_loss import (
    REGION_IGNORE,
    SegmentationLoss,
    WarmUp,
    replace_loss,
)
from anl_seg.trainers.settings import NNUNET_LOSS, PLANS_KEY, TrainerSettings
from anl_seg.trainers.validation_summary import write_summary

#: Key of the group of the loss's own parameters in a checkpoint under which their values are.
LOSS_STATE = "loss_state"
#: Key of the first group in a checkpoint under which the weights are, if there is a moving average:
#: `network_weights` is the average, which plain nnU-Net then predicts with.
AVERAGE_STATE = "average_state"
#: Key of the first group in a checkpoint for the state of the label correction.
CORRECTION_STATE = "correction_state"

Part = TypeVar("Part", bound=nn.Module)


class nnUNetTrainerANL(nnUNetTrainer):
    """nnU-Net with Active Negative Loss (Ye et al., eq. 11) in place of Dice + cross entropy.

    Everything else is nnU-Net's: network, augmentation, schedule, deep supervision weights. The
    plans file (`anl-seg plan`) may set another loss or schedule, see
    `anl_seg.trainers.settings.TrainerSettings`. `anl_seg.trainers.defaults` has the defaults.

    The constructor stays nnU-Net's own, because nnU-Net records its arguments by name.
    """

    #: The loss if the plans name none.
    loss_name = "anl-ce"

    loss: nn.Module

    #: The loss of one output, from the library; None for nnU-Net's own loss.
    robust_loss: nn.Module | None = None

    #: The moving average of the weights, if the settings ask for one.
    average: WeightAverage | None = None

    #: The training cases, if an epoch is one pass over them.
    one_pass: OnePass | None = None

    #: The correction of the labels, if the settings ask for it and the data allow it.
    correction: LabelCorrection | None = None

    #: The validation cases in whole passes, which keeps chance out of their Dice.
    validation_pass: OnePass | None = None

    #: nnU-Net's training cases with the given labels.
    given_cases: Any = None

    #: Folder of the preprocessed clean labels of this fold, if they are known.
    clean_labels: Path | None = None

    #: Measures Dice on the test images, if the protocol asks for it and all files exist.
    monitor: TestImageMonitor | None = None

    #: Mean loss of the training steps of this epoch.
    train_loss = math.nan

    #: Number of training steps done in this epoch.
    steps = 0

    @cached_property
    def settings(self) -> TrainerSettings:
        """The settings in the plans file. Exits with code 2 if they are wrong."""
        with self._one_line_errors():
            settings = TrainerSettings.from_plans(self.plans_manager.plans, self.loss_name)
            if settings.loss != self.loss_name and self.loss_name != nnUNetTrainerANL.loss_name:
                raise InputError(
                    f"plans {self.plans_manager.plans_name!r} ask for the loss {settings.loss!r}, "
                    f"but {type(self).__name__} trains {self.loss_name!r}; train with -tr "
                    "nnUNetTrainerANL, which takes the loss from the plans, or plan with "
                    f"--loss {self.loss_name}"
                )
            return settings

    def initialize(self) -> None:
        """Apply schedule and seed, then let nnU-Net build network, optimiser and loss."""
        if self.device.type == "cpu":
            _keep_to_threads()
        # With all defaults: checkpoints store the plans, and a new version may change defaults.
        self.plans_manager.plans[PLANS_KEY] = self.settings.to_plans()
        if self.settings.loss != NNUNET_LOSS:
            self.robust_loss = self._create_loss()
        self._apply_schedule()
        self._seed()
        self._warn_of_loading_processes()
        self.memorisation = diagnosis.Memorisation()
        self.missing_foreground = diagnosis.MissingForeground(self._foreground_names())
        super().initialize()
        self.print_to_log_file(f"anl-seg {anl_seg.__version__}: {self.settings}")
        self.print_to_log_file(f"anl-seg: the loss is {self.loss}")

    def _foreground_names(self) -> list[str]:
        """Name the classes or regions in the order of nnU-Net's outputs."""
        labels = {k: v for k, v in self.dataset_json["labels"].items() if k != "ignore"}
        if self.label_manager.has_regions:
            return [name for name, value in labels.items() if value not in (0, [0])]
        return sorted((name for name, value in labels.items() if value), key=labels.__getitem__)

    def _create_loss(self) -> nn.Module:
        regions = self.label_manager.has_regions
        ignore_label = REGION_IGNORE if regions else self.label_manager.ignore_label
        loss = losses.create(
            self.settings.loss, ignore_index=ignore_label, **self.settings.loss_parameters
        )
        return loss.to(self.device)

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
        self.num_val_iterations_per_epoch = max(1, self.num_iterations_per_epoch // 5)  # its ratio

    def _seed(self) -> None:
        """Seed all generators, differently for each epoch and rank, if there is a seed.

        A training that continues in some epoch thus draws the same numbers as one without a break.
        """
        if self.settings.seed is None:
            return
        entropy = [self.settings.seed, self.current_epoch, self.local_rank]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (nnU-Net's augmentation draws from the global generator)
        torch.manual_seed(seed)

    def _warn_of_loading_processes(self) -> None:
        if get_allowed_n_proc_DA() == 0:
            return
        if self.settings.seed is not None:
            self.print_to_log_file(
                "anl-seg: the seed fixes the weights but not the order of the data, because "
                "nnU-Net loads in several processes; nnUNet_n_proc_DA=0 nnUNetv2_train ... fixes "
                "both"
            )
        if self.settings.schedule.one_pass:
            self.print_to_log_file(
                "anl-seg: an epoch shows some cases twice and others not, because nnU-Net loads in "
                "several processes; nnUNet_n_proc_DA=0 nnUNetv2_train ... makes it one pass"
            )

    # Optimiser and loss

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        """Create the optimiser, with a group for trained parameters of the loss.

        The gradient of the L1 penalty is added once per step, whatever the number of scales, and
        after nnU-Net has unscaled and clipped the gradient. delta sign(w) is bounded, so it needs
        no clipping.
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
        if self._loss_parameters():
            optimizer.add_param_group({"params": self._loss_parameters(), **self._loss_group})
        optimizer.register_step_pre_hook(self._complete_gradients)
        if self.settings.ema:
            self.average = WeightAverage(self.network.parameters(), self.settings.ema)
            optimizer.register_step_post_hook(self.average.update)
        return optimizer, lr_scheduler

    @property
    def _loss_group(self) -> Mapping[str, float]:
        return optimizers.LOSS_GROUP[str(self.settings.optimizer)]

    def _loss_parameters(self) -> list[nn.Parameter]:
        return [] if self.robust_loss is None else list(self.robust_loss.parameters())

    def _complete_gradients(self, *_: object) -> None:
        """Add to the gradients, before the optimiser's step, what nnU-Net does not know of."""
        if self.settings.delta > 0:
            losses.add_l1_gradient(self.network.parameters(), self.settings.delta)
        optimizers.complete_loss_gradients(self._loss_parameters(), distributed=self.is_ddp)

    def _build_loss(self) -> nn.Module:
        """Build nnU-Net's loss, then put the robust loss into it: see `replace_loss`."""
        with np.errstate(invalid="ignore"):  # nnU-Net divides the weight of a single scale, 0, by 0
            loss: nn.Module = super()._build_loss()
        return replace_loss(
            loss, self.robust_loss, self.settings, self.label_manager, self.num_epochs
        )

    # Steps and epochs

    def on_train_start(self) -> None:
        """Check that this machine can do what the settings ask for, then prepare the training."""
        if self.settings.precision == "bf16":  # not for --val, which computes as nnU-Net does
            with self._one_line_errors():
                check_bf16(self.device)
        super().on_train_start()
        if self.clean_labels is not None:
            self.loss = FitOfLabels(
                self.loss,
                self.label_manager.num_segmentation_heads,
                self.label_manager.ignore_label,
            ).to(self.device)
        if self.settings.schedule.test_epochs and self.local_rank == 0:
            self.monitor = self._find_test_images()  # says now what is missing, not at the end

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
                self.memorisation = diagnosis.Memorisation()  # the new loss has other values
                self.print_to_log_file("anl-seg: the warm-up with nnU-Net's own loss is over")
        super().on_train_epoch_start()
        if self._loss_parameters():  # nnU-Net's schedule sets one rate in all groups
            self.optimizer.param_groups[-1]["lr"] = self._loss_group["lr"]

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do one training step. Exits with code 2 if the loss is not finite."""
        with self._autocast():
            result: dict[str, Any] = super().train_step(batch)
        self.steps += 1
        if not np.isfinite(result["loss"]):
            with self._one_line_errors():
                raise InputError(self._why_not_finite(batch))
        for loss in self._parts_of_loss(SegmentationLoss):
            loss.seen.clear()
        return result

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """End the training steps of an epoch."""
        super().on_train_epoch_end(train_outputs)
        self.train_loss = float(np.mean([each["loss"] for each in train_outputs]))

    def on_validation_epoch_start(self) -> None:
        """Start the online validation, with the averaged weights if there are any."""
        super().on_validation_epoch_start()
        if self.validation_pass is not None:
            self.validation_pass.restart()
        if self.average is not None:
            self.average.swap()

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """End the online validation, go back to the trained weights, and look for trouble."""
        super().on_validation_epoch_end(val_outputs)
        if self.average is not None:
            self.average.swap()
        kinds = ("tp_hard", "fp_hard", "fn_hard")
        counts = np.array([sum(each[kind] for each in val_outputs) for kind in kinds], dtype=float)
        if self.is_ddp:
            total = torch.from_numpy(counts).to(self.device)
            dist.all_reduce(total)
            counts = total.cpu().numpy()
        self._look_for_trouble(*counts)
        if self.correction is not None:
            with self._averaged():
                due = self.correction.watch(_mean_dice(*counts), self.network.parameters())
            if due:
                self._correct_labels(self.correction)

    def _look_for_trouble(
        self, true: NDArray[Any], false: NDArray[Any], missed: NDArray[Any]
    ) -> None:
        """Warn in nnU-Net's log if the network predicts no foreground, or memorises.

        Args:
            true: Number of true positive pixels of each foreground class in the validation.
            false: Number of false positives.
            missed: Number of false negatives.
        """
        if found := self.missing_foreground.update(true + false, true + missed):
            advice = diagnosis.advise_against_background(self.settings)
            self.print_to_log_file(f"anl-seg: warning: {found}; {advice}")
        dice = _mean_dice(true, false, missed)
        if self.clean_labels is None:  # clean labels say more, see on_epoch_end
            self._warn_of_memorisation("validation Dice", -self.train_loss, dice)

    def _warn_of_memorisation(self, what: str, fit: float, dice: float) -> None:
        if self.correction is not None and self.correction.done_in is None:
            return  # the correction looks for the same
        if fall := self.memorisation.update(fit, dice):
            self.print_to_log_file(
                f"anl-seg: warning: the network seems to memorise wrong labels: {what} has fallen "
                f"by {fall:.3f} from its best, while it fits the training labels ever better; "
                f"{diagnosis.advise_against_memorisation(self.settings)}"
            )

    def _averaged(self) -> AbstractContextManager[object]:
        """Put the averaged weights into the network within a block, if there are any."""
        return nullcontext() if self.average is None else self.average.in_place()

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do one step of the online validation."""
        with self._autocast():
            result: dict[str, Any] = super().validation_step(batch)
        return result

    def _autocast(self) -> AbstractContextManager[object]:
        """Switch to bf16. nnU-Net's own autocast, which it uses on CUDA alone, takes it over."""
        if self.settings.precision == "bf16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _parts_of_loss(self, kind: type[Part]) -> list[Part]:
        return [each for each in self.loss.modules() if isinstance(each, kind)]

    def _why_not_finite(self, batch: Mapping[str, Any]) -> str:
        parts = self._parts_of_loss(SegmentationLoss)
        terms = [term for part in parts for term in part.not_finite()]
        if any(not parameter.isfinite().all() for parameter in self._loss_parameters()):
            terms.append("trained parameter of the loss")
        keys = batch.get("keys", ())
        if self.one_pass is not None:
            keys = self.one_pass.drawn[-len(batch["data"]) :]  # none from other processes
        reason = diagnosis.explain_divergence(
            terms, batch["data"], keys, self.settings, self.device.type
        )
        return (
            f"not finite in epoch {self.current_epoch}, iteration {self.steps} of "
            f"{self.num_iterations_per_epoch}: {reason}. Checkpoints from before this step, if "
            f"any, are in {self.output_folder}"
        )

    def on_epoch_end(self) -> None:
        """End an epoch: extend the memorisation curve, measure Dice on the test images.

        nnU-Net saves the checkpoint afterwards, so a killed training repeats both.
        """
        epoch = self.current_epoch
        if isinstance(self.loss, FitOfLabels):
            counts = self.loss.take_counts()
            if self.is_ddp:
                dist.all_reduce(counts)
            if self.local_rank == 0:
                last = epoch == self.num_epochs - 1
                point = fit(counts)
                add_to_curve(Path(self.output_folder), epoch, point, last=last)
                if point["dice_noisy"] is not None and point["dice_clean"] is not None:
                    self._warn_of_memorisation(
                        "Dice with the clean labels", point["dice_noisy"], point["dice_clean"]
                    )
        if epoch >= self.num_epochs - self.settings.schedule.test_epochs:
            if self.monitor is not None:
                with self._averaged():
                    dice = self.monitor.measure(self, epoch)
                self.print_to_log_file(
                    f"Mean Dice on {len(self.monitor.images)} test images: ", dice
                )
            if self.is_ddp:
                dist.barrier()
        super().on_epoch_end()

    # Data

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """Wrap the training cases: corrected labels, clean labels, whole passes."""
        training, validation = super().get_tr_and_val_datasets()
        self.given_cases = training
        self.clean_labels = self._prepare_clean_labels(training, validation)
        if self.clean_labels is not None:
            training = WithCleanLabels(training, self.clean_labels)
        self.correction = self._prepare_correction(training, validation)
        if self.correction is not None:
            training = WithCorrectedLabels(training, self.correction.folder)
            validation = self.validation_pass = OnePass(validation)
        if self.settings.schedule.one_pass:
            training = self.one_pass = OnePass(training)
        return training, validation

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> ComposeTransforms:  # noqa: ANN401
        """Adapt nnU-Net's augmentation to the protocol, and to the seed if there is one."""
        composed = super().get_training_transforms(*args, **kwargs)
        if self.settings.schedule.light_augmentation:
            lighten(composed)
        if self.settings.seed is not None:
            make_reproducible(composed)
        return composed

    def _prepare_correction(self, training: Any, validation: Any) -> LabelCorrection | None:  # noqa: ANN401
        """Prepare the correction of labels; None if it is off or cannot be done."""
        if not self.settings.correct_labels:
            return None
        obstacles = {
            "region-based training": self.label_manager.has_regions,
            "a cascade": self.is_cascaded,
            "a fold whose validation cases are training cases": bool(
                set(training.identifiers) & set(validation.identifiers)
            ),
        }
        for name, present in obstacles.items():
            if present:
                self.print_to_log_file(f"anl-seg: labels are not corrected: this is {name}")
                return None
        if self.correction is None:  # else it came with a checkpoint
            self.correction = LabelCorrection(
                Path(self.output_folder, CORRECTED_LABELS), self.num_epochs
            )
        if self.correction.done_in is None and self.local_rank == 0:  # of an earlier training
            shutil.rmtree(self.correction.folder, ignore_errors=True)
        if self.is_ddp:
            dist.barrier()
        return self.correction

    def _correct_labels(self, correction: LabelCorrection) -> None:
        """Replace the training labels by predictions of the best epoch, and go on from there."""
        self.print_to_log_file(
            f"anl-seg: validation Dice is past its peak of epoch {correction.peak.best_epoch}; the "
            "network of that epoch now predicts the training cases, and these masks replace the "
            "given labels"
        )
        correction.restore(self.network.parameters())
        with self._averaged():
            correction.restore(self.network.parameters())
        self.optimizer.state.clear()  # its momentum belongs to other weights
        rank, world = self.local_rank, dist.get_world_size() if self.is_ddp else 1
        partial = correction.folder.with_name(f"{CORRECTED_LABELS}.partial")
        changed = correct_labels(
            self.given_cases,
            sorted(self.given_cases.identifiers)[rank::world],
            self._label_predictor(),
            partial,
            ignore_label=self.label_manager.ignore_label,
        )
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        if self.is_ddp:
            dist.barrier()
        if rank == 0:
            publish(partial, correction.folder)
        if self.is_ddp:
            dist.barrier()
        correction.finish(self.current_epoch)
        self.memorisation = diagnosis.Memorisation()
        self.print_to_log_file(
            f"anl-seg: {np.mean(list(changed.values())):.1%} of the pixels have changed; the new "
            f"labels are in {correction.folder}"
        )

    def _label_predictor(self) -> Callable[[Any], NDArray[Any]]:
        """Return what predicts the labels of a preprocessed image as nnU-Net's validation does."""
        self.set_deep_supervision_enabled(False)
        self.network.eval()
        predictor = nnUNetPredictor(
            perform_everything_on_device=True, device=self.device, allow_tqdm=False
        )
        predictor.manual_initialization(
            self.network,
            self.plans_manager,
            self.configuration_manager,
            None,
            self.dataset_json,
            type(self).__name__,
            self.inference_allowed_mirroring_axes,
        )

        def predict(image: Any) -> NDArray[Any]:  # noqa: ANN401 (an array of nnU-Net's)
            with self._autocast():
                logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
            labels: NDArray[Any] = logits.argmax(0).cpu().numpy()
            return labels

        return predict

    def _prepare_clean_labels(self, training: Any, validation: Any) -> Path | None:  # noqa: ANN401
        """Preprocess the clean labels of a fold like its labels.

        Returns:
            The folder of `CASE.npy`. None if clean labels are not known, or if nnU-Net gives the
            channels of labels another meaning (cascade, regions).
        """
        if self.is_cascaded or self.label_manager.has_regions:
            return None
        cases = dict.fromkeys([*training.identifiers, *validation.identifiers])
        masks = self._masks(CLEAN_LABELS, cases, f"no {PLOT}")
        if masks is None:
            return None
        clean = CleanLabels(
            training,
            Path(self.preprocessed_dataset_folder),
            self.plans_manager,
            self.configuration_manager,
            self.label_manager,
        )
        # each process does its share: NCCL fails if one waits ten minutes for another
        mine = list(masks)[self.local_rank :: dist.get_world_size() if self.is_ddp else 1]
        outdated = {case: masks[case] for case in mine if not clean.is_current(case, masks[case])}
        if outdated:
            self.print_to_log_file(f"anl-seg: preparing the clean labels of {len(outdated)} cases")
            with self._one_line_errors():
                clean.write(outdated)
        if self.is_ddp:
            dist.barrier()
        self.print_to_log_file(
            f"anl-seg: clean labels are known; {PLOT} shows how well both are fitted"
        )
        return clean.folder

    def _masks(self, folder: str, cases: Collection[str], loss: str) -> dict[str, Path] | None:
        """Find the masks of all `cases` in a folder of the raw data set.

        Returns:
            Files by case. None if one is missing; nnU-Net's log then says so, with the `loss`.
        """
        dataset, ending = self.plans_manager.dataset_name, self.dataset_json["file_ending"]
        try:
            return find_masks(dataset, folder, cases, ending)
        except InputError as reason:
            self.print_to_log_file(f"anl-seg: {loss}: {reason}")
            return None

    # Checkpoints

    def save_checkpoint(self, filename: str) -> None:
        """Save nnU-Net's checkpoint, with the loss's own parameters in their optimiser group.

        If the training is killed meanwhile, the previous checkpoint stays.
        """
        if self.robust_loss is not None and self._loss_parameters():
            self.optimizer.param_groups[-1][LOSS_STATE] = self.robust_loss.state_dict()
        if self.disable_checkpointing or self.local_rank != 0:
            super().save_checkpoint(filename)  # which says so, or does nothing
            return
        with self._averaged(), atomic_path(Path(filename)) as partial:
            first = self.optimizer.param_groups[0]
            if self.average is not None:
                first[AVERAGE_STATE] = self.average.state()
            if self.correction is not None:
                first[CORRECTION_STATE] = self.correction.state()
            super().save_checkpoint(str(partial))
            first.pop(AVERAGE_STATE, None)
            first.pop(CORRECTION_STATE, None)

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint with the same settings. Exits with code 2 if they differ."""
        checkpoint = torch.load(
            filename_or_checkpoint, map_location="cpu", weights_only=False, mmap=True
        )
        with self._one_line_errors():
            self._check_same(checkpoint["init_args"]["plans"], filename_or_checkpoint)
        super().load_checkpoint(filename_or_checkpoint)
        if self.robust_loss is not None and self._loss_parameters():
            self.robust_loss.load_state_dict(self.optimizer.param_groups[-1][LOSS_STATE])
        first = self.optimizer.param_groups[0]
        if self.average is not None:
            self.average.load(first.pop(AVERAGE_STATE))
        if CORRECTION_STATE in first:
            self.correction = LabelCorrection(
                Path(self.output_folder, CORRECTED_LABELS), self.num_epochs
            )
            self.correction.load(first.pop(CORRECTION_STATE))

    def _check_same(self, plans: Mapping[str, Any], filename: str) -> None:
        """Check that settings and configuration are those of the plans in a checkpoint."""
        found = differences(
            self.plans_manager.plans, plans, self.configuration_name, self.loss_name
        )
        if found:
            raise InputError(
                f"{filename} was trained with other settings than those of plans "
                f"{self.plans_manager.plans_name!r}: {'; '.join(found)}; restore "
                f"their entry {PLANS_KEY!r}, or write new plans with `anl-seg plan --as NAME`"
            )

    # Clean references and test images

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Do nnU-Net's final validation, and compare with clean labels too if they are known."""
        with self._averaged():
            super().perform_actual_validation(save_probabilities)
        if self.local_rank != 0:
            return
        predictions = Path(self.output_folder, "validation")
        ending = self.dataset_json["file_ending"]
        cases = sorted(path.name.removesuffix(ending) for path in predictions.glob(f"*{ending}"))
        if references := self._masks(CLEAN_LABELS, cases, "no comparison with clean labels"):
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

    def _find_test_images(self) -> TestImageMonitor | None:
        """Find the test images; None if a file is missing, which nnU-Net's log then says."""
        try:
            return TestImageMonitor.of_dataset(
                self.plans_manager.dataset_name, self.dataset_json["file_ending"]
            )
        except InputError as reason:
            self.print_to_log_file(f"anl-seg: no test Dice: {reason}")
            return None

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Report a user's mistake in one line, in nnU-Net's log too, and exit with code 2.

        nnU-Net's command line would print a traceback.
        """
        try:
            yield
        except InputError as error:
            self.print_to_log_file(f"anl-seg: error: {error}", also_print_to_console=False)
            print(f"nnUNetTrainerANL: error: {error}", file=sys.stderr)
            raise SystemExit(2) from error


def _mean_dice(true: NDArray[Any], false: NDArray[Any], missed: NDArray[Any]) -> float:
    """Return the mean Dice of the classes that occur, from numbers of pixels; NaN if none does."""
    both = 2 * true + false + missed
    return float(np.mean(2 * true[both > 0] / both[both > 0])) if both.any() else math.nan


def _keep_to_threads() -> None:
    """Use as many threads as OMP_NUM_THREADS says, if it is set.

    On a CPU nnU-Net uses all processors anyway. Two trainings at once then wait for each other's
    threads and take twenty times as long.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        torch.set_num_threads(int(threads))
