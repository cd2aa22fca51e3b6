"""Executors by name. Each is a module in this folder, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anl_seg.errors import InputError
from anl_seg.experiments.runs.executors.executor import ExecutorOptions

if TYPE_CHECKING:
    from anl_seg.experiments.runs.executors.executor import Executor, ExecutorModule

#: Values of --executor, which are the names of the modules.
EXECUTORS = ("local", "slurm")


def make_executor(name: str, root: Path, options: ExecutorOptions | None = None) -> Executor:
    """Create an executor from the options of a command.

    Args:
        name: One of `EXECUTORS`.
        root: Folder of the runs.
        options: Options of the command.

    Raises:
        InputError: If the executor is unknown, an option is for another one, a value is invalid, or
            a package is missing.
    """
    if name not in EXECUTORS:
        raise InputError(f"--executor must be {' or '.join(EXECUTORS)}, got {name!r}")
    return _module(name).make(root, options or ExecutorOptions())


def in_queue(root: Path) -> set[Path]:
    """Return the runs in a folder that wait or run with any executor."""
    return set[Path]().union(*(_module(name).in_queue(root) for name in EXECUTORS))


def _module(name: str) -> ExecutorModule:
    return cast("ExecutorModule", import_module(f"{__name__}.{name}"))
