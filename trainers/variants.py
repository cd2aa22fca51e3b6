"""Trainers of one loss each, which need no special plans: `nnUNetv2_train -tr NAME`."""

from __future__ import annotations

from anl_seg.trainers.trainer import nnUNetTrainerANL


class nnUNetTrainerANL_FL(nnUNetTrainerANL):
    """nnU-Net with ANL-FL (eq. 12)."""

    loss_name = "anl-fl"


class nnUNetTrainerANL_CE_Star(nnUNetTrainerANL):
    """nnU-Net with ANL-CE*, which has the entropy term (eq. 14)."""

    loss_name = "anl-ce*"


class nnUNetTrainerANL_FL_Star(nnUNetTrainerANL):
    """nnU-Net with ANL-FL*, which has the entropy term (eq. 14)."""

    loss_name = "anl-fl*"


class nnUNetTrainerCE(nnUNetTrainerANL):
    """nnU-Net with cross entropy alone, without Dice."""

    loss_name = "ce"


class nnUNetTrainerGCE(nnUNetTrainerANL):
    """nnU-Net with generalized cross entropy, a row of Table VI."""

    loss_name = "gce"


class nnUNetTrainerMAE(nnUNetTrainerANL):
    """nnU-Net with mean absolute error, a row of Table VI."""

    loss_name = "mae"


class nnUNetTrainerSCE(nnUNetTrainerANL):
    """nnU-Net with symmetric cross entropy, a row of Table VI."""

    loss_name = "sce"


class nnUNetTrainerAPL(nnUNetTrainerANL):
    """nnU-Net with active passive loss, "specifically NCE+RCE" (section VI-F), in Table VI."""

    loss_name = "nce+rce"


class nnUNetTrainerTLoss(nnUNetTrainerANL):
    """nnU-Net with robust T-Loss, whose parameter nu is trained too, a row of Table VI."""

    loss_name = "t-loss"
