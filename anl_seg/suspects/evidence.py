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

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Half the width of the band around both contours, as a part of the object's radius.
BAND = 0.15
#: Probabilities are kept this far from 0 and 1, so that no pixel decides alone.
FLOOR = 1e-4
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
        expected: Sum of the probabilities, in pixels.
        dice: Dice of the given and the predicted mask; 1 if both are empty.
        soft_dice: Expected Dice of the given mask and one drawn from the probabilities.
        own_dice: The same of the predicted mask: how sure the network is of itself.
        band: Mean log-probability of the given mask near both contours.
        own_band: The same of the predicted mask.
        best_dice: Dice at the threshold on the probability that suits the given mask best.
        best_cut: This threshold, as log-odds.
        offset: Mean signed distance of the given from the predicted contour, outwards, over the
            radius.
        spread: Standard deviation of this signed distance, over the radius.
        shift: Distance of the centres of both masks, over the radius.
        extra: Part of the given mask in components that the prediction does not touch.
        missing: Part of the predicted mask in components that the given mask does not touch.
        lost: Predicted pixels outside the given mask, over the predicted and the given.
        gained: Given pixels outside the predicted mask, over the predicted and the given.
        median: Median of the signed distance, over the radius.
        reach: 95th percentile of the absolute distance, over the radius.
        other: Part of `lost` and `gained` that belongs to another class in the other mask.
        radius: Radius of a disc or ball of the expected size, in units of the spacing.
    """

    given: float
    predicted: float
    expected: float
    dice: float
    soft_dice: float
    own_dice: float
    band: float
    own_band: float
    best_dice: float
    best_cut: float
    offset: float
    spread: float
    shift: float
    extra: float
    missing: float
    lost: float
    gained: float
    median: float
    reach: float
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
    """
    expected = float(probability.sum(dtype=np.float64))
    areas = float(given.sum()), float(predicted.sum())
    volume = float(np.prod(spacing)) * max(expected, 1.0)
    either = given | predicted
    differs = given ^ predicted
    axes = probability.ndim
    radius = (volume / np.pi) ** 0.5 if axes == 2 else (volume * 3 / (4 * np.pi)) ** (1 / 3)
    inside = float(probability[given].sum(dtype=np.float64))
    own = float(probability[predicted].sum(dtype=np.float64))
    best_dice, best_cut = _best_cut(probability, given)
    to_given, to_predicted = (_signed_distance(mask, spacing) for mask in (given, predicted))
    offsets = np.concatenate(
        [to_predicted[_contour(given)] / radius, -to_given[_contour(predicted)] / radius]
    )
    width = max(BAND * radius, 1.5 * max(spacing))
    near = (np.abs(to_given) <= width) | (np.abs(to_predicted) <= width)
    return Evidence(
        given=areas[0],
        predicted=areas[1],
        expected=expected,
        dice=_ratio(2 * float((given & predicted).sum()), sum(areas)),
        soft_dice=_ratio(2 * inside, expected + areas[0]),
        own_dice=_ratio(2 * own, expected + areas[1]),
        band=_log_probability(probability, given, near),
        own_band=_log_probability(probability, predicted, near),
        best_dice=best_dice,
        best_cut=best_cut,
        offset=float(offsets.mean()) if offsets.size else 0.0,
        spread=float(offsets.std()) if offsets.size else 0.0,
        shift=_shift(given, predicted, spacing) / radius,
        extra=_untouched(given, predicted),
        missing=_untouched(predicted, given),
        lost=_share(predicted & ~given, either),
        gained=_share(given & ~predicted, either),
        median=float(np.median(offsets)) if offsets.size else 0.0,
        reach=float(np.quantile(np.abs(offsets), 0.95)) if offsets.size else 0.0,
        other=0.0 if other is None else _share(differs & other, differs),
        radius=radius,
    )


def _share(part: Mask, whole: Mask) -> float:
    return float(part.sum()) / max(float(whole.sum()), 1.0)


def log_odds(probability: Floats) -> Floats:
    """Logarithm of p / (1 - p), finite everywhere."""
    kept = np.clip(probability, CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(kept) - np.log1p(-kept), dtype=np.float32)


def tempered(probability: Floats, temperature: float) -> Floats:
    """Probability with its log-odds divided by a temperature."""
    return np.asarray(1 / (1 + np.exp(-log_odds(probability) / temperature)), dtype=np.float32)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _best_cut(probability: Floats, given: Mask) -> tuple[float, float]:
    """Dice of the given mask with the best cut of the probability, and where it is cut."""
    places = np.searchsorted(CUTS, log_odds(probability))  # cut k keeps the places above k
    both = np.bincount(places[given], minlength=len(CUTS) + 1)
    whole = np.bincount(places.ravel(), minlength=len(CUTS) + 1)
    both, whole = (np.cumsum(counts[::-1])[::-1][1:] for counts in (both, whole))
    dice = 2 * both / np.maximum(whole + given.sum(), 1)
    best = np.flatnonzero(dice >= dice.max() - 1e-9)
    return float(dice.max()), float(CUTS[best].mean())


def _contour(mask: Mask) -> Mask:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def _signed_distance(mask: Mask, spacing: Sequence[float]) -> Floats:
    """Distance from the contour of a mask, negative inside; far everywhere if it is empty."""
    if not mask.any():
        return np.full(mask.shape, np.float32(np.dot(mask.shape, spacing)))
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    half = min(spacing) / 2
    return np.asarray(np.where(mask, half - inside, outside - half), dtype=np.float32)


def _log_probability(probability: Floats, mask: Mask, where: Mask) -> float:
    right = np.where(mask, probability, 1 - probability)[where]
    return float(np.log(np.clip(right, FLOOR, 1)).mean()) if right.size else 0.0


def _shift(given: Mask, predicted: Mask, spacing: Sequence[float]) -> float:
    if not (given.any() and predicted.any()):
        return 0.0
    centres = [np.asarray(ndimage.center_of_mass(mask)) for mask in (given, predicted)]
    return float(np.linalg.norm((centres[0] - centres[1]) * spacing))


def _untouched(mask: Mask, other: Mask) -> float:
    """Part of a mask in components that the other does not touch."""
    components, count = ndimage.label(mask)
    if not count:
        return 0.0
    touched = np.zeros(count + 1, dtype=bool)
    touched[components[other]] = True
    return 1.0 - float(touched[components[mask]].mean())
