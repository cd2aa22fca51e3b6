"""Erosion and dilation of a mask by an exact number of pixels.

Layer k of a mask is what the k-th pass of the 4-neighbour cross takes away (erosion) or adds
(dilation). It is also the set of pixels at city-block distance k from the other side of the
boundary, so one distance transform stands for all passes. Whole layers change first, in order; the
last one is split at random, so that round(eta_beta * foreground) pixels change, to the pixel.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.noise.base import Mask, UncorruptibleError, bounding_box, widen


def draw_split(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the seed by which the last layer is split."""
    return {"split_seed": int(rng.integers(2**32))}


def erode(mask: Mask, eta_beta: float, *, split_seed: int) -> tuple[Mask, dict[str, Any]]:
    """Take the outermost `round(eta_beta * foreground)` pixels away from a mask.

    What lies outside the image is unknown, not background: nothing is eroded from the image border.

    Returns:
        The eroded mask and what was found: whole `layers` and pixels of the split layer.

    Raises:
        UncorruptibleError: If no pixel or every pixel would change.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = _pixels_to_change(foreground, eta_beta)
    if wanted == foreground:
        raise UncorruptibleError(f"the object would vanish: it has {foreground} pixels")
    window = widen(bounding_box(mask), 1, mask.shape)
    chosen, found = _nearest(_city_block(mask[window]), wanted, split_seed)
    noisy = mask.copy()
    noisy[window] &= ~chosen
    return noisy, found


def dilate(mask: Mask, eta_beta: float, *, split_seed: int) -> tuple[Mask, dict[str, Any]]:
    """Add the nearest `round(eta_beta * foreground)` background pixels of the image to a mask.

    Returns:
        The dilated mask and what was found: whole `layers` and pixels of the split layer.

    Raises:
        UncorruptibleError: If no pixel would change or the image would be filled.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = _pixels_to_change(foreground, eta_beta)
    if wanted >= mask.size - foreground:
        raise UncorruptibleError(
            f"the object would fill the image: {wanted} pixels to add, "
            f"{mask.size - foreground} of background"
        )
    box = bounding_box(mask)
    # Enough for an object away from the border (k layers grow the side of a square of equal area by
    # sqrt(2) k or more); where the border cuts layers short, look further out.
    margin = 1 + math.ceil((math.sqrt(foreground + wanted) - math.sqrt(foreground)) / math.sqrt(2))
    while True:
        window = widen(box, margin, mask.shape)
        distance = _city_block(~mask[window])
        if np.count_nonzero((distance > 0) & (distance <= margin)) >= wanted:
            break
        margin *= 2
    chosen, found = _nearest(distance, wanted, split_seed)
    noisy = mask.copy()
    noisy[window] |= chosen
    return noisy, found


def _pixels_to_change(foreground: int, eta_beta: float) -> int:
    wanted = round(eta_beta * foreground)
    if wanted == 0:
        raise UncorruptibleError(
            f"eta_beta {eta_beta:g} of {foreground} foreground pixels is no whole pixel"
        )
    return wanted


def _city_block(region: Mask) -> NDArray[np.int32]:
    """The city-block distance of each pixel of `region` to the nearest one outside it; 0 there."""
    distance: NDArray[np.int32] = ndimage.distance_transform_cdt(region, metric="taxicab")
    return distance


def _nearest(
    distance: NDArray[np.int32], wanted: int, split_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Choose the `wanted` pixels of smallest positive distance, in the last layer by chance."""
    sizes = np.bincount(distance.ravel())
    sizes[0] = 0
    reached = np.cumsum(sizes)  # reached[k]: pixels in the first k layers
    layers = int(np.searchsorted(reached, wanted, side="right")) - 1
    split_pixels = wanted - int(reached[layers])
    chosen = (distance > 0) & (distance <= layers)
    if split_pixels:
        layer = np.flatnonzero(distance == layers + 1)
        chosen.flat[np.random.default_rng(split_seed).permutation(layer)[:split_pixels]] = True
    return chosen, {"layers": layers, "split_pixels": split_pixels}
