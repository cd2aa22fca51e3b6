"""Boxes, surfaces and distances of binary masks in 2D and 3D.

The surface of a mask is the set of its pixels that share a face with a pixel outside it. Everything
beyond the image is outside. Distances are measured between pixel centres, as in Metrics Reloaded
and MONAI.

References:
    Maier-Hein, Reinke et al., "Metrics reloaded", Nature Methods 21, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: A binary mask, (H, W) or (D, H, W), True on the object.
Mask = NDArray[np.bool_]

#: A box of pixels, as an index into a mask.
Window = tuple[slice, ...]


def bounding_box(mask: Mask) -> Window:
    """Find the smallest window that contains every object pixel.

    Args:
        mask: Mask with any number of axes. It must not be empty.

    Examples:
        >>> mask = np.zeros((8, 9), dtype=bool)
        >>> mask[2:4, 5] = True
        >>> bounding_box(mask)
        (slice(2, 4, None), slice(5, 6, None))
    """
    window: list[slice] = []
    for axis in range(mask.ndim):
        rest = mask[tuple(window)]
        other_axes = tuple(other for other in range(mask.ndim) if other != axis)
        span = np.flatnonzero(rest.any(axis=other_axes))
        window.append(slice(int(span[0]), int(span[-1]) + 1))
    return tuple(window)


def widen(window: Window, margins: Sequence[int], shape: tuple[int, ...]) -> Window:
    """Add `margins` pixels on both sides of every axis, clipped to an image of `shape`."""
    return tuple(
        slice(max(0, span.start - margin), min(size, span.stop + margin))
        for span, margin, size in zip(window, margins, shape, strict=True)
    )


def surface_points(mask: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the positions of a mask's surface pixels, `(n, ndim)`, in the unit of the spacing.

    Args:
        mask: A mask that is not empty.
        spacing: Pixel spacing along each axis.
    """
    window = bounding_box(mask)
    padded = np.pad(mask[window], 1)
    inner = [slice(1, -1)] * mask.ndim
    within = padded[tuple(inner)].copy()
    for axis in range(mask.ndim):
        for neighbours in (slice(None, -2), slice(2, None)):
            within &= padded[tuple([*inner[:axis], neighbours, *inner[axis + 1 :]])]
    start = [span.start for span in window]
    places = np.argwhere(mask[window] & ~within) + start
    return np.asarray(places * np.array(spacing), np.float64)


def surface_distances(
    one: Mask, other: Mask, spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the distance of each mask's surface pixels to the nearest one of the other mask.

    A search tree gives exact distances. If the masks are close together, like a prediction and its
    reference, it is also faster than a distance map of all pixels.

    Args:
        one: A mask that is not empty.
        other: A mask of the same shape that is not empty.
        spacing: Pixel spacing along each axis.

    Returns:
        Distances from each surface pixel of `one` to `other`, and of `other` to `one`.
    """
    from scipy.spatial import KDTree

    here, there = surface_points(one, spacing), surface_points(other, spacing)
    return KDTree(there).query(here)[0], KDTree(here).query(there)[0]


def hausdorff_95(one_way: NDArray[np.float64], other_way: NDArray[np.float64]) -> float:
    """Return the 95 % Hausdorff distance: the larger of both directions' 95th percentiles.

    Args:
        one_way: Distances from `surface_distances` in one direction, not empty.
        other_way: Distances in the other direction.

    Examples:
        >>> hausdorff_95(np.array([0.0, 1.0]), np.array([2.0, 2.0]))
        2.0
    """
    return max(float(np.percentile(way, 95)) for way in (one_way, other_way))
