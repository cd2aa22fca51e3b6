"""`anl-seg figure`: Figures 2 to 8 of the paper, drawn from runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import set_option
from anl_seg.cli.execution import (
    Execution,
    ExecutorName,
    Gpus,
    Processes,
    Retries,
    Runs,
    Slurm,
)

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg figure 3 --dataset digits --run -o figure_3.pdf",
    "anl-seg figure 8 --dataset digits --run -np 2",
)


def command(
    number: Annotated[
        int,
        typer.Argument(
            metavar="N",
            help="2 marginal probabilities; 3 accuracies; 4 and 5 penalties of ANL-CE and NCE+RCE; "
            "6 masks; 7 gradients of NNCE; 8 alpha and beta.",
        ),
    ],
    runs: Runs = Path("runs"),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Picture to write (.png, .pdf or .svg), with a CSV beside it. Default: "
            "figure_N.png.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Replaces the paper's CIFAR: digits, for example."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the data set. Default: data/DATASET."),
    ] = None,
    scale: Annotated[
        str,
        typer.Option("--scale", help="Figure 6 only: `small` is feasible on a CPU."),
    ] = "full",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of all runs.")] = 1,
    values: Annotated[
        list[str] | None,
        set_option("A setting of all runs: epochs=20, precision=bf16, device=cpu."),
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Do the missing runs first.")] = False,
    executor: ExecutorName = "local",
    processes: Processes = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Draw a figure of the paper from runs, and write its numbers as CSV.

    --run does the missing runs first. Without it, the panel of a missing run says so.
    """
    from anl_seg.cli.execution import do_runs
    from anl_seg.errors import InputError, named
    from anl_seg.experiments.figures import (
        check_format,
        draw_figure,
        missing_runs,
        runs_of_figure,
    )
    from anl_seg.experiments.parsing import given_settings

    picture = output or Path(f"figure_{number}.png")
    check_format(picture)
    settings = given_settings({"--seed": seed, "--data": data}, values or [])
    pieces = runs_of_figure(number, dataset, settings, scale)
    todo = missing_runs(pieces, runs)
    execution = Execution(executor, processes, gpus, slurm or (), retries)
    failed = do_runs(runs, todo, execution) if run else None
    try:
        numbers = draw_figure(number, pieces, runs, picture)
    except InputError:
        if failed:
            raise failed from None
        raise
    print(f"{picture} and {numbers} written")
    if missing := [run.id for run in missing_runs(pieces, runs)]:
        print(f"missing in {runs}: {named(missing)}; --run does them")
    if failed:
        raise failed
