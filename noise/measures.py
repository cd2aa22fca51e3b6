"""How far a noisy mask is from the clean one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from anl_seg.noise.base import Mask, Surroundings, bounding_box


class Measures(NamedTuple):
    """Distance between a clean and a noisy mask; all are None if the clean mask is empty.

    Attributes:
        achieved: Changed pixels over clean foreground pixels (XOR ratio).
        dice: Twice the overlap over the sum of the areas.
        area_change: Growth of the foreground over the clean foreground.
        hd95: 95th percentile of the distances between the surfaces, the larger of both ways, in
            the unit of the spacing; None if the noisy mask is empty too.
    """

    achieved: float | None
    dice: float | None
    area_change: float | None
    hd95: float | None


UNCHANGED = Measures(0.0, 1.0, 0.0, 0.0)
UNKNOWN = Measures(None, None, None, None)


def measure(clean: Mask, noisy: Mask, spacing: tuple[float, ...] | None = None) -> Measures:
    """Measure a noisy mask against the clean one.

    Args:
        clean: (H, W) or (D, H, W), bool.
        noisy: Of the same shape.
        spacing: Size of a pixel along every axis, for `hd95`; ones if omitted.

    Returns:
        The measures; all of them None if `clean` is empty.

    Example:
        >>> clean = np.zeros((8, 8), dtype=bool)
        >>> clean[2:6, 2:6] = True
        >>> measure(clean, np.roll(clean, 1, axis=0))
        Measures(achieved=0.5, dice=0.75, area_change=0.0, hd95=1.0)
    """
    before, after = int(np.count_nonzero(clean)), int(np.count_nonzero(noisy))
    if before == 0:
        return UNKNOWN
    changed = int(np.count_nonzero(clean ^ noisy))
    if changed == 0:
        return UNCHANGED
    steps = Surroundings(spacing).steps(clean)
    return Measures(
        achieved=changed / before,
        dice=(before + after - changed) / (before + after),
        area_change=after / before - 1,
        hd95=_hd95(_surface(clean, steps), _surface(noisy, steps)) if after else None,
    )


def _hd95(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    ways = (KDTree(other).query(one)[0], KDTree(one).query(other)[0])
    return float(max(np.percentile(way, 95) for way in ways))


def _surface(mask: Mask, steps: tuple[float, ...]) -> NDArray[np.float64]:
    """The places of the object pixels that touch background or the border of the image."""
    window = bounding_box(mask)
    padded = np.pad(mask[window], 1)
    inner = [slice(1, -1)] * mask.ndim
    within = padded[tuple(inner)].copy()
    for axis in range(mask.ndim):
        for neighbours in (slice(None, -2), slice(2, None)):
            within &= padded[tuple([*inner[:axis], neighbours, *inner[axis + 1 :]])]
    start = [span.start for span in window]
    places = np.argwhere(mask[window] & ~within) + start
    return np.asarray(places * np.array(steps), np.float64)
