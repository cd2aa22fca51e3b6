"""Summary of a noisy data set: counts of cases and objects, mean levels, confusion of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

from anl_seg.formats.noise_manifest import SKIPPED, Entry, Row
from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.kinds import KINDS

#: An object misses its level if the achieved and the requested eta_beta differ by more than this.
TOLERANCE = 0.01


def summarize(entries: Sequence[Entry]) -> dict[str, Any]:
    """Count cases and objects, average the achieved levels, and add up the confusion."""
    rows = [row for entry in entries for row in entry.rows]
    corrupted = [row for row in rows if row.kind in KINDS]
    noisy_cases = {row.case for row in corrupted}
    chosen = {row.case for row in rows if row.requested is not None}
    skipped = {row.case for row in rows if row.kind == SKIPPED}
    kept = len(entries) - len(skipped)
    situations = Counter(row.situation for row in rows if row.situation)
    return {
        "cases": len(entries),
        "chosen": len(chosen),
        "corrupted": len(noisy_cases),
        "left_clean": len(chosen - noisy_cases - skipped),
        "skipped": len(skipped),
        "off_level": sum(
            abs((row.achieved or 0) - (row.requested or 0)) > TOLERANCE for row in corrupted
        ),
        "vanished": sum(row.area_change == -1 for row in corrupted),
        "situations": {name: situations[name] for name in SITUATIONS},
        "eta_alpha": len(noisy_cases) / kept if kept else 0.0,
        "eta_beta": _spread(corrupted),
        "kinds": {
            kind: _spread([row for row in corrupted if row.kind == kind])
            for kind in KINDS
            if kind in {row.kind for row in corrupted}
        },
        "confusion": _confusion(entries),
    }


def _spread(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the number of rows and mean, minimum and maximum of eta_beta; None without rows."""
    achieved = [row.achieved for row in rows if row.achieved is not None]
    return {
        "cases": len(achieved),
        "mean": fmean(achieved) if achieved else None,
        "min": min(achieved, default=None),
        "max": max(achieved, default=None),
    }


def _confusion(entries: Iterable[Entry]) -> dict[str, Any]:
    """Count pixels by clean label (rows) and noisy label (columns) over all cases in the set."""
    total: Counter[tuple[int, int]] = Counter()
    for entry in entries:
        for before, after, pixels in entry.confusion:
            total[before, after] += pixels
    labels = sorted({label for pair in total for label in pair})
    return {"labels": labels, "pixels": [[total[a, b] for b in labels] for a in labels]}
