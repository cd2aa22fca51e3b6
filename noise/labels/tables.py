"""Confusion of clean with noisy labels, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anl_seg.noise.labels.record import NoisyLabels

#: With more classes than this, the table of all pairs is too wide for a terminal.
MAX_COLUMNS = 12
#: Number of wrong classes that a line names if there is no table.
SHOWN = 3
CORNER = "clean \\ noisy"


def confusion_text(noisy: NoisyLabels, classes: Sequence[str]) -> str:
    """Format the counts of noisy labels, one line per clean class.

    Args:
        noisy: The labels.
        classes: Names of the classes, in the order of the labels.
    """
    counts = noisy.confusion
    if len(classes) > MAX_COLUMNS:
        return "\n".join(_line(label, counts[label], classes) for label in range(len(classes)))
    names = [name if name == str(i) else f"{i} {name}" for i, name in enumerate(classes)]
    left = max(map(len, (CORNER, *names)))
    width = len(str(counts.max())) + 2
    header = CORNER.ljust(left) + "".join(f"{label:{width}}" for label in range(len(names)))
    lines = [f"{header}   wrong"]
    for label, row in enumerate(counts):
        cells = "".join(f"{count:{width}}" for count in row)
        lines.append(f"{names[label]:{left}}{cells}{_share_wrong(label, row):8.3f}")
    return "\n".join(lines)


def _line(label: int, row: NDArray[np.int64], classes: Sequence[str]) -> str:
    order = np.argsort(-row, kind="stable")
    wrong = [f"{classes[other]} {row[other]}" for other in order if row[other] and other != label]
    more = [f"{len(wrong) - SHOWN} other classes"] if len(wrong) > SHOWN else []
    found = ", ".join([*wrong[:SHOWN], *more])
    return f"{label} {classes[label]}: {_share_wrong(label, row):.3f} wrong" + (
        found and f": {found}"
    )


def _share_wrong(label: int, row: NDArray[np.int64]) -> float:
    """Compute the share of wrong labels in a class; NaN if the class is empty."""
    return float(1 - row[label] / row.sum()) if row.any() else float("nan")
