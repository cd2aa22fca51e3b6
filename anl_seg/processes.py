"""Child processes that end with their parent, and the number of usable processors."""

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

#: Number of items that a process of `process_map` takes at a time.
CHUNK = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def process_pool(
    processes: int, begin: Callable[..., None] | None = None, *arguments: object
) -> Iterator[ProcessPoolExecutor | None]:
    """Open a pool of processes that end with this one, even if it is killed.

    Tasks that have not begun are cancelled at the end of the block.

    Args:
        processes: Number of processes. For 1 the pool is None, because no other process is needed.
        begin: Function called first in each process. It must be picklable.
        *arguments: Arguments of `begin`.

    Raises:
        CommandFailedError: If a process is killed.
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
            f"one of {processes} processes was killed before its work was done, probably because "
            "memory ran out; use fewer processes (-np)"
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
    """Yield `work(item)` for all items in order, computed in a pool or in this process.

    Args:
        pool: Pool from `process_pool`; None for this process. With a pool, `work`, items and
            results are pickled.
        work: Function of one item.
        items: The items.
        chunk: Number of items that a process takes at a time.
    """
    return map(work, items) if pool is None else pool.map(work, items, chunksize=chunk)


@contextmanager
def process_map(num_processes: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Provide a `map` in this process or over several; results are in the order of the items.

    Raises:
        CommandFailedError: If a process is killed.
    """
    with process_pool(num_processes) as pool:
        yield partial(map_in, pool, chunk=CHUNK)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    end_with_parent()
    if begin is not None:
        begin(*arguments)


def end_with_parent() -> None:
    """Make this process of `multiprocessing` end with its parent. Call it once, at its start.

    A killed parent cannot end its children, so each child watches its parent.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # only children call this

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def program_ends_with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn` that makes the kernel end the started program with this thread.

    This works on Linux only. Elsewhere it returns None, and a program outlives its killed parent.
    """
    if sys.platform != "linux":
        return None
    from ctypes import CDLL

    set_option, parent_death_signal = CDLL(None).prctl, 1  # PR_SET_PDEATHSIG
    return lambda: set_option(parent_death_signal, signal.SIGTERM)


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
