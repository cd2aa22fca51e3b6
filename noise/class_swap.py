"""Class swap: parts of objects get the label of another class."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from anl_seg.geometry import Mask, bounding_box
from anl_seg.noise.base import Surroundings, UncorruptibleError, cheapest, pixels_to_change


def draw_cut(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the normal of the plane that cuts a part off."""
    normal = rng.standard_normal(ndim)
    return {"normal": (normal / np.linalg.norm(normal)).tolist()}


def cut(
    mask: Mask, eta_beta: float, around: Surroundings, *, normal: list[float]
) -> tuple[Mask, dict[str, Any]]:
    """Cut off the `round(eta_beta * foreground)` pixels beyond a plane.

    Raises:
        UncorruptibleError: If no pixel or every pixel would change.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = pixels_to_change(foreground, eta_beta)
    if wanted == foreground:
        raise UncorruptibleError(
            "vanishing", f"the object would vanish: it has {foreground} pixels"
        )
    return mask & ~part_beyond_plane(mask, wanted, around, normal), {}


def part_beyond_plane(mask: Mask, pixels: int, around: Surroundings, normal: list[float]) -> Mask:
    """Return the `pixels` foreground pixels that lie furthest in the direction of `normal`."""
    window = bounding_box(mask)
    grid = np.ogrid[tuple(slice(0, size) for size in mask[window].shape)]
    depth = np.zeros(mask[window].shape, np.float32)
    for along, step, at in zip(normal, around.steps(mask), grid, strict=True):
        depth -= np.float32(along * step) * at
    part = np.zeros_like(mask)
    part[window], _, _ = cheapest(depth, mask[window], pixels, seed=0)
    return part


def exchange(allowed: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Choose the class that takes pixels of each class, and their number.

    Each class gives to the next larger one, and the largest gives to the smallest. So each class
    but the largest changes by as many pixels as it may. The largest changes by at most as many.

    Args:
        allowed: Number of pixels that each class may lose and gain together, the smallest class
            first.

    Returns:
        For each class the class that takes its pixels, and their number.

    Examples:
        >>> exchange({1: 10, 2: 30, 3: 100})
        {1: (2, 5), 2: (3, 25), 3: (1, 5)}
    """
    labels = list(allowed)
    first = taken = allowed[labels[0]] // 2
    gifts = {}
    for label, taker in pairwise(labels):
        taken = allowed[label] - taken
        gifts[label] = taker, taken
    return gifts | {labels[-1]: (labels[0], first)}
