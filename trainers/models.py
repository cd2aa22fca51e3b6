"""Trained models of nnU-Net: their folders and folds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anl_seg.errors import InputError, named
from anl_seg.formats.nnunet import CHECKPOINT


def choose_folds(model: Path, folds: Sequence[str] = (), checkpoint: str = CHECKPOINT) -> list[str]:
    """Choose trained folds of a model.

    Args:
        model: Folder such as nnUNet_results/Dataset501_X/nnUNetTrainerANL__plans__2d.
        folds: The folds, such as "0" or "all". By default every fold with the checkpoint.
        checkpoint: Name of the checkpoint of each fold.

    Returns:
        The folds, at least one. All have the checkpoint.

    Raises:
        InputError: If the model or a fold was not trained.
    """
    if not (model / "plans.json").is_file():
        others = [path.name.split("__", 2) for path in sorted(model.parent.glob("*__*__*"))]
        options = [f"-tr {trainer} -p {plans} -c {name}" for trainer, plans, name in others]
        raise InputError(
            f"{model}: no trained model; train it first, or name its trainer, plans and "
            f"configuration with -tr, -p and -c (trained: {named(options) or 'none'})"
        )
    trained = sorted(path.parent.name[5:] for path in model.glob(f"fold_*/{checkpoint}"))
    if not trained:
        raise InputError(f"{model}: no fold has a {checkpoint}; train with nnUNetv2_train first")
    if missing := [fold for fold in folds if fold not in trained]:
        raise InputError(
            f"{model}: fold {named(missing)} has no {checkpoint} (trained: {named(trained)}); "
            "train it, or give the trained folds with -f"
        )
    return list(folds) or trained
