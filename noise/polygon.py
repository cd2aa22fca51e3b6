"""Polygon noise: outlines with few corners, as if drawn in haste."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import draw as skimage_draw
from skimage import measure as skimage_measure

from anl_seg.geometry import Mask, Window, bounding_box, widen
from anl_seg.noise.base import Surroundings, UncorruptibleError

draw: Any = skimage_draw  # Any, because scikit-image is only partly typed
measure: Any = skimage_measure

#: Relative precision of the tolerance at which the search ends.
BISECTIONS = 12


def simplify(mask: Mask, eta_beta: float, around: Surroundings) -> tuple[Mask, dict[str, Any]]:
    """Replace every outline by a polygon of few corners (Douglas-Peucker).

    The search chooses the tolerance whose share of changed pixels is nearest to `eta_beta`. Large
    shares cannot be reached. Volumes are simplified slice by slice along their first axis. Holes
    are filled.

    Returns:
        The mask and the `tolerance` in pixels.

    Raises:
        UncorruptibleError: If no polygon is nearer to `eta_beta` than the unchanged mask.
    """
    window = widen(bounding_box(mask), [1] * mask.ndim, mask.shape)
    clean = mask[window]
    slices = clean if mask.ndim == 3 else clean[None]
    outlines = [measure.find_contours(np.pad(each, 1).astype(np.uint8), 0.5) for each in slices]
    best, best_ratio, best_tolerance = clean, 0.0, 0.0
    low, high = 0.0, float(max(clean.shape))
    for _ in range(BISECTIONS):
        tolerance = (low + high) / 2
        filled = np.stack([_fill(lines, tolerance, clean.shape[-2:]) for lines in outlines])
        noisy = _thaw(filled.reshape(clean.shape), clean, window, around)
        ratio = np.count_nonzero(noisy ^ clean) / np.count_nonzero(clean)
        if noisy.any() and abs(ratio - eta_beta) < abs(best_ratio - eta_beta):
            best, best_ratio, best_tolerance = noisy, ratio, tolerance
        low, high = (low, tolerance) if ratio > eta_beta else (tolerance, high)
    if best is clean:
        raise UncorruptibleError("too-small", "no polygon of fewer corners is nearer to the level")
    simplified = mask.copy()
    simplified[window] = best
    return simplified, {"tolerance": best_tolerance}


def _fill(outlines: list[NDArray[Any]], tolerance: float, shape: tuple[int, ...]) -> Mask:
    """Fill the simplified outlines, except those with fewer than three corners."""
    filled = np.zeros([size + 2 for size in shape], bool)
    for outline in outlines:
        polygon = measure.approximate_polygon(outline, tolerance)
        if len(polygon) > 3:
            filled |= draw.polygon2mask(filled.shape, polygon)
    return filled[1:-1, 1:-1]


def _thaw(noisy: Mask, clean: Mask, window: Window, around: Surroundings) -> Mask:
    """Return `noisy` with the frozen pixels of `clean`."""
    return noisy if around.frozen is None else np.where(around.frozen[window], clean, noisy)
