"""Compare a given mask with a network's probabilities: the evidence of one case and class.

Every quantity is free of units: lengths are divided by the radius of the object, so a lesion of
20 pixels and a liver of 200 mm are judged by the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Log-odds are those of probabilities at least this far from 0 and 1.
CLOSEST = 1e-6
#: Thresholds on the probability at which the prediction is cut, as log-odds.
CUTS = np.linspace(-7, 7, 57)


@dataclass(frozen=True)
class Evidence:
    """How a given mask of one class compares with the probabilities of a network.

    Attributes:
        given: Pixels of the given mask.
        predicted: Pixels of the predicted mask.
        dice: Dice of the given and the predicted mask; 1 if both are empty.
        own_dice: Expected Dice of the predicted mask and one drawn from the probabilities: how
            sure the network is of itself.
        best_dice: Dice at the threshold on the probability that suits the given mask best.
        aligned_dice: Dice if the given mask is moved so that both centres coincide.
        median: Median signed distance between both contours, outwards, over the radius.
        spread_given: Standard deviation of the signed distance from the given contour to the
            predicted one, over the radius.
        spread_predicted: Standard deviation of the signed distance from the predicted contour to
            the given one, over the radius.
        reach: 95th percentile of the absolute distance, over the radius.
        shift: Distance of the centres of both masks, over the radius.
        thickness: Radius of the largest disc or ball in the difference of both masks, over the
            radius.
        roughness: Logarithm of the given over the predicted outline's length, each relative to
            its area; 0 if a mask is empty.
        extra: Part of the given mask in components that the prediction does not touch.
        missing: Part of the predicted mask in components that the given mask does not touch.
        lost: Predicted pixels outside the given mask, over the predicted and the given.
        gained: Given pixels outside the predicted mask, over the predicted and the given.
        other: Part of `lost` and `gained` that belongs to another class in the other mask.
        radius: Radius of a disc or ball of the expected size, in units of the spacing.
    """

    given: float
    predicted: float
    dice: float
    own_dice: float
    best_dice: float
    aligned_dice: float
    median: float
    spread_given: float
    spread_predicted: float
    reach: float
    shift: float
    thickness: float
    roughness: float
    extra: float
    missing: float
    lost: float
    gained: float
    other: float
    radius: float


def measure(
    probability: Floats,
    given: Mask,
    predicted: Mask,
    spacing: Sequence[float],
    other: Mask | None = None,
) -> Evidence:
    """Compare one class of one case.

    Args:
        probability: Probability of the class, `(*S)`.
        given: The mask to judge, `(*S)`.
        predicted: The mask that the network predicts, `(*S)`.
        spacing: Size of a pixel along each axis.
        other: Pixels with another class, not the background, in one of both label maps, `(*S)`.

    Returns:
        The evidence.

    Examples:
        >>> distance = np.hypot(*np.mgrid[-16:16, -16:16])
        >>> probability = (1 / (1 + np.exp(distance - 10))).astype(np.float32)
        >>> found = measure(probability, distance < 6, distance < 10, (1.0, 1.0))
        >>> round(found.dice, 2), found.gained
        (0.53, 0.0)
    """
    expected = float(probability.sum(dtype=np.float64))
    areas = float(given.sum()), float(predicted.sum())
    radius = _radius(max(expected, 1.0) * float(np.prod(spacing)), given.ndim)
    differs = given ^ predicted
    either = given | predicted
    own = float(probability[predicted].sum(dtype=np.float64))
    move = _move(given, predicted)
    to_given, to_predicted = (_signed_distance(mask, spacing) for mask in (given, predicted))
    of_given = to_predicted[_contour(given)] / radius
    of_predicted = -to_given[_contour(predicted)] / radius
    offsets = np.concatenate([of_given, of_predicted])
    depth = np.minimum(np.abs(to_given), np.abs(to_predicted))[differs]
    return Evidence(
        given=areas[0],
        predicted=areas[1],
        dice=_ratio(2 * float((given & predicted).sum()), sum(areas)),
        own_dice=_ratio(2 * own, expected + areas[1]),
        best_dice=_best_dice(probability, given),
        aligned_dice=_ratio(2 * _overlap(given, predicted, move), sum(areas)),
        median=float(np.median(offsets)) if offsets.size else 0.0,
        spread_given=float(of_given.std()) if of_given.size else 0.0,
        spread_predicted=float(of_predicted.std()) if of_predicted.size else 0.0,
        reach=float(np.quantile(np.abs(offsets), 0.95)) if offsets.size else 0.0,
        shift=float(np.linalg.norm(move * spacing)) / radius,
        thickness=float(depth.max()) / radius if depth.size else 0.0,
        roughness=_outline(given, spacing) - _outline(predicted, spacing) if all(areas) else 0.0,
        extra=_untouched(given, predicted),
        missing=_untouched(predicted, given),
        lost=_share(predicted & ~given, either),
        gained=_share(given & ~predicted, either),
        other=0.0 if other is None else _share(differs & other, differs),
        radius=radius,
    )


def _radius(volume: float, axes: int) -> float:
    """Return the radius of a disc of this area or a ball of this volume."""
    if axes == 2:
        return float(np.sqrt(volume / np.pi))
    return float(np.cbrt(volume * 3 / (4 * np.pi)))


def _share(part: Mask, whole: Mask) -> float:
    return float(part.sum()) / max(float(whole.sum()), 1.0)


def logit(probability: Floats) -> Floats:
    """Compute the logarithm of p / (1 - p), finite everywhere."""
    kept = np.clip(probability, CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(kept) - np.log1p(-kept), dtype=np.float32)


def tempered(probability: Floats, temperature: float) -> Floats:
    """Divide the log-odds of a probability by a temperature."""
    return np.asarray(expit(logit(probability) / temperature), dtype=np.float32)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _best_dice(probability: Floats, given: Mask) -> float:
    """Compute the Dice of the given mask with the best cut of the probability."""
    places = np.searchsorted(CUTS, logit(probability))  # cut k keeps the places above k
    both = np.bincount(places[given], minlength=len(CUTS) + 1)
    whole = np.bincount(places.ravel(), minlength=len(CUTS) + 1)
    both, whole = (np.cumsum(counts[::-1])[::-1][1:] for counts in (both, whole))
    return float((2 * both / np.maximum(whole + given.sum(), 1)).max())


def _contour(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _signed_distance(mask: Mask, spacing: Sequence[float]) -> Floats:
    """Compute the distance from a contour, negative inside.

    An empty mask is far everywhere, and a mask that fills the image is far inside everywhere.
    """
    if mask.all() or not mask.any():
        far = np.float32(np.dot(mask.shape, spacing))
        return np.full(mask.shape, -far if mask.any() else far)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    half = min(spacing) / 2
    return np.asarray(np.where(mask, half - inside, outside - half), dtype=np.float32)


def _move(given: Mask, predicted: Mask) -> NDArray[np.float64]:
    """Return the way from the given to the predicted centre, in pixels, `(axes,)`."""
    if not (given.any() and predicted.any()):
        return np.zeros(given.ndim)
    centres = [np.asarray(ndimage.center_of_mass(mask)) for mask in (given, predicted)]
    return np.asarray(centres[1] - centres[0])


def _overlap(given: Mask, predicted: Mask, move: NDArray[np.float64]) -> float:
    """Count the pixels in both masks if the given one is moved by whole pixels."""
    steps = [int(step) for step in np.rint(move)]
    source = tuple(
        slice(max(0, -step), size - max(0, step))
        for step, size in zip(steps, given.shape, strict=True)
    )
    target = tuple(
        slice(max(0, step), size - max(0, -step))
        for step, size in zip(steps, given.shape, strict=True)
    )
    return float((given[source] & predicted[target]).sum())


def _outline(mask: Mask, spacing: Sequence[float]) -> float:
    """Compute the logarithm of the area of a mask's outer faces, relative to its size.

    Faces are those of pixels or voxels, so stairs along a slanted outline count no more than a
    straight outline; bays and bumps do.
    """
    volume = float(np.prod(spacing))
    padded = np.pad(mask, 1)
    faces = sum(
        float(np.count_nonzero(np.diff(padded, axis=axis))) * volume / step
        for axis, step in enumerate(spacing)
    )
    size = float(mask.sum()) * volume
    return float(np.log(faces) - (1 - 1 / mask.ndim) * np.log(size))


def _untouched(mask: Mask, other: Mask) -> float:
    """Compute the part of a mask in components that the other does not touch."""
    components, count = ndimage.label(mask)
    if not count:
        return 0.0
    touched = np.zeros(count + 1, dtype=bool)
    touched[components[other]] = True
    return 1.0 - float(touched[components[mask]].mean())
