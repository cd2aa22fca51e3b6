"""Class swap: a part of an object gets the label of another class."""

from __future__ import annotations

from typing import Any

import numpy as np

from anl_seg.geometry import Mask, bounding_box
from anl_seg.noise.base import Surroundings, UncorruptibleError, cheapest, pixels_to_change


def draw_cut(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the normal of a plane, and which other class takes the pixels beyond it."""
    normal = rng.standard_normal(ndim)
    return {
        "normal": (normal / np.linalg.norm(normal)).tolist(),
        "other": float(rng.random()),
    }


def cut(
    mask: Mask, eta_beta: float, around: Surroundings, *, normal: list[float], other: float
) -> tuple[Mask, dict[str, Any]]:
    """Give the `round(eta_beta * foreground)` pixels beyond a plane to another class.

    `other` is used by `anl_seg.noise.label_maps`, which knows the other classes.

    Raises:
        UncorruptibleError: If no pixel or every pixel would change.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = pixels_to_change(foreground, eta_beta)
    if wanted == foreground:
        raise UncorruptibleError(
            "vanishing", f"the object would vanish: it has {foreground} pixels"
        )
    window = bounding_box(mask)
    grid = np.ogrid[tuple(slice(0, size) for size in mask[window].shape)]
    steps = around.steps(mask)
    depth = np.zeros(mask[window].shape, np.float32)
    for part, step, at in zip(normal, steps, grid, strict=True):
        depth -= np.float32(part * step) * at
    chosen, _, _ = cheapest(depth, mask[window], wanted, seed=0)
    noisy = mask.copy()
    noisy[window] &= ~chosen
    return noisy, {}
