"""Jitter: the boundary moves along its normal by a smooth random amount."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.geometry import Mask, bounding_box
from anl_seg.noise.base import (
    Surroundings,
    UncorruptibleError,
    cheapest,
    draw_seed,
    pixels_to_change,
)
from anl_seg.noise.distance import nearest_outside
from anl_seg.noise.morphology import growing_windows
from anl_seg.noise.smooth_field import smooth_field


def draw_field(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the seed of a smooth random field."""
    return {"field_seed": draw_seed(rng)}


def jitter(
    mask: Mask, eta_beta: float, around: Surroundings, *, field_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Move the boundary along its normal by a smooth random amount, outwards or inwards.

    The boundary moves by `amplitude * g`, where g is a smooth random field in [-1, 1]. A pixel at
    distance d from the boundary changes if the boundary passes over it, that is, if
    `amplitude * |g|` at its nearest boundary point exceeds d. So the
    `round(eta_beta * foreground)` pixels with the smallest `d / |g|` change.

    Returns:
        The mask and the `amplitude`, in pixels or mm.

    Raises:
        UncorruptibleError: If no pixel would change, the object would vanish, or there is no room.
    """
    wanted = pixels_to_change(int(np.count_nonzero(mask)), eta_beta)
    box = bounding_box(mask)
    for window, reach in growing_windows(mask, wanted, around):
        clean = mask[window]
        cost, field = _boundary_field(clean, smooth_field(field_seed, box, window), around)
        candidates = around.free(window, (field > 0) ^ clean)
        cost /= np.maximum(np.abs(field), 1e-3)
        if np.count_nonzero(candidates & (cost <= reach)) >= wanted:
            break
    if np.count_nonzero(candidates) < wanted:
        raise UncorruptibleError(
            "out-of-view", f"fewer than {wanted} pixels of the image can change"
        )
    chosen, amplitude, _ = cheapest(cost, candidates, wanted, field_seed)
    noisy = mask.copy()
    noisy[window] ^= chosen
    if not noisy.any():
        raise UncorruptibleError("vanishing", "the object would vanish")
    return noisy, {"amplitude": amplitude}


def _boundary_field(
    clean: Mask, field: NDArray[np.float32], around: Surroundings
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return each pixel's distance from the boundary, and the field at the nearest point of it."""
    steps = around.steps(clean)
    inside, place_inside = nearest_outside(clean, steps)
    outside, place_outside = nearest_outside(~clean, steps)
    place = np.where(clean, place_inside, place_outside)
    return inside + outside, field[tuple(place)]
