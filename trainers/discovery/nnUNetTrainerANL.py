"""Gives our trainers to nnU-Net: through `anl_seg.trainers.hook`, or through nnUNet_extTrainer.

Every search for any trainer asks this module, so it imports nothing itself until one of our classes
is asked for (PEP 562).
"""

NAMES = {
    "nnUNetTrainerANL",
    "nnUNetTrainerANL_CE_Star",
    "nnUNetTrainerANL_FL",
    "nnUNetTrainerANL_FL_Star",
    "nnUNetTrainerAPL",
    "nnUNetTrainerCE",
    "nnUNetTrainerGCE",
    "nnUNetTrainerMAE",
    "nnUNetTrainerSCE",
    "nnUNetTrainerTLoss",
}


def __getattr__(name: str) -> type:
    if name not in NAMES:
        raise AttributeError(name)
    try:
        import anl_seg.trainers

        return getattr(anl_seg.trainers, name)
    except AttributeError as error:  # nnU-Net would take it for "there is no such trainer"
        raise ImportError(f"anl-seg does not work with what is installed: {error}") from error
