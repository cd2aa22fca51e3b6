"""Display of progress: a bar with the time left on a terminal, otherwise occasional lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")

PLAIN_LINE_SECONDS = 10


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` and show the progress on stderr.

    Args:
        items: Items to iterate over.
        description: Short description of the work, such as "corrupting masks".
        total: Number of items; by default the length of `items`.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if sys.stderr.isatty():
        yield from _bar(items, description, total)
    else:
        yield from _lines(items, description, total)


def _bar(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # On a terminal the command's output is printed above the bar; a file or pipe gets it unchanged.
    above = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=above) as progress:
        yield from progress.track(items, total=total, description=description)


def _lines(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    start = last = 0.0
    for done, item in enumerate(items):
        now = time.monotonic()
        if not done:  # the time before it, such as the start of a program, says nothing of the pace
            start = last = now
        elif total and now - last >= PLAIN_LINE_SECONDS:
            last = now
            left = (now - start) / done * (total - done)
            print(
                f"{description}: {done}/{total}, about {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
        yield item
