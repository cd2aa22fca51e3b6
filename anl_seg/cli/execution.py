"""Options of all commands that do runs: where, how many at a time, how often again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.choices import num_processes_option

if TYPE_CHECKING:
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.run import Run
    from anl_seg.experiments.runs.sweep import Executor


class Executors(str, Enum):
    """Choices of --executor."""

    local = "local"
    slurm = "slurm"


Runs = Annotated[Path, typer.Option("--runs", help="Folder of the runs.")]
ExecutorName = Annotated[Executors, typer.Option("--executor", help="Where the runs are done.")]
Processes = Annotated[
    int | None,
    num_processes_option("Runs at a time. Default: one for each GPU of --gpus, else one."),
]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", help="GPUs to share out among local runs, such as 0,1,2,3."),
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(
        "--slurm",
        metavar="NAME=VALUE",
        help="Any long option of sbatch, for --executor slurm: partition=gpu, time=120 (minutes), "
        "gpus=1, cpus-per-task=4, mem=16G. May be repeated.",
    ),
]
Retries = Annotated[
    int, typer.Option("--retries", min=0, help="How often a failed run is tried again.")
]


@dataclass(frozen=True)
class Execution:
    """How runs are done, as the options above say it.

    Attributes:
        executor: Where.
        processes: Runs at a time, if given.
        gpus: GPUs to share out, such as "0,1".
        slurm: NAME=VALUE texts for sbatch.
        retries: How often a failed run is tried again.
    """

    executor: Executors
    processes: int | None
    gpus: str | None
    slurm: Sequence[str]
    retries: int

    @property
    def parallel(self) -> int:
        """Runs at a time."""
        from anl_seg.experiments.runs.executors import at_once

        return at_once(self.processes, self.gpus)

    def make_executor(self, root: Path) -> Executor:
        """Make the executor of the runs in a folder.

        Raises:
            InputError: If an option is for another executor, or a value is impossible.
        """
        from anl_seg.experiments.runs.executors import make_executor

        return make_executor(
            self.executor.value, root, workers=self.parallel, gpus=self.gpus, slurm=self.slurm
        )


def do_runs(root: Path, runs: Sequence[Run], execution: Execution) -> CommandFailedError | None:
    """Do what is missing of the runs, and show how they stand.

    Args:
        root: Folder of the runs.
        runs: What to do.
        execution: How.

    Returns:
        The error to raise if a run failed for good, with the end of its log. The caller raises it
        once it has used the other runs.
    """
    from anl_seg.cli.standings import watching
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.sweep import failures, run_sweep

    executor = execution.make_executor(root)
    with watching(execution.parallel) as watch:
        found = run_sweep(root, runs, executor, retries=execution.retries, watch=watch)
    text = failures(found)
    return CommandFailedError(f"not all runs were done:\n{text}") if text else None
