"""`anl-seg plan`: write a plans file with the settings of a training."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from anl_seg.cli.choices import set_option
from anl_seg.formats.nnunet import PLANS
from anl_seg.trainers.defaults import describe_default
from anl_seg.trainers.protocols import PROTOCOLS

EXAMPLES = (
    "anl-seg plan -d 510 --as anl --loss anl-ce --seed 1",
    "anl-seg plan -d 510 --as gce --loss gce --set q=0.5 --epochs 250",
)


def command(
    dataset: Annotated[str, typer.Option("-d", help="Id or name of a preprocessed data set.")],
    name: Annotated[str, typer.Option("--as", help="Name of the new plans.")],
    configuration: Annotated[
        list[str] | None,
        typer.Option(
            "-c",
            help="Configuration that --protocol, --batch-size and --small change (default: all). "
            "May be repeated.",
        ),
    ] = None,
    source: Annotated[str, typer.Option("-p", help="Plans to start from.")] = PLANS,
    other: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Take plans and folds from this data set, such as the clean original of a noisy "
            "copy.",
        ),
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="; ".join(f"{name}: {each.summary}" for name, each in PROTOCOLS.items()) + "."
        ),
    ] = "nnunet",
    loss: Annotated[str, typer.Option(help="Loss by name; dice+ce is nnU-Net's own.")] = "anl-ce",
    alpha: Annotated[
        float | None,
        typer.Option(help=f"Weight of the active term (default: {describe_default('alpha')})."),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(
            help=f"Weight of the passive or negative term (default: {describe_default('beta')})."
        ),
    ] = None,
    lambda_: Annotated[
        float | None,
        typer.Option(
            "--lambda",
            help=f"Weight of the entropy term (default: {describe_default('lambda_')}).",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        set_option("Another hyper-parameter of the loss, such as q or p_min."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Weight of the L1 penalty (default: 0).")
    ] = None,
    dice_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of nnU-Net's soft Dice beside the loss "
            f"(default: {describe_default('dice_weight')})."
        ),
    ] = None,
    ce_weight: Annotated[
        float | None,
        typer.Option(
            help="Weight of plain cross entropy beside the loss "
            f"(default: {describe_default('ce_weight')})."
        ),
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(
            help="Share of the epochs that train with nnU-Net's own loss first; 1: until the "
            f"labels are corrected (default: {describe_default('warmup')})."
        ),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            help="Decay per step of a moving average of the weights, such as 0.99. Validation, "
            "checkpoints and prediction use the average "
            f"(default: {describe_default('ema')}). Polyak 1992, Tarvainen 2017."
        ),
    ] = None,
    bootstrap: Annotated[
        float | None,
        typer.Option(
            help="Weight of the network's own prediction in the labels after the warm-up "
            f"(default: {describe_default('bootstrap')}). Reed 2015."
        ),
    ] = None,
    correct_labels: Annotated[
        bool | None,
        typer.Option(
            "--correct-labels/--keep-labels",
            help="Replace the training labels by the network's own predictions once the validation "
            "Dice is past its peak (default: correct for anl-ce under nnunet, else keep). "
            "Liu 2022.",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs (nnU-Net: 1000).")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps per epoch (nnU-Net: 250).")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Batch size (default: the protocol's, else planned).")
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd or adam (default: from the protocol).")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="float32: nnU-Net's default, mixed with float16 on GPUs. bf16: mixed bfloat16."
        ),
    ] = "float32",
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the weights, and with nnUNet_n_proc_DA=0 of data order and augmentation."
        ),
    ] = None,
    small: Annotated[
        bool, typer.Option("--small", help="A small network, patch and batch, for a CPU.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace plans of this name.")
    ] = False,
) -> None:
    """Write plans with loss, schedule and seed, for `nnUNetv2_train -tr nnUNetTrainerANL`."""
    from anl_seg.errors import InputError
    from anl_seg.experiments.parsing import parse_settings
    from anl_seg.formats.nnunet import PREPROCESSED, RAW, find_dataset
    from anl_seg.trainers import plans
    from anl_seg.trainers.preprocessed_folder import folder_like
    from anl_seg.trainers.settings import TrainerSettings

    parameters = _given(alpha=alpha, beta=beta, lambda_=lambda_)
    others = parse_settings(values or [])
    for twice in parameters.keys() & others.keys():
        raise InputError(f"{twice} is given as an option and with --set; keep one")
    settings = TrainerSettings(
        loss=loss,
        loss_parameters=others | parameters,
        protocol=protocol,
        precision=precision,
        **_given(
            delta=delta,
            dice_weight=dice_weight,
            ce_weight=ce_weight,
            warmup=warmup,
            ema=ema,
            bootstrap=bootstrap,
            correct_labels=correct_labels,
            epochs=epochs,
            iterations=iterations,
            optimizer=optimizer,
            seed=seed,
        ),
    )
    source_folder = None if other is None else find_dataset(other, PREPROCESSED)
    if source_folder is None:
        folder = find_dataset(dataset, PREPROCESSED)
    else:
        folder = folder_like(source_folder, find_dataset(dataset, RAW))
    path = plans.write_plans(
        folder,
        source,
        name,
        settings,
        source_folder=source_folder,
        configurations=configuration or (),
        batch_size=batch_size,
        small=small,
        overwrite=overwrite,
    )
    print(f"{path}: {settings}")
    chosen = plans.choose(plans.read_plans(path), configuration or ())
    if missing := plans.missing_images(folder, chosen):
        print(f"next: nnUNetv2_preprocess -d {dataset} -plans_name {name} -c {' '.join(missing)}")
    first = plans.first_configuration(chosen)
    device = " -device cpu" if small else ""
    print(f"next: nnUNetv2_train {dataset} {first} 0 -tr nnUNetTrainerANL -p {name}{device}")


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 (numbers of several types)
    return {name: value for name, value in options.items() if value is not None}
