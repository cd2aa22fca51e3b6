"""Processes that do not outlive the one that started them, and how many there may be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from anl_seg.errors import CommandFailedError

#: Items that a process is given at a time.
CHUNK = 4


def end_with_parent() -> None:
    """Make this process of `multiprocessing` end when its parent does; call it once, at its start.

    A killed parent cannot end its children, so each of them watches it.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # only children call this

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def program_ends_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn` of a program to start: the kernel ends it when this thread ends.

    Linux only; elsewhere None, and the program of a killed process goes on to its own end.
    """
    if sys.platform != "linux":
        return None
    from ctypes import CDLL

    set_option, parent_death_signal = CDLL(None).prctl, 1  # PR_SET_PDEATHSIG
    return lambda: set_option(parent_death_signal, signal.SIGTERM)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def process_map(num_processes: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give `map`, in this process or over several; results come in the order of the items.

    Raises:
        CommandFailedError: If a process is ended from outside.
    """
    if num_processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # forking is not safe beside threads
    try:
        with ProcessPoolExecutor(num_processes, context, end_with_parent) as pool:
            yield partial(pool.map, chunksize=CHUNK)
    except BrokenProcessPool as error:
        raise CommandFailedError(
            f"one of {num_processes} processes was ended before its work was done, as happens if "
            "memory runs out; use fewer processes (-np)"
        ) from error
