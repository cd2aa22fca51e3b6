"""Measures of the difference between a noisy and a clean mask."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from anl_seg.geometry import Mask, hausdorff_95, surface_distances


class Measures(NamedTuple):
    """Difference between a clean and a noisy mask. All are None if the clean mask is empty.

    Attributes:
        achieved: Changed pixels over clean foreground pixels (XOR ratio).
        dice: Twice the overlap over the sum of the areas.
        area_change: Growth of the foreground over the clean foreground.
        hd95: 95th percentile of the distances between the surfaces, the larger of both directions,
            in the unit of the spacing. None also if the noisy mask is empty.
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
        noisy: Noisy mask, same shape and type.
        spacing: Size of a pixel along every axis, for `hd95`; ones by default.

    Returns:
        The measures; all of them None if `clean` is empty.

    Examples:
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
    steps = spacing or (1.0,) * clean.ndim
    return Measures(
        achieved=changed / before,
        dice=(before + after - changed) / (before + after),
        area_change=after / before - 1,
        hd95=hausdorff_95(*surface_distances(clean, noisy, steps)) if after else None,
    )
