"""Missing and additional connected components of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.geometry import Mask, Window
from anl_seg.noise.base import (
    Surroundings,
    UncorruptibleError,
    cheapest,
    draw_seed,
    pixels_to_change,
)
from anl_seg.noise.morphology import growing_windows
from anl_seg.noise.smooth_field import smooth_field


def draw_order(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the seed of the order in which components are dropped."""
    return {"order_seed": draw_seed(rng)}


def drop_components(
    mask: Mask, eta_beta: float, around: Surroundings, *, order_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Drop connected components (diagonal neighbours are connected), but never all of them.

    In random order, a component is dropped if this brings the share of lost pixels nearer to
    `eta_beta`.

    Returns:
        The mask and the number of components `dropped`.

    Raises:
        UncorruptibleError: If there is only one component, or none can be dropped.
    """
    components, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(components.ravel())[1:]
    wanted, lost = eta_beta * sizes.sum(), 0
    dropped: list[int] = []
    for component in np.random.default_rng(order_seed).permutation(count):
        nearer = abs(lost + sizes[component] - wanted) < abs(lost - wanted)
        if nearer and len(dropped) + 1 < count:
            dropped.append(int(component) + 1)
            lost += sizes[component]
    if not dropped:
        raise UncorruptibleError(
            "vanishing", f"none of {count} components can be dropped at eta_beta {eta_beta:g}"
        )
    return mask & ~np.isin(components, dropped), {"dropped": len(dropped)}


def draw_place(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw a position in the background, from 0 to 1, and the seed of the shape."""
    return {"place": float(rng.random()), "field_seed": draw_seed(rng)}


def add_blob(
    mask: Mask, eta_beta: float, around: Surroundings, *, place: float, field_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Add a roundish blob of `round(eta_beta * foreground)` pixels to the background.

    Returns:
        The mask and the `centre` of the blob.

    Raises:
        UncorruptibleError: If the background has no room for it.
    """
    wanted = pixels_to_change(int(np.count_nonzero(mask)), eta_beta)
    everywhere = (slice(None),) * mask.ndim
    background = np.flatnonzero(around.free(everywhere, ~mask))
    if wanted >= background.size:
        raise UncorruptibleError(
            "out-of-view", f"a blob of {wanted} pixels does not fit in the background"
        )
    centre = np.unravel_index(background[int(place * background.size)], mask.shape)
    seed_point = np.zeros_like(mask)
    seed_point[centre] = True
    field_box: Window = ()
    for window, reach in growing_windows(seed_point, 4 * wanted, around):
        field_box = field_box or window
        field = smooth_field(field_seed, field_box, window)
        cost = _distance_from(centre, window, around.steps(mask)) * (1 + 0.3 * field)
        candidates = around.free(window, ~mask[window])
        if np.count_nonzero(candidates & (cost <= 0.7 * reach)) >= wanted:
            break
    chosen, _, _ = cheapest(cost, candidates, wanted, field_seed)
    noisy = mask.copy()
    noisy[window] |= chosen
    return noisy, {"centre": [int(at) for at in centre]}


def _distance_from(
    centre: tuple[np.intp, ...], window: Window, steps: tuple[float, ...]
) -> NDArray[np.float32]:
    squared = np.zeros([span.stop - span.start for span in window], np.float32)
    axes = np.ogrid[window]
    for at, here, step in zip(centre, axes, steps, strict=True):
        squared += ((here - at) * np.float32(step)) ** 2
    return np.sqrt(squared)
