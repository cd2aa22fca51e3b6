"""Options of all commands that do runs: executor, runs at a time, retries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.choices import num_processes_option
from anl_seg.experiments.runs.executors import EXECUTORS
from anl_seg.experiments.runs.executors.executor import ExecutorOptions

if TYPE_CHECKING:
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.executors.executor import Executor
    from anl_seg.experiments.runs.run import Run


Runs = Annotated[Path, typer.Option("--runs", help="Folder of the runs.")]
ExecutorName = Annotated[
    str,
    typer.Option("--executor", help=f"Where to do the runs: {' or '.join(EXECUTORS)}."),
]
Processes = Annotated[
    int | None,
    num_processes_option("Runs at a time. Default: one per GPU of --gpus, otherwise one."),
]
Gpus = Annotated[
    str | None,
    typer.Option("--gpus", help="GPUs to distribute among local runs, such as 0,1,2,3."),
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
Retries = Annotated[int, typer.Option("--retries", min=0, help="How often to retry a failed run.")]


@dataclass(frozen=True)
class Execution:
    """Values of the options above.

    Attributes:
        executor: Name of the executor.
        processes: Number of runs at a time, if given.
        gpus: GPUs to distribute, such as "0,1".
        slurm: NAME=VALUE texts for sbatch.
        retries: Number of retries of a failed run.
    """

    executor: str
    processes: int | None
    gpus: str | None
    slurm: Sequence[str]
    retries: int

    @property
    def parallel(self) -> int:
        """Number of runs at a time."""
        from anl_seg.experiments.runs.executors.local import at_once

        return at_once(self.processes, self.gpus)

    def make_executor(self, root: Path) -> Executor:
        """Create the executor of the runs in a folder.

        Raises:
            InputError: If an option is for another executor, or a value is impossible.
        """
        from anl_seg.experiments.runs.executors import make_executor

        return make_executor(
            self.executor, root, ExecutorOptions(self.parallel, self.gpus, self.slurm)
        )


def do_runs(root: Path, runs: Sequence[Run], execution: Execution) -> CommandFailedError | None:
    """Do the missing runs, and show their states.

    Args:
        root: Folder of the runs.
        runs: Runs to do.
        execution: Values of the options.

    Returns:
        An error with the end of the logs if a run failed in all its attempts. The caller raises it
        after using the other runs.
    """
    from anl_seg.cli.standings import watching
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.sweep import failures, run_sweep

    executor = execution.make_executor(root)
    with watching(execution.parallel) as watch:
        found = run_sweep(root, runs, executor, retries=execution.retries, watch=watch)
    text = failures(found)
    return CommandFailedError(f"not all runs were done:\n{text}") if text else None
