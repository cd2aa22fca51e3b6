"""Options of all commands that do runs: where, how many at a time, how often again."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anl_seg.experiments.runs import Run
    from anl_seg.experiments.sweep import Standing


class Executors(str, Enum):
    """Choices of --executor."""

    local = "local"
    slurm = "slurm"


Runs = Annotated[Path, typer.Option("-o", "--runs", help="Folder of the runs.")]
ExecutorName = Annotated[Executors, typer.Option("--executor", help="Where runs are done.")]
Workers = Annotated[int, typer.Option("-j", "--workers", min=1, help="Runs at a time.")]
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
    workers: int,
    gpus: str | None,
    slurm: list[str] | None,
    retries: int,
) -> list[Standing]:
    """Do what is missing of the runs, showing how they stand, and report failures.

    Raises:
        CommandFailedError: If a run failed for good; the message has the end of its log.
    """
    from anl_seg.cli.standings import watching
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.executors import make_executor
    from anl_seg.experiments.sweep import failures, run_sweep

    doer = make_executor(executor.value, root, workers=workers, gpus=gpus, slurm=slurm or ())
    with watching(workers) as watch:
        found = run_sweep(root, runs, doer, retries=retries, watch=watch)
    if text := failures(found):
        raise CommandFailedError(f"not all runs were done:\n{text}")
    return found
