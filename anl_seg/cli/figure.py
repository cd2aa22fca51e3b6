"""`anl-seg figure`: Figures 2 to 8 of the paper, drawn from runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.execution import ExecutorName, Executors, Gpus, Retries, Runs, Slurm, Workers


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
            "--output", help="The picture, .png, .pdf or .svg; else figure_N.png. A CSV comes too."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="In place of the paper's CIFAR, such as digits."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data set, if not data/NAME.")
    ] = None,
    scale: Annotated[
        str | None, typer.Option("--scale", help="Of figure 6: small is what a CPU can do.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all runs.")] = 1,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Setting of all runs, such as epochs=20, precision=bf16, device=cpu. May be "
            "repeated.",
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Make the runs that are missing, then draw.")
    ] = False,
    executor: ExecutorName = Executors.local,
    workers: Workers = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Draw a figure of the paper from runs, and write its numbers as CSV.

    anl-seg figure 8 --dataset digits --run makes the 25 runs first, which
    takes minutes on a CPU. Panels whose runs are missing say so.
    """
    from anl_seg.cli.execution import do_runs
    from anl_seg.errors import InputError, named
    from anl_seg.experiments.figures import draw_figure, missing_runs, runs_of_figure
    from anl_seg.experiments.tables.plan import parse_settings

    options = {"seed": seed, "data": None if data is None else str(data), "scale": scale}
    given = {name: value for name, value in options.items() if value is not None}
    pieces = runs_of_figure(number, dataset, {**given, **parse_settings(values or [])})
    todo = missing_runs(pieces, runs)
    failed = do_runs(runs, todo, executor, workers, gpus, slurm, retries) if run else None
    picture = output or Path(f"figure_{number}.png")
    try:
        numbers = draw_figure(number, pieces, runs, picture)
    except InputError:
        if failed:
            raise failed from None
        raise
    print(f"{picture} and {numbers} written")
    if missing := [run.id for run in missing_runs(pieces, runs)]:
        print(f"{len(missing)} runs are missing in {runs}, --run makes them: {named(missing)}")
    if failed:
        raise failed
