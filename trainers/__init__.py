"""nnU-Net trainers with robust losses, their settings, and their discovery by nnU-Net.

    from anl_seg.trainers import nnUNetTrainerANL

Importing the package imports neither torch nor nnU-Net. The first use of a trainer does.
"""

from __future__ import annotations

from importlib import import_module

#: Module of each public trainer.
TRAINERS = {
    "nnUNetTrainerANL": "trainer",
    "nnUNetTrainerANL_CE_Star": "variants",
    "nnUNetTrainerANL_FL": "variants",
    "nnUNetTrainerANL_FL_Star": "variants",
    "nnUNetTrainerAPL": "variants",
    "nnUNetTrainerCE": "variants",
    "nnUNetTrainerGCE": "variants",
    "nnUNetTrainerMAE": "variants",
    "nnUNetTrainerSCE": "variants",
    "nnUNetTrainerTLoss": "variants",
}


def __getattr__(name: str) -> type:
    """Import a trainer when it is first used (PEP 562)."""
    if name not in TRAINERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    trainer: type = getattr(import_module(f"{__name__}.{TRAINERS[name]}"), name)
    return trainer
