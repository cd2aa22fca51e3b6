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
from typing import Any, TypeVar

from anl_seg.errors import CommandFailedError

#: Items that a process of `process_map` is given at a time.
CHUNK = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def process_pool(
    processes: int, begin: Callable[..., None] | None = None, *arguments: object
) -> Iterator[ProcessPoolExecutor | None]:
    """Give a pool of processes that end with this one, even if it is killed.

    Tasks that have not begun are cancelled at the end of the block.

    Args:
        processes: Their number. One needs no other process: the pool is then None.
        begin: Called first in each process. It can be pickled.
        *arguments: For `begin`.

    Raises:
        CommandFailedError: If a process is ended from outside.
    """
    if processes == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # forking is not safe beside threads
    pool = ProcessPoolExecutor(processes, context, _begin, (begin, arguments))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise CommandFailedError(
            f"one of {processes} processes was ended before its work was done, as happens if "
            "memory runs out; use fewer processes (-np)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def map_in(
    pool: ProcessPoolExecutor | None,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    chunk: int = 1,
) -> Iterator[Result]:
    """Yield `work(item)` for all items, in their order, from a pool or from here.

    Args:
        pool: Of `process_pool`; None for this process. With a pool, `work`, items and results are
            pickled.
        work: What to do.
        items: What to do it with.
        chunk: Number of items that a process takes at a time.
    """
    return map(work, items) if pool is None else pool.map(work, items, chunksize=chunk)


@contextmanager
def process_map(num_processes: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give `map`, in this process or over several; results come in the order of the items.

    Raises:
        CommandFailedError: If a process is ended from outside.
    """
    with process_pool(num_processes) as pool:
        yield partial(map_in, pool, chunk=CHUNK)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*arguments)


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
