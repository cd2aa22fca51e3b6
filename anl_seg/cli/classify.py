"""`anl-seg classify`: train image classifiers on noisy labels, as in the paper's tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="digits (needs no download), mnist, cifar10, cifar100, webvision, animal10n, "
            "clothing1m; cifar100-published, webvision-published where published code differs.",
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
        typer.Option("--loss", help="By name, see `anl-seg losses`. May be repeated."),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, help="Of noise, weights, order. May be repeated."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", metavar="RUN", help="Folder of the run, or for several; else runs/ and its name."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the data set, or .npz; else data/DATASET."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Noisy labels of `anl-seg label-noise`, for --noise."),
    ] = None,
    human: Annotated[
        Path | None,
        typer.Option("--human", help="File of CIFAR-N, or its folder, for --noise human."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="In place of the paper's value: epochs, batch_size, learning_rate, l1, l2, "
            "jacobian, or what the loss has, such as alpha. May be repeated.",
        ),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cuda, mps or cpu.")] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="float32, or bf16 where it is supported.")
    ] = "float32",
    compiled: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="torch.compile; by default on CUDA."),
    ] = None,
    parallel: Annotated[
        int, typer.Option("--parallel", min=1, help="Runs at a time on the device.")
    ] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start anew, even if RUN holds a run.")
    ] = False,
) -> None:
    """Train with the paper's protocol and report the test accuracy.

    RUN gets log.jsonl (an object an epoch), run.json (settings, versions, hash
    of the labels, result), the noisy labels, TensorBoard events, a checkpoint
    and pictures of accuracies and class probabilities. The same command again
    goes on where a run was stopped.

    Several --loss or --seed make several runs, and their mean. Large data sets
    on several GPUs: torchrun --nproc-per-node 4 --no-python anl-seg classify ...
    """
    from anl_seg.classification.distributed import ranks
    from anl_seg.classification.many import folders, run_all, summarize
    from anl_seg.classification.settings import Settings, parse_overrides
    from anl_seg.cli.progress import track

    runs = [
        Settings(
            protocol=dataset,
            loss=name,
            noise=noise,
            eta=eta,
            seed=number,
            data=data,
            human=human,
            labels=labels,
            overrides=parse_overrides(values or []),
            device=device,
            precision=precision,
        )
        for name in loss or ["anl-ce"]
        for number in seed or [1]
    ]
    with ranks() as this:
        results = run_all(
            folders(runs, output),
            parallel=parallel,
            overwrite=overwrite,
            compiled=compiled,
            ranks=this,
            track=track,
            tell=print,
        )
    if this.is_first and len(results) > 1:
        print(summarize(results))
