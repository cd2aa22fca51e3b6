"""Work on many cases in several processes that end with their parent, even if it is killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from anl_seg.processes import end_with_parent
from anl_seg.progress import Track

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of `jobs` processes; None for one job, which needs no other process."""
    if jobs == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")  # forking is not safe beside threads
    pool = ProcessPoolExecutor(jobs, context, initializer=end_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    pool: ProcessPoolExecutor | None,
    track: Track,
    text: str,
) -> Iterator[Result]:
    """Yield `work(item)` for all items, in their order, from a pool of `workers` or from here.

    With a pool, `work`, items and results are pickled.
    """
    results = map(work, items) if pool is None else pool.map(work, items)
    for _ in track(items, text):
        yield next(results)
