"""Distances between the surfaces of a prediction and its reference, and surface metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anl_seg.geometry import hausdorff_95, surface_distances

#: Margin that keeps a distance equal to the tolerance within it after rounding.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Surfaces:
    """Distances between two surfaces in both directions, in the unit of the spacing.

    Attributes:
        to_reference: Distance of every pixel of the prediction's surface from the reference's.
            Empty if one of the masks is empty.
        to_prediction: Distance of every pixel of the reference's surface from the prediction's.
            Empty if one of the masks is empty.
        both_empty: Whether both masks are empty.
        diagonal: Diagonal of the image, used as the distance to an object that does not exist.
        tolerance: Largest distance at which surfaces agree (`nsd`).
    """

    to_reference: NDArray[np.float64]
    to_prediction: NDArray[np.float64]
    both_empty: bool
    diagonal: float
    tolerance: float

    @property
    def one_empty(self) -> bool:
        """Whether exactly one of the two masks is empty."""
        return not self.both_empty and self.to_reference.size == 0


def surfaces(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing: Sequence[float],
    tolerance: float,
) -> Surfaces:
    """Measure the distances between the surfaces of two masks.

    Args:
        prediction: 2D or 3D mask. In a flat 3D image, the axis of one pixel is dropped, because its
            spacing is often a dummy (999 in nnU-Net's reader of PNG).
        reference: Mask of the same shape.
        spacing: Pixel spacing along each axis of the arrays.
        tolerance: Largest distance at which surfaces agree, in the unit of the spacing.

    Raises:
        ValueError: If the shapes differ.
    """
    if prediction.shape != reference.shape or len(spacing) != reference.ndim:
        raise ValueError(
            f"prediction is {prediction.shape}, reference is {reference.shape}, spacing {spacing}"
        )
    if reference.ndim == 3 and 1 in reference.shape:
        axis = reference.shape.index(1)
        prediction, reference = np.squeeze(prediction, axis), np.squeeze(reference, axis)
        spacing = [*spacing[:axis], *spacing[axis + 1 :]]
    diagonal = math.hypot(*(n * step for n, step in zip(reference.shape, spacing, strict=True)))
    nothing = np.empty(0)
    n_empty = 2 - int(prediction.any()) - int(reference.any())
    if n_empty:
        return Surfaces(nothing, nothing, n_empty == 2, diagonal, tolerance)
    to_reference, to_prediction = surface_distances(prediction, reference, spacing)
    return Surfaces(to_reference, to_prediction, False, diagonal, tolerance)


def hd95(surfaces: Surfaces) -> float:
    """Compute the 95 % Hausdorff distance, the larger of the two directions' 95th percentiles.

    If one mask is empty, the result is the image's diagonal. NaN would drop missed objects from
    the mean, and a model that misses more would look better. If both masks are empty, it is NaN.
    """
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return surfaces.diagonal
    return hausdorff_95(surfaces.to_reference, surfaces.to_prediction)


def assd(surfaces: Surfaces) -> float:
    """Compute the average symmetric surface distance; empty masks are treated as in `hd95`."""
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return surfaces.diagonal
    return float(np.concatenate([surfaces.to_reference, surfaces.to_prediction]).mean())


def nsd(surfaces: Surfaces) -> float:
    """Compute the normalised surface distance (surface Dice).

    It is the share of both surfaces within the tolerance: 0 if one mask is empty, NaN if both are.
    """
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return 0.0
    distances = np.concatenate([surfaces.to_reference, surfaces.to_prediction])
    return float((distances <= surfaces.tolerance * (1 + ROUNDING)).mean())
