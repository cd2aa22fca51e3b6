"""Discs, blurred predictions of them, and faults of their masks."""

from __future__ import annotations

import numpy as np

SIZE = 48


def disc(row, column, radius, size=SIZE):
    rows, columns = np.mgrid[:size, :size]
    return radius - np.hypot(rows - row, columns - column)


def softmax(distance, width=1.5):
    """Probabilities of background and object from the distance inside an outline."""
    probability = 1 / (1 + np.exp(-distance / width))
    return np.stack([1 - probability, probability]).astype(np.float32)


#: Kind of error -> the distance inside the given outline, from that of the right one.
FAULTS = {
    "too small": lambda row, column, radius: disc(row, column, 0.55 * radius),
    "too large": lambda row, column, radius: disc(row, column, 1.35 * radius),
    "displaced": lambda row, column, radius: disc(row, column + 0.7 * radius, radius),
    "part missing": lambda row, column, radius: np.where(
        np.mgrid[:SIZE, :SIZE][1] > column + 0.1 * radius, -1, disc(row, column, radius)
    ),
    "extra part": lambda row, column, radius: np.maximum(
        disc(row, column, radius), disc(5, 5, 0.45 * radius)
    ),
}
