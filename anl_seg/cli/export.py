"""`anl-seg export`: a trained model as a zip for plain nnU-Net."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Checkpoint
from anl_seg.formats.nnunet import CHECKPOINT, PLANS, TRAINER

EXAMPLES = (
    "anl-seg export -d 510 -o model.zip",
    "anl-seg export -d 510 -p anl -f 0 -o fold_0.zip",
)


def command(
    dataset: Annotated[str, typer.Option("-d", help="Id or name of the data set.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The zip to write.")],
    configuration: Annotated[
        list[str] | None,
        typer.Option("-c", help="2d (default), 3d_fullres and so on. May be repeated."),
    ] = None,
    fold: Annotated[
        list[str] | None,
        typer.Option("-f", help="A fold (default: all trained folds). May be repeated."),
    ] = None,
    plans: Annotated[str, typer.Option("-p", help="Plans.")] = PLANS,
    trainer: Annotated[str, typer.Option("-tr", help="Trainer.")] = TRAINER,
    checkpoint: Checkpoint = CHECKPOINT,
) -> None:
    """Export a trained model as a zip, so that plain nnU-Net can run it.

    The zip is written only if nnU-Net's own network gives the same output as the trained one.
    """
    from anl_seg.cli.progress import track
    from anl_seg.formats.nnunet import RESULTS, find_dataset
    from anl_seg.trainers.export import export_models
    from anl_seg.trainers.models import choose_folds

    results = find_dataset(dataset, RESULTS)
    models = [results / f"{trainer}__{plans}__{each}" for each in configuration or ["2d"]]
    files = export_models(models, output, folds=fold or (), checkpoint=checkpoint, track=track)
    print(f"{output}: {len(files)} files, outputs equal to the trained network's")
    print(f"next: nnUNetv2_install_pretrained_model_from_zip {output}")
    for model in models:
        folds = " ".join(choose_folds(model, fold or (), checkpoint))
        other = f" -chk {checkpoint}" if checkpoint != CHECKPOINT else ""
        print(
            f"      nnUNetv2_predict -i IMAGES -o PREDICTIONS -d {dataset} "
            f"-c {model.name.split('__')[-1]} -f {folds} -tr nnUNetTrainer -p {plans}{other}"
        )
    print("Neither command needs anl-seg.")
