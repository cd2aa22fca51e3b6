"""Distances between the surfaces of two masks, in 2D and 3D with spacing, and metrics of them.

SimpleITK finds the surfaces and the distances: it is well kept, already needed to read NIfTI, knows
spacing, and takes a fraction of a second on a 3D class. Of the others, the last release of
surface-distance uses names that NumPy 2 removed and SciPy deprecates, and MONAI would load torch.
Definitions are those of Metrics Reloaded and MONAI: a surface is the pixels of the mask that have a
face in common with a pixel outside it (beyond the image all is outside), distances go from centre
to centre.

References:
    Maier-Hein, Reinke et al., "Metrics reloaded", Nature Methods 21, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: SimpleITK's distances are float32: a distance that equals the tolerance is within it.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Surfaces:
    """How far every pixel of one surface is from the other, both ways; lengths as in the spacing.

    Attributes:
        to_reference: Of the prediction's surface; empty if the prediction is empty, and also if
            only the reference is, since there is nothing to be far from.
        to_prediction: Of the reference's surface; likewise.
        both_empty: Whether neither mask holds the class.
        diagonal: Of the image, which stands for the distance to an object that is not there.
        tolerance: Up to this distance surfaces agree (`nsd`).
    """

    to_reference: NDArray[np.float64]
    to_prediction: NDArray[np.float64]
    both_empty: bool
    diagonal: float
    tolerance: float

    @property
    def one_empty(self) -> bool:
        """Whether the object is missed, or where there is none."""
        return not self.both_empty and self.to_reference.size == 0


def surfaces(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    spacing: Sequence[float],
    tolerance: float,
) -> Surfaces:
    """Measure the distances between the surfaces of two masks.

    Args:
        prediction: 2D or 3D mask. The axis of one pixel that a flat image in 3D has is dropped: it
            often has a dummy spacing (999 in nnU-Net's reader of PNG).
        reference: Mask of the same shape.
        spacing: Distance of neighbouring pixels along each axis of the arrays.
        tolerance: In the same unit.

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
    box = _bounding_box(prediction | reference)
    contours = [_contour(mask[box], spacing) for mask in (prediction, reference)]
    to_reference, to_prediction = (
        _distances(contours[here], contours[there]) for here, there in ((0, 1), (1, 0))
    )
    return Surfaces(to_reference, to_prediction, False, diagonal, tolerance)


def hd95(surfaces: Surfaces) -> float:
    """95 % Hausdorff distance: the larger of the two directions' 95th percentiles.

    The image's diagonal where one mask is empty, so that a missed object is never left out of the
    mean (as NaN it would let a model that misses more look better); NaN if both are.
    """
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return surfaces.diagonal
    both = (surfaces.to_reference, surfaces.to_prediction)
    return max(float(np.percentile(distances, 95)) for distances in both)


def assd(surfaces: Surfaces) -> float:
    """Average symmetric surface distance, over the pixels of both surfaces; empty as in `hd95`."""
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return surfaces.diagonal
    return float(np.concatenate([surfaces.to_reference, surfaces.to_prediction]).mean())


def nsd(surfaces: Surfaces) -> float:
    """Normalised surface distance (surface Dice), the share of both surfaces within the tolerance.

    0 if one mask is empty, NaN if both are.
    """
    if surfaces.both_empty:
        return math.nan
    if surfaces.one_empty:
        return 0.0
    distances = np.concatenate([surfaces.to_reference, surfaces.to_prediction])
    return float((distances <= surfaces.tolerance * (1 + ROUNDING)).mean())


def _simpleitk() -> Any:  # noqa: ANN401 (it is typed in parts only)
    return import_module("SimpleITK")  # takes as long to load as hundreds of PNG masks


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (occupied,) = np.nonzero(mask.any(axis=others))
        box.append(slice(occupied[0], occupied[-1] + 1))
    return tuple(box)


def _contour(mask: NDArray[np.bool_], spacing: Sequence[float]) -> Any:  # noqa: ANN401 (an image)
    sitk = _simpleitk()
    padded = sitk.GetImageFromArray(np.pad(mask, 1).view(np.uint8))
    padded.SetSpacing([float(step) for step in reversed(spacing)])
    return sitk.BinaryContour(padded, fullyConnected=False)


def _distances(here: Any, there: Any) -> NDArray[np.float64]:  # noqa: ANN401 (images)
    """From each surface pixel of one image to the nearest of the other."""
    sitk = _simpleitk()
    far = sitk.SignedMaurerDistanceMap(there, squaredDistance=False, useImageSpacing=True)
    on_surface = sitk.GetArrayViewFromImage(here) > 0
    return np.asarray(sitk.GetArrayViewFromImage(far)[on_surface], dtype=np.float64)
