"""nnU-Net trainers with robust losses, their settings, and how nnU-Net finds them.

    from anl_seg.trainers import nnUNetTrainerANL

Importing the package loads neither torch nor nnU-Net. The first use of a trainer does.
"""

from __future__ import annotations

from importlib import import_module

#: Public trainer -> module that defines it.
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
    """Load a trainer when it is first asked for (PEP 562)."""
    if name not in TRAINERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    trainer: type = getattr(import_module(f"{__name__}.{TRAINERS[name]}"), name)
    return trainer
