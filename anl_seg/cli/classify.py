"""`anl-seg classify`: train image classifiers on noisy labels, as in the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Human, num_processes_option, set_option

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg classify --noise symmetric --eta 0.6 --loss ce --loss anl-ce -np 2",
    "anl-seg classify --dataset cifar10 --data CIFAR --noise symmetric --eta 0.8 -o RUN",
)

#: Settings that have an option, so that --set refuses them.
OPTIONS = {
    "protocol": "--dataset",
    "noise": "--noise",
    "eta": "--eta",
    "loss": "--loss",
    "seed": "--seed",
    "data": "--data",
    "labels": "--labels",
    "human": "--human",
    "device": "-device",
    "precision": "--precision",
}


def command(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="digits (needs no download), mnist, cifar10, cifar100, webvision, animal10n, "
            "clothing1m. cifar100-published and webvision-published follow the published code.",
        ),
    ] = "digits",
    noise: Annotated[
        str,
        typer.Option(
            "--noise",
            help="clean, symmetric, asymmetric, asymmetric-published, instance or human.",
        ),
    ] = "clean",
    eta: Annotated[
        float | None, typer.Option("--eta", help="Share of wrong labels, from 0 to 1.")
    ] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            "--loss", help="Name of the loss; `anl-seg losses` lists them. May be repeated."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, help="Seed of noise, weights and order. May be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="RUN",
            help="Folder of the run, or parent folder of several runs. Default: runs/NAME.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder or .npz of the data set. Default: data/DATASET."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="File of `anl-seg label-noise`; replaces --noise."),
    ] = None,
    human: Human = None,
    values: Annotated[
        list[str] | None,
        set_option(
            "Replaces a value of the paper: epochs, batch_size, learning_rate, delta (L1), "
            "l2, jacobian, or a hyper-parameter of the loss, such as alpha."
        ),
    ] = None,
    device: Annotated[
        str, typer.Option("-device", "--device", help="auto, cuda, mps or cpu.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="float32, or bf16 if the device supports it.")
    ] = "float32",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Use torch.compile. Default: on CUDA, if the images are files, or if epochs times "
            "images is at least 2,000,000.",
        ),
    ] = None,
    processes: Annotated[
        int,
        num_processes_option("Runs at a time on the device."),
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run in -o, and start again.")
    ] = False,
) -> None:
    """Train an image classifier on noisy labels with the paper's protocol; report its accuracy.

    The folder RUN will contain log.jsonl (an object for each epoch), run.json
    (settings, versions, hash of the labels, result), the noisy labels,
    TensorBoard events, a checkpoint, and pictures of accuracies and class
    probabilities. If a run was stopped, the same command resumes it.

    Several --loss or --seed do several runs, and report their means. For several
    GPUs: torchrun --nproc-per-node 4 --no-python anl-seg classify ...
    """
    from anl_seg.classification.distributed import ranks
    from anl_seg.classification.several_runs import folders, run_all, summarize
    from anl_seg.cli.progress import track
    from anl_seg.errors import InputError
    from anl_seg.experiments.kinds import classification_settings, nest_parameters
    from anl_seg.experiments.parsing import parse_settings

    given = parse_settings(values or [])
    for name in given.keys() & OPTIONS.keys():
        raise InputError(f"--set cannot set {name}; use {OPTIONS[name]}")
    common = {
        **nest_parameters("classification", given),
        "protocol": dataset,
        "noise": noise,
        "eta": eta,
        "data": data and str(data),
        "human": human and str(human),
        "labels": labels and str(labels),
        "device": device,
        "precision": precision,
    }
    runs = [
        classification_settings({**common, "loss": name, "seed": number})
        for name in loss or ["anl-ce"]
        for number in seed or [1]
    ]
    with ranks(device) as this:
        results = run_all(
            folders(runs, output),
            parallel=processes,
            overwrite=overwrite,
            compiled=compiled,
            ranks=this,
            track=track,
            tell=print,
        )
    if this.is_first and len(results) > 1:
        print(summarize(results))
