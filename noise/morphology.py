"""Erosion and dilation of a mask by an exact number of pixels.

Layer k of a mask is the set of pixels that the k-th pass of the cross (4 neighbours in 2D, 6 in 3D)
removes or adds. These are the pixels at city-block distance k from the other side of the boundary,
so one distance transform replaces all passes. With a spacing the distance is in millimetres. Whole
layers change first, in order. The last layer is split at random, so that exactly
round(eta_beta * foreground) pixels change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.geometry import Mask, Window, bounding_box, widen
from anl_seg.noise.base import (
    Surroundings,
    UncorruptibleError,
    cheapest,
    draw_seed,
    pixels_to_change,
)
from anl_seg.noise.distance import distance_inside


def draw_split(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the seed that splits the last layer."""
    return {"split_seed": draw_seed(rng)}


def erode(
    mask: Mask, eta_beta: float, around: Surroundings, *, split_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Remove the outermost `round(eta_beta * foreground)` pixels of a mask.

    Pixels outside the image or under the ignore label are unknown, not background: nothing is
    eroded from there. Every connected component keeps at least its innermost pixel.

    Returns:
        The eroded mask, and the depth found: whole `layers` and pixels of the split layer, or
        `depth_mm`.

    Raises:
        UncorruptibleError: If no pixel or every pixel would change.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = pixels_to_change(foreground, eta_beta)
    window = widen(bounding_box(mask), [1] * mask.ndim, mask.shape)
    clean = mask[window]
    region = clean if around.frozen is None else clean | around.frozen[window]
    if region.all():
        raise UncorruptibleError("full", "no background next to the object")
    distance = distance_inside(region, around.spacing_mm)
    candidates = clean
    while True:
        if wanted >= np.count_nonzero(candidates):
            raise UncorruptibleError(
                "vanishing", f"an object would vanish: {wanted} of {foreground} pixels to remove"
            )
        chosen, limit, split = cheapest(distance, candidates, wanted, split_seed)
        saved = _innermost_of_lost(clean, clean & ~chosen, distance)
        if not saved.size:
            break
        candidates = candidates.copy()
        candidates.flat[saved] = False
    noisy = mask.copy()
    noisy[window] &= ~chosen
    return noisy, _found(limit, split, around)


def dilate(
    mask: Mask, eta_beta: float, around: Surroundings, *, split_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Add the nearest `round(eta_beta * foreground)` background pixels of the image to a mask.

    Returns:
        The dilated mask, and the depth found: whole `layers` and pixels of the split layer, or
        `depth_mm`.

    Raises:
        UncorruptibleError: If no pixel would change or the image would be filled.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = pixels_to_change(foreground, eta_beta)
    taken = 0 if around.frozen is None else int(np.count_nonzero(around.frozen))
    background = mask.size - foreground - taken
    if wanted >= background:
        raise UncorruptibleError(
            "out-of-view",
            f"the object would fill the image: {wanted} pixels to add to {background} background",
        )
    for window, reach in growing_windows(mask, wanted, around):
        distance = distance_inside(~mask[window], around.spacing_mm)
        candidates = around.free(window, ~mask[window])
        if np.count_nonzero(candidates & (distance <= reach)) >= wanted:
            break
    chosen, limit, split = cheapest(distance, candidates, wanted, split_seed)
    noisy = mask.copy()
    noisy[window] |= chosen
    return noisy, _found(limit, split, around)


def growing_windows(
    mask: Mask, wanted: int, around: Surroundings
) -> Iterator[tuple[Window, float]]:
    """Yield ever larger windows around the object, each with its reach beyond the object.

    The first window is large enough for an object away from the border: k layers grow the side of a
    square of equal area by sqrt(2) k or more. The last is the whole image, whose reach is infinite.
    """
    steps = around.steps(mask)
    box = bounding_box(mask)
    area = int(np.count_nonzero(mask)) * math.prod(steps)
    grown = area + wanted * math.prod(steps)
    reach = max(steps) + (grown ** (1 / mask.ndim) - area ** (1 / mask.ndim)) / math.sqrt(2)
    while True:
        window = widen(box, [math.ceil(reach / step) for step in steps], mask.shape)
        if all(span == slice(0, size) for span, size in zip(window, mask.shape, strict=True)):
            yield window, math.inf
            return
        yield window, reach
        reach *= 2


def _innermost_of_lost(clean: Mask, noisy: Mask, distance: NDArray[Any]) -> NDArray[np.intp]:
    """Find the innermost pixel of each component of `clean` that has no pixel left in `noisy`.

    Returns:
        Flat indices, one per component.
    """
    components, count = ndimage.label(clean, output=np.int32)
    lost = np.ones(count + 1, bool)
    lost[0] = False
    lost[components[noisy]] = False
    pixels = np.flatnonzero(clean & ~noisy) if lost.any() else np.zeros(0, np.intp)
    pixels = pixels[lost[components.flat[pixels]]]
    owners = components.flat[pixels]
    order = np.lexsort((-distance.flat[pixels], owners))  # the first pixel among equals
    _, firsts = np.unique(owners[order], return_index=True)
    innermost: NDArray[np.intp] = pixels[order[firsts]]
    return innermost


def _found(limit: float, split: int, around: Surroundings) -> dict[str, Any]:
    if around.spacing_mm is None:
        return {"layers": int(limit) - bool(split), "split_pixels": split}
    return {"depth_mm": limit}
