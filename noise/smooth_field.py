"""Smooth random fields on a window of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anl_seg.geometry import Window

#: Number of knots along each side of the box.
KNOTS = 6


def smooth_field(seed: int, box: Window, window: Window) -> NDArray[np.float32]:
    """Draw a smooth random field in [-1, 1] on `window`, with knots on a grid fixed by `box`."""
    knots = np.random.default_rng(seed).uniform(-1, 1, (KNOTS,) * len(box)).astype(np.float32)
    at = []
    for span, side in zip(box, window, strict=True):
        unit = (np.arange(side.start, side.stop) - span.start) / (span.stop - span.start)
        at.append((unit * (KNOTS - 3) + 1).astype(np.float32))
    field = knots
    for axis, places in enumerate(at):
        field = _interpolate(field, places, axis)
    return np.asarray(field / max(float(np.abs(knots).max()), 1e-6))


def _interpolate(
    values: NDArray[np.float32], places: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Interpolate smoothly (cosine) along one axis; beyond its ends, knots repeat mirrored."""
    left = np.floor(places).astype(int)
    share = (0.5 - 0.5 * np.cos(np.pi * (places - left))).astype(np.float32)
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    share = share.reshape(shape)
    before, after = (
        np.take(values, np.abs((each + KNOTS - 1) % (2 * KNOTS - 2) - (KNOTS - 1)), axis)
        for each in (left, left + 1)
    )
    blend: NDArray[np.float32] = before * (1 - share) + after * share
    return blend
