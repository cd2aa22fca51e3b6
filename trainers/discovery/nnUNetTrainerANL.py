"""Module in which nnU-Net finds our trainers, by `anl_seg.trainers.hook` or nnUNet_extTrainer.

Every search for a trainer imports this module. So it imports nothing itself until one of our
classes is requested (PEP 562).
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
    except AttributeError as error:  # nnU-Net would read it as an unknown trainer
        raise ImportError(f"anl-seg does not work with the installed packages: {error}") from error
