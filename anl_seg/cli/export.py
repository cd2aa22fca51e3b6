"""`anl-seg export`: a trained model as a zip for plain nnU-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="Id or name of the data set trained on.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The zip to write.")],
    configuration: Annotated[
        list[str] | None, typer.Option("-c", help="2d (default), 3d_fullres, ...; may be repeated.")
    ] = None,
    fold: Annotated[
        list[str] | None, typer.Option("-f", help="A fold; may be repeated (default: all trained).")
    ] = None,
    trainer: Annotated[str, typer.Option("-tr", help="Trainer.")] = "nnUNetTrainerANL",
    plans: Annotated[str, typer.Option("-p", help="Plans.")] = "nnUNetPlans",
    checkpoint: Annotated[
        str, typer.Option("-chk", help="Checkpoint of each fold.")
    ] = "checkpoint_final.pth",
) -> None:
    """Write a model zip that plain nnU-Net installs and predicts with, outputs compared before."""
    from anl_seg.cli.progress import track
    from anl_seg.trainers.export import export_models
    from anl_seg.trainers.plans import results_folder

    results = results_folder(dataset)
    models = [results / f"{trainer}__{plans}__{each}" for each in configuration or ["2d"]]
    files = export_models(models, output, folds=fold or (), checkpoint=checkpoint, track=track)
    print(f"{output}: {len(files)} files, outputs equal to the trained network's")
    print(f"next: nnUNetv2_install_pretrained_model_from_zip {output}, then nnUNetv2_predict")
    print(f"      ... -tr nnUNetTrainer -p {plans}, both without anl-seg")
