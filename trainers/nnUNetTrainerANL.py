"""The nnU-Net trainers: nnU-Net's own training, a robust loss in place of Dice + cross entropy."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

import anl_seg
from anl_seg import losses
from anl_seg.errors import InputError
from anl_seg.trainers.settings import NNUNET_LOSS, PLANS_KEY, Settings


class nnUNetTrainerANL(nnUNetTrainer):
    """nnU-Net with Active Negative Loss (Ye et al., eq. 11) in place of Dice + cross entropy.

    Everything else is nnU-Net's: network, augmentation, schedule, deep supervision weights. The
    settings come from the plans file (`anl-seg plan`), see `anl_seg.trainers.settings.Settings`.
    Without an entry there it is alpha 1, beta 20 on nnU-Net's own schedule. Measured on the real
    sample (48 training pairs at 64 x 64 pixels, noise 0.7/0.7, 400 steps, 16 test pairs, seeds 1 to
    3, a small run): mean Dice 0.650 (standard deviation 0.012), Dice + CE 0.658 (0.032), alpha and
    beta 5: 0.609 (0.039), alpha 10 and beta 1: 0. See benchmarks/alpha_beta.md.

    The constructor stays nnU-Net's own, since it records its arguments by name.
    """

    @cached_property
    def settings(self) -> Settings:
        """The settings in the plans file; exits with code 2 where they are wrong."""
        with _one_line_errors():
            return Settings.from_plans(self.plans_manager.plans)

    def initialize(self) -> None:
        """Apply schedule and seed, then let nnU-Net build network, optimiser and loss."""
        # Defaults spelt out: the checkpoint carries the plans, and defaults may change one day.
        self.plans_manager.plans[PLANS_KEY] = self.settings.to_plans()
        if self.settings.epochs is not None:
            self.num_epochs = self.settings.epochs
        if self.settings.iterations is not None:
            self.num_iterations_per_epoch = self.settings.iterations
            self.num_val_iterations_per_epoch = max(1, self.settings.iterations // 5)  # its ratio
        if self.settings.delta > 0:
            self.weight_decay = 0.0
        self._seed()
        super().initialize()
        self.print_to_log_file(f"anl-seg {anl_seg.__version__}: {self.settings}")
        self.print_to_log_file(f"anl-seg: the loss is {self.loss}")

    def _seed(self) -> None:
        """Seed all generators, for each epoch and rank differently, if there is a seed."""
        if self.settings.seed is None:
            return
        entropy = [self.settings.seed, self.current_epoch, self.local_rank]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 (nnU-Net's augmentation draws from the global generator)
        torch.manual_seed(seed)
        if get_allowed_n_proc_DA() > 0:
            self.print_to_log_file(
                "anl-seg: the seed fixes the weights but not the order of the data, since nnU-Net "
                "loads in several processes; nnUNet_n_proc_DA=0 nnUNetv2_train ... fixes both"
            )

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        """Add the L1 penalty's gradient once per optimiser step, whatever the number of scales.

        It joins after nnU-Net has unscaled and clipped the gradient: nnU-Net's clipping is for what
        the data say, and delta sign(w) is bounded. (In the paper's protocols clipping covers both.)
        """
        optimizer, lr_scheduler = super().configure_optimizers()
        if self.settings.delta > 0:
            optimizer.register_step_pre_hook(self._add_l1_gradient)
        return optimizer, lr_scheduler

    def _add_l1_gradient(self, *_: object) -> None:
        losses.add_l1_gradient(self.network.parameters(), self.settings.delta)

    def _build_loss(self) -> nn.Module:
        """Put the robust loss in nnU-Net's deep supervision, whose weights stay nnU-Net's.

        Raises:
            NotImplementedError: For region-based training.
        """
        loss = super()._build_loss()
        if isinstance(loss, DeepSupervisionWrapper) and len(loss.weight_factors) == 1:
            loss.weight_factors = (1.0,)  # nnU-Net gives the lowest scale 0, so a single one 0/0
        if self.settings.loss == NNUNET_LOSS:
            return loss
        if self.label_manager.has_regions:
            raise NotImplementedError(
                f"region-based training with the loss {self.settings.loss!r} is not supported yet; "
                f"give dataset.json plain labels, or plan with `--loss {NNUNET_LOSS}`"
            )
        pixel_loss = PixelLoss(
            losses.create(
                self.settings.loss,
                ignore_index=self.label_manager.ignore_label,
                **self.settings.loss_parameters,
            )
        )
        if not isinstance(loss, DeepSupervisionWrapper):
            return pixel_loss
        loss.loss = pixel_loss
        return loss

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Load a checkpoint of a run with the same settings; exits with code 2 if they differ."""
        checkpoint = torch.load(
            filename_or_checkpoint, map_location="cpu", weights_only=False, mmap=True
        )
        with _one_line_errors():
            trained = Settings.from_plans(checkpoint["init_args"]["plans"])
            if differences := self.settings.differences(trained):
                raise InputError(
                    f"{filename_or_checkpoint} was trained with other settings than plans "
                    f"{self.plans_manager.plans_name!r} ask for: {'; '.join(differences)}; restore "
                    f"their entry {PLANS_KEY!r}, or write new plans with `anl-seg plan --as NAME`"
                )
        super().load_checkpoint(filename_or_checkpoint)
        self._seed()  # so that a continued run does not draw the first epochs' data again


class PixelLoss(nn.Module):
    """Adapter from nnU-Net's targets to ours: float or int16 `(B, 1, *S)` to int64 `(B, *S)`."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss over pixels that are not ignored, a float32 scalar."""
        return self.loss(logits, target[:, 0].long())


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Print a user's mistake as one line and exit with code 2.

    nnU-Net's command line handles no errors: the message would drown in a traceback.
    """
    try:
        yield
    except InputError as error:
        print(f"nnUNetTrainerANL: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
