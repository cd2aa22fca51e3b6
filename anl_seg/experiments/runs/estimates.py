"""Estimates of the remaining time of runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from anl_seg.experiments.runs.records import DONE, FAILED, RUNNING
from anl_seg.experiments.runs.sweep import Standing


def seconds_left(found: Sequence[Standing], workers: int | None) -> float | None:
    """Estimate the seconds until all runs are done; None until the first one is done.

    A run is assumed to take the median time of finished runs with the same protocol, or of all
    finished runs, less the time of its own attempts. Failed runs count as finished.

    Args:
        found: States of the runs.
        workers: Number of runs at a time; None for the number of runs running now.
    """
    done = [(_protocol(each), each.record.seconds) for each in found if each.state == DONE]
    if not done:
        return None
    everything = statistics.median(seconds or 0.0 for _, seconds in done)
    left = [0.0]
    for each in found:
        if each.state not in (DONE, FAILED):
            alike = [seconds or 0.0 for protocol, seconds in done if protocol == _protocol(each)]
            usual = statistics.median(alike) if alike else everything
            record = each.record
            spent = record.elapsed if each.state == RUNNING else record.seconds or 0.0
            left.append(max(0.0, usual - spent))
    workers = workers or max(1, sum(each.state == RUNNING for each in found))
    return max(sum(left) / workers, *left)


def in_words(seconds: float) -> str:
    """Format a duration, such as "40 s", "12 min" or "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def _protocol(standing: Standing) -> tuple[str, object, object]:
    settings = standing.record.settings
    return standing.record.kind, settings.get("protocol"), settings.get("epochs")
