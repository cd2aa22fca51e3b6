"""The executors by name: this machine, or a SLURM cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.executors.local import LocalExecutor
from anl_seg.experiments.runs.sweep import Executor, Standing, standings
from anl_seg.extras import require


def make_executor(
    name: str,
    root: Path,
    *,
    workers: int = 1,
    gpus: str | None = None,
    slurm: Sequence[str] = (),
) -> Executor:
    """Create an executor from the options of a command.

    Args:
        name: "local" or "slurm".
        root: Folder of the runs.
        workers: Number of runs at a time.
        gpus: GPUs of this machine to distribute, such as "0,1".
        slurm: NAME=VALUE texts for SLURM, such as "partition=gpu".

    Raises:
        InputError: If an option is not for this executor, a value is invalid, or submitit is
            missing.
    """
    if name == "slurm":
        require("submitit", "--executor slurm")
        from anl_seg.experiments.runs.executors.slurm import SlurmExecutor, parse_options

        if gpus is not None:
            raise InputError("--gpus needs --executor local; for SLURM use --slurm gpus=1")
        return SlurmExecutor(root, parse_options(slurm), parallel=workers)
    if slurm:
        raise InputError("--slurm needs --executor slurm; add it, or omit --slurm")
    return LocalExecutor(workers, _numbers(gpus))


def at_once(workers: int | None, gpus: str | None) -> int:
    """Return the number of runs at a time: `workers`, or the number of GPUs, or one.

    Raises:
        InputError: If `gpus` are not numbers.
    """
    return workers or len(_numbers(gpus) or [0])


def standings_below(root: Path) -> list[Standing]:
    """Return the states of all runs below a folder, in the order of their folders.

    Raises:
        InputError: If there are none, or a record cannot be read.
    """
    from anl_seg.experiments.runs.executors.slurm import in_queue

    found = standings(records.find_folders(root), in_queue(root))
    if not found:
        raise InputError(f"{root} contains no runs; give their folder with --runs")
    return found


def _numbers(gpus: str | None) -> list[int] | None:
    if gpus is None:
        return None
    try:
        return [int(number) for number in gpus.split(",")]
    except ValueError as error:
        raise InputError(f"--gpus takes numbers such as 0,1,2, got {gpus!r}") from error
