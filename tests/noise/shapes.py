"""Masks that several tests use."""

from __future__ import annotations

import numpy as np


def disc(shape, row, column, radius):
    rows, columns = np.indices(shape)
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def ball(shape, centre, radius, stretch=(1, 1, 1)):
    axes = np.indices(shape)
    return (
        sum((s * (a - c)) ** 2 for s, a, c in zip(stretch, axes, centre, strict=True)) <= radius**2
    )
