"""Options of all commands that do runs: where, how many at a time, how often again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.run import Run


class Executors(str, Enum):
    """Choices of --executor."""

    local = "local"
    slurm = "slurm"


Runs = Annotated[Path, typer.Option("-o", "--runs", help="Folder of the runs.")]
ExecutorName = Annotated[Executors, typer.Option("--executor", help="Where runs are done.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "-j", "--workers", min=1, help="Runs at a time; without it one a GPU of --gpus, else one."
    ),
]
Gpus = Annotated[
    str | None, typer.Option("--gpus", help="GPUs to deal out to local runs, such as 0,1,2,3.")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="NAME=VALUE",
        help="For --executor slurm, any long option of sbatch: partition=gpu, time=120 (minutes), "
        "gpus=1, cpus-per-task=4, mem=16G. May be repeated.",
    ),
]
Retries = Annotated[
    int, typer.Option("--retries", min=0, help="How often a failed run is tried again.")
]


def do_runs(
    root: Path,
    runs: Sequence[Run],
    executor: Executors,
    workers: int | None,
    gpus: str | None,
    slurm: list[str] | None,
    retries: int,
) -> CommandFailedError | None:
    """Do what is missing of the runs, showing how they stand.

    Returns:
        What to raise, once all that is there was put to use, if a run failed for good; the message
        has the end of its log.
    """
    from anl_seg.cli.standings import watching
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.executors import at_once, make_executor
    from anl_seg.experiments.runs.sweep import failures, run_sweep

    workers = at_once(workers, gpus)
    doer = make_executor(executor.value, root, workers=workers, gpus=gpus, slurm=slurm or ())
    with watching(workers) as watch:
        found = run_sweep(root, runs, doer, retries=retries, watch=watch)
    text = failures(found)
    return CommandFailedError(f"not all runs were done:\n{text}") if text else None
