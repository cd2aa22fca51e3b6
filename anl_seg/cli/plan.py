"""`anl-seg plan`: write a plans file that says how our trainer is to train."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def command(
    dataset: Annotated[str, typer.Argument(help="Id or name of a preprocessed data set.")],
    name: Annotated[str, typer.Option("--as", help="Name of the new plans.")],
    source: Annotated[str, typer.Option("-p", help="Plans to start from.")] = "nnUNetPlans",
    other: Annotated[
        str | None,
        typer.Option(
            "--from", help="Data set that has those plans: the clean one of a noisy copy."
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="nnunet; isic2017: section VI-B; isic2017-poly: its rate falling slower."
        ),
    ] = "nnunet",
    loss: Annotated[str, typer.Option(help="Loss by name; dice+ce is nnU-Net's own.")] = "anl-ce",
    alpha: Annotated[float | None, typer.Option(help="Weight of the active term.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the passive term.")] = None,
    lambda_: Annotated[
        float | None, typer.Option("--lambda", help="Weight of the entropy term.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="What else the loss has, such as q or p_min. May be repeated.",
        ),
    ] = None,
    delta: Annotated[float | None, typer.Option(help="Weight of the L1 penalty.")] = None,
    dice_weight: Annotated[
        float | None, typer.Option(help="Weight of soft Dice beside the loss (default: 0).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs (nnU-Net: 1000).")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps an epoch (nnU-Net: 250).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Batch size (default: planned).")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd or adam.")] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="float32: nnU-Net's own, on GPUs mixed with float16; bf16 where the device has it."
        ),
    ] = "float32",
    seed: Annotated[int | None, typer.Option(help="Seed of the weights, see README.")] = None,
    small: Annotated[
        bool, typer.Option("--small", help="A small network, patch and batch, for a CPU.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace plans of this name.")
    ] = False,
) -> None:
    """Write plans with loss, schedule and seed, for `nnUNetv2_train -tr nnUNetTrainerANL`."""
    from anl_seg.experiments.tables.plan import parse_settings
    from anl_seg.trainers.plans import (
        first_configuration,
        folder_like,
        missing_images,
        preprocessed_folder,
        raw_folder,
        write_plans,
    )
    from anl_seg.trainers.settings import Settings

    settings = Settings(
        loss=loss,
        loss_parameters={
            **parse_settings(values or []),
            **_given(alpha=alpha, beta=beta, lambda_=lambda_),
        },
        protocol=protocol,
        precision=precision,
        **_given(
            delta=delta,
            dice_weight=dice_weight,
            epochs=epochs,
            iterations=iterations,
            optimizer=optimizer,
            seed=seed,
        ),
    )
    source_folder = None if other is None else preprocessed_folder(other)
    if source_folder is None:
        folder = preprocessed_folder(dataset)
    else:
        folder = folder_like(source_folder, raw_folder(dataset))
    path = write_plans(
        folder,
        source,
        name,
        settings,
        source_folder=source_folder,
        batch_size=batch_size,
        small=small,
        overwrite=overwrite,
    )
    print(f"{path}: {settings}")
    if missing := missing_images(folder, path):
        print(f"next: nnUNetv2_preprocess -d {dataset} -plans_name {name} -c {' '.join(missing)}")
    configuration = first_configuration(path)
    print(f"next: nnUNetv2_train {dataset} {configuration} 0 -tr nnUNetTrainerANL -p {name}")


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 (numbers of several types)
    return {name: value for name, value in options.items() if value is not None}
