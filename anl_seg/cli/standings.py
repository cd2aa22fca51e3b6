"""Display of the states of runs: a live table on a terminal, otherwise a line per change."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from anl_seg.experiments.runs.sweep import Standing

#: States in the order shown.
STATES = ("done", "running", "queued", "waiting", "stopped", "failed")
#: Number of running and of failed runs that are shown.
SHOWN_RUNS = 12


@contextmanager
def watching(workers: int) -> Iterator[Callable[[Sequence[Standing]], None]]:
    """Provide a function that shows the states of the runs on stderr."""
    if not sys.stderr.isatty():
        yield _lines(workers)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), refresh_per_second=2) as live:
        yield lambda found: live.update(table(found, workers))


def summary(found: Sequence[Standing], workers: int | None) -> str:
    """Format in one line the number of runs in each state, and the estimated time left.

    `workers` is the number of runs at a time. None is the number of runs running now.
    """
    from anl_seg.experiments.runs.estimates import in_words, seconds_left

    counts = Counter(standing.state for standing in found)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    if counts["done"] + counts["failed"] < len(found):
        left = seconds_left(found, workers)
        parts.append("no estimate yet" if left is None else f"about {in_words(left)} left")
    return f"{len(found)} run{'s' * (len(found) != 1)}: {', '.join(parts)}"


def table(found: Sequence[Standing], workers: int | None) -> RenderableType:
    """Build a table with the summary as title, and a row for each running, failed or stopped run.

    Without such a run it is the summary alone.
    """
    from rich.table import Table
    from rich.text import Text

    rows = Table(title=summary(found, workers), title_justify="left", title_style="bold")
    for column in ("run", "state", "minutes", "attempt"):
        rows.add_column(column, justify="left" if column in ("run", "state") else "right")
    for state in ("running", "failed", "stopped"):
        for standing in [each for each in found if each.state == state][:SHOWN_RUNS]:
            record = standing.record
            rows.add_row(record.id, state, _minutes(standing), str(record.attempts))
    return rows if rows.row_count else Text(summary(found, workers), style="bold")


def _lines(workers: int) -> Callable[[Sequence[Standing]], None]:
    last = Counter[str]()

    def show(found: Sequence[Standing]) -> None:
        nonlocal last
        counts = Counter(standing.state for standing in found)
        if counts != last:
            last = counts
            print(summary(found, workers), file=sys.stderr, flush=True)

    return show


def _minutes(standing: Standing) -> str:
    record = standing.record
    seconds = record.elapsed if standing.state == "running" else record.seconds
    return "" if seconds is None else f"{seconds / 60:.1f}"
