"""Interface of executors, and their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Executor(Protocol):
    """An object that does runs, given the folders of their records.

    Attributes:
        runs_here: Whether runs see the files of this machine. Nodes of a cluster may have others.
    """

    runs_here: bool

    def start(self, folders: Sequence[Path]) -> None:
        """Start runs, and return at once.

        Raises:
            CommandFailedError: If the runs are not accepted.
        """

    def pending(self, folders: Sequence[Path]) -> set[Path]:
        """Return the folders whose runs were started, here or earlier, and have not ended."""

    def stop(self) -> None:
        """End the runs that this executor started."""


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of a command. Each executor takes its own and refuses the others.

    Attributes:
        workers: Number of runs at a time.
        gpus: GPUs of this machine to distribute, such as "0,1".
        slurm: NAME=VALUE texts for SLURM, such as "partition=gpu".
    """

    workers: int = 1
    gpus: str | None = None
    slurm: Sequence[str] = ()


class ExecutorModule(Protocol):
    """Functions of an executor's module."""

    @staticmethod
    def make(root: Path, options: ExecutorOptions) -> Executor:
        """Create the executor of the runs in a folder.

        Raises:
            InputError: If an option is for another executor, a value is invalid, or a package is
                missing.
        """

    @staticmethod
    def in_queue(root: Path) -> set[Path]:
        """Return the runs in a folder that wait or run, whichever process started them."""
