"""Boxes, surfaces and distances of binary masks in 2D and 3D.

A surface is the pixels of a mask that share a face with a pixel outside it. Beyond the image
everything is outside. Distances go from pixel centre to pixel centre, as in Metrics Reloaded and
MONAI.

References:
    Maier-Hein, Reinke et al., "Metrics reloaded", Nature Methods 21, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

#: A binary mask, (H, W) or (D, H, W), True on the object.
Mask = NDArray[np.bool_]

#: A box of pixels, as an index into a mask.
Window = tuple[slice, ...]


def bounding_box(mask: Mask) -> Window:
    """Find the smallest window that holds every object pixel.

    Args:
        mask: Mask with any number of axes. It must not be empty.

    Examples:
        >>> mask = np.zeros((8, 9), dtype=bool)
        >>> mask[2:4, 5] = True
        >>> bounding_box(mask)
        (slice(2, 4, None), slice(5, 6, None))
    """
    if mask.ndim == 2:
        left, top, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
        return slice(top, top + height), slice(left, left + width)
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
    """Return the places of a mask's surface pixels, `(n, ndim)`, in the unit of the spacing.

    Args:
        mask: It must not be empty.
        spacing: Distance of neighbouring pixels along each axis.
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
    """Measure how far every surface pixel of each mask is from the nearest one of the other.

    A search tree gives exact distances. For masks that lie close together, as a prediction and its
    reference do, it is also faster than a map of the distances of all pixels.

    Args:
        one: It must not be empty.
        other: Mask of the same shape. It must not be empty either.
        spacing: Distance of neighbouring pixels along each axis.

    Returns:
        From each surface pixel of `one` to `other`, and from each of `other` to `one`.
    """
    from scipy.spatial import KDTree

    here, there = surface_points(one, spacing), surface_points(other, spacing)
    return KDTree(there).query(here)[0], KDTree(here).query(there)[0]


def hausdorff_95(one_way: NDArray[np.float64], other_way: NDArray[np.float64]) -> float:
    """Return the 95 % Hausdorff distance: the larger of both directions' 95th percentiles.

    Args:
        one_way: Distances that `surface_distances` gave, not empty.
        other_way: The same in the other direction.

    Examples:
        >>> hausdorff_95(np.array([0.0, 1.0]), np.array([2.0, 2.0]))
        2.0
    """
    return max(float(np.percentile(way, 95)) for way in (one_way, other_way))
