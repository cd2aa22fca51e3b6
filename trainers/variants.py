"""Trainers of one loss each, which need no plans of their own: `nnUNetv2_train -tr NAME`."""

from __future__ import annotations

from anl_seg.trainers.trainer import nnUNetTrainerANL


class nnUNetTrainerANL_FL(nnUNetTrainerANL):
    """ANL-FL (eq. 12)."""

    loss_name = "anl-fl"


class nnUNetTrainerANL_CE_Star(nnUNetTrainerANL):
    """ANL-CE*, with the entropy term (eq. 14)."""

    loss_name = "anl-ce*"


class nnUNetTrainerANL_FL_Star(nnUNetTrainerANL):
    """ANL-FL*, with the entropy term (eq. 14)."""

    loss_name = "anl-fl*"


class nnUNetTrainerCE(nnUNetTrainerANL):
    """Cross entropy alone, without nnU-Net's Dice."""

    loss_name = "ce"


class nnUNetTrainerGCE(nnUNetTrainerANL):
    """Generalized cross entropy, a row of Table VI."""

    loss_name = "gce"


class nnUNetTrainerMAE(nnUNetTrainerANL):
    """Mean absolute error, a row of Table VI."""

    loss_name = "mae"


class nnUNetTrainerSCE(nnUNetTrainerANL):
    """Symmetric cross entropy, a row of Table VI."""

    loss_name = "sce"


class nnUNetTrainerAPL(nnUNetTrainerANL):
    """Active passive loss, "specifically NCE+RCE" (section VI-F), a row of Table VI."""

    loss_name = "nce+rce"


class nnUNetTrainerTLoss(nnUNetTrainerANL):
    """Robust T-Loss, whose parameter nu is trained too, a row of Table VI."""

    loss_name = "t-loss"
