"""How far every pixel of a region is from its outside: city-block in pixels, or in millimetres."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.geometry import Mask


def city_block(region: Mask) -> NDArray[Any]:
    """The city-block distance of each pixel of `region` to the nearest one outside it; 0 there.

    Equal to `scipy.ndimage.distance_transform_cdt(region, "taxicab")`, in a sixth of its memory:
    distances of two bytes, and one sweep to and fro along every axis. It is the number of passes
    of scipy's default cross that reach the pixel. Where nothing lies outside, distances are larger
    than any in a region of that shape.

    Args:
        region: (H, W) or (D, H, W), bool.

    Returns:
        Whole numbers, of the same shape.
    """
    beyond = sum(region.shape)
    dtype = np.int16 if beyond < np.iinfo(np.int16).max else np.int32
    distance: NDArray[Any] = np.multiply(region, beyond, dtype=dtype)
    for axis in range(region.ndim):
        layers = np.ascontiguousarray(np.moveaxis(distance, axis, 0))
        for order in (layers, layers[::-1]):
            for before, here in pairwise(order):
                np.minimum(here, before + 1, out=here)
        distance = np.moveaxis(layers, 0, axis)
    return distance


def millimetres(region: Mask, spacing_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """The distance in mm from each pixel of `region` to the nearest one outside it; 0 there.

    Equal to `scipy.ndimage.distance_transform_edt(region, spacing_mm)` in half its memory.
    """
    nearest = ndimage.distance_transform_edt(
        region, spacing_mm, return_distances=False, return_indices=True
    )
    squared = np.zeros(region.shape, np.float32)
    for axis, (index, step) in enumerate(zip(nearest, spacing_mm, strict=True)):
        here = np.arange(region.shape[axis], dtype=np.int32)
        index -= here.reshape([-1 if each == axis else 1 for each in range(region.ndim)])
        squared += (index * np.float32(step)) ** 2
    return np.sqrt(squared, out=squared)


def nearest_outside(region: Mask, spacing: tuple[float, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The Euclidean distance of each pixel of `region` to the nearest one outside, and its index.

    Returns:
        Distances in the unit of `spacing`, 0 outside `region`, and indices with a first axis for
        the axes of `region`.
    """
    distance, index = ndimage.distance_transform_edt(region, spacing, return_indices=True)
    return distance.astype(np.float32), index


def distance_inside(region: Mask, spacing_mm: tuple[float, ...] | None) -> NDArray[Any]:
    """Either of the two: in mm where a spacing is given, else in passes of the cross."""
    return city_block(region) if spacing_mm is None else millimetres(region, spacing_mm)
