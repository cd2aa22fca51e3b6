"""Noise that the paper does not have: each is named, and off unless asked for.

The level means the same as for the paper's kinds: changed pixels over foreground pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import draw as skimage_draw
from skimage import measure as skimage_measure

from anl_seg.noise.base import (
    Mask,
    Surroundings,
    UncorruptibleError,
    Window,
    bounding_box,
    cheapest,
    draw_seed,
    pixels_to_change,
    widen,
)
from anl_seg.noise.distance import nearest_outside
from anl_seg.noise.morphology import rooms

draw: Any = skimage_draw  # Any, as scikit-image is typed in parts only
measure: Any = skimage_measure

#: Smooth noise has this many knots along each side of its window.
KNOTS = 6
#: The search for a polygon ends when its tolerance is known to this share.
BISECTIONS = 12


def draw_field(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the seed of a smooth random field."""
    return {"field_seed": draw_seed(rng)}


def jitter(
    mask: Mask, eta_beta: float, around: Surroundings, *, field_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Move the boundary along its normal by a smooth random amount, outwards here, inwards there.

    The boundary moves by `amplitude * g`, g a smooth random field in [-1, 1]. A pixel at distance d
    from its nearest place on the boundary changes where the boundary passes over it, which is when
    `amplitude * |g|` there exceeds d; so the `round(eta_beta * foreground)` pixels of smallest
    `d / |g|` change.

    Returns:
        The mask and the `amplitude`, in pixels or mm.

    Raises:
        UncorruptibleError: If no pixel would change, the object would vanish, or there is no room.
    """
    wanted = pixels_to_change(int(np.count_nonzero(mask)), eta_beta)
    box = bounding_box(mask)
    for window, reach in rooms(mask, wanted, around):
        clean = mask[window]
        cost, field = _boundary_field(clean, _smooth_field(field_seed, box, window), around)
        candidates = around.free(window, (field > 0) ^ clean)
        cost /= np.maximum(np.abs(field), 1e-3)
        if np.count_nonzero(candidates & (cost <= reach)) >= wanted:
            break
    if np.count_nonzero(candidates) < wanted:
        raise UncorruptibleError("out-of-view", f"no room in the image for {wanted} pixels")
    chosen, amplitude, _ = cheapest(cost, candidates, wanted, field_seed)
    noisy = mask.copy()
    noisy[window] ^= chosen
    if not noisy.any():
        raise UncorruptibleError("vanishing", "the object would vanish")
    return noisy, {"amplitude": amplitude}


def draw_nothing(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Nothing is left to chance."""
    return {}


def simplify(mask: Mask, eta_beta: float, around: Surroundings) -> tuple[Mask, dict[str, Any]]:
    """Replace every outline by a polygon of few corners (Douglas-Peucker), as a hasty hand draws.

    The tolerance is the one whose share of changed pixels comes nearest to `eta_beta`; large shares
    cannot be reached. Volumes are simplified slice by slice along their first axis. Holes close.

    Returns:
        The mask and the `tolerance` in pixels.

    Raises:
        UncorruptibleError: If no polygon comes nearer to `eta_beta` than the mask itself.
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


def draw_order(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the seed of an order of components."""
    return {"order_seed": draw_seed(rng)}


def drop_components(
    mask: Mask, eta_beta: float, around: Surroundings, *, order_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Forget connected components (diagonal neighbours are connected), but never all of them.

    In a random order, each goes if that brings the share of lost pixels nearer to `eta_beta`.

    Returns:
        The mask and the number of components `dropped`.

    Raises:
        UncorruptibleError: If there is only one, or none can go.
    """
    components, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    sizes = np.bincount(components.ravel())[1:]
    wanted, lost = eta_beta * sizes.sum(), 0
    dropped: list[int] = []
    for component in np.random.default_rng(order_seed).permutation(count):
        nearer = abs(lost + sizes[component] - wanted) < abs(lost - wanted)
        if nearer and len(dropped) + 1 < count:
            dropped.append(int(component) + 1)
            lost += sizes[component]
    if not dropped:
        raise UncorruptibleError(
            "vanishing", f"no component can go: the object has {count}, the level is {eta_beta:g}"
        )
    return mask & ~np.isin(components, dropped), {"dropped": len(dropped)}


def draw_place(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw a place, from 0 to 1 through the background, and the seed of the shape."""
    return {"place": float(rng.random()), "field_seed": draw_seed(rng)}


def add_blob(
    mask: Mask, eta_beta: float, around: Surroundings, *, place: float, field_seed: int
) -> tuple[Mask, dict[str, Any]]:
    """Add a roundish blob of `round(eta_beta * foreground)` pixels somewhere in the background.

    Returns:
        The mask and the `centre` of the blob.

    Raises:
        UncorruptibleError: If the background has no room for it.
    """
    wanted = pixels_to_change(int(np.count_nonzero(mask)), eta_beta)
    everywhere = (slice(None),) * mask.ndim
    background = np.flatnonzero(around.free(everywhere, ~mask))
    if wanted >= background.size:
        raise UncorruptibleError("out-of-view", f"no room in the background for {wanted} pixels")
    centre = np.unravel_index(background[int(place * background.size)], mask.shape)
    seed_point = np.zeros_like(mask)
    seed_point[centre] = True
    field_box: Window = ()
    for window, reach in rooms(seed_point, 4 * wanted, around):
        field_box = field_box or window
        field = _smooth_field(field_seed, field_box, window)
        cost = _distance_from(centre, window, around.steps(mask)) * (1 + 0.3 * field)
        candidates = around.free(window, ~mask[window])
        if np.count_nonzero(candidates & (cost <= 0.7 * reach)) >= wanted:
            break
    chosen, _, _ = cheapest(cost, candidates, wanted, field_seed)
    noisy = mask.copy()
    noisy[window] |= chosen
    return noisy, {"centre": [int(at) for at in centre]}


def draw_cut(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the normal of a plane, and which of the other classes takes what lies beyond it."""
    normal = rng.standard_normal(ndim)
    return {
        "normal": (normal / np.linalg.norm(normal)).tolist(),
        "other": float(rng.random()),
    }


def cut(
    mask: Mask, eta_beta: float, around: Surroundings, *, normal: list[float], other: float
) -> tuple[Mask, dict[str, Any]]:
    """Take the `round(eta_beta * foreground)` pixels beyond a plane away; another class gets them.

    `other` is for `anl_seg.noise.label_maps`, which knows the other classes.

    Raises:
        UncorruptibleError: If no pixel or every pixel would change.
    """
    foreground = int(np.count_nonzero(mask))
    wanted = pixels_to_change(foreground, eta_beta)
    if wanted == foreground:
        raise UncorruptibleError(
            "vanishing", f"the object would vanish: it has {foreground} pixels"
        )
    window = bounding_box(mask)
    grid = np.ogrid[tuple(slice(0, size) for size in mask[window].shape)]
    steps = around.steps(mask)
    depth = np.zeros(mask[window].shape, np.float32)
    for part, step, at in zip(normal, steps, grid, strict=True):
        depth -= np.float32(part * step) * at
    chosen, _, _ = cheapest(depth, mask[window], wanted, seed=0)
    noisy = mask.copy()
    noisy[window] &= ~chosen
    return noisy, {}


def _boundary_field(
    clean: Mask, field: NDArray[np.float32], around: Surroundings
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """The distance of each pixel from the boundary, and the field at the nearest place on it."""
    steps = around.steps(clean)
    inside, place_inside = nearest_outside(clean, steps)
    outside, place_outside = nearest_outside(~clean, steps)
    place = np.where(clean, place_inside, place_outside)
    return inside + outside, field[tuple(place)]


def _smooth_field(seed: int, box: Window, window: Window) -> NDArray[np.float32]:
    """A smooth random field in [-1, 1] on `window`; its knots lie on a grid fixed by `box`."""
    knots = np.random.default_rng(seed).uniform(-1, 1, (KNOTS,) * len(box)).astype(np.float32)
    at = []
    for span, room in zip(box, window, strict=True):
        unit = (np.arange(room.start, room.stop) - span.start) / (span.stop - span.start)
        at.append((unit * (KNOTS - 3) + 1).astype(np.float32))
    field = knots
    for axis, places in enumerate(at):
        field = _interpolate(field, places, axis)
    return np.asarray(field / max(float(np.abs(knots).max()), 1e-6))


def _interpolate(
    values: NDArray[np.float32], places: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Smooth (cosine) interpolation along one axis; beyond its ends, knots repeat mirrored."""
    left = np.floor(places).astype(int)
    share = (0.5 - 0.5 * np.cos(np.pi * (places - left))).astype(np.float32)
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    share = share.reshape(shape)
    before, after = (
        np.take(values, np.abs((each + KNOTS - 1) % (2 * KNOTS - 2) - (KNOTS - 1)), axis)
        for each in (left, left + 1)
    )
    blend: NDArray[np.float32] = before * (1 - share) + after * share
    return blend


def _fill(outlines: list[NDArray[Any]], tolerance: float, shape: tuple[int, ...]) -> Mask:
    """The inside of simplified outlines; those of fewer than three corners are gone."""
    filled = np.zeros([size + 2 for size in shape], bool)
    for outline in outlines:
        polygon = measure.approximate_polygon(outline, tolerance)
        if len(polygon) > 3:
            filled |= draw.polygon2mask(filled.shape, polygon)
    return filled[1:-1, 1:-1]


def _thaw(noisy: Mask, clean: Mask, window: Window, around: Surroundings) -> Mask:
    """`noisy`, but as `clean` where pixels are frozen."""
    return noisy if around.frozen is None else np.where(around.frozen[window], clean, noisy)


def _distance_from(
    centre: tuple[np.intp, ...], window: Window, steps: tuple[float, ...]
) -> NDArray[np.float32]:
    squared = np.zeros([span.stop - span.start for span in window], np.float32)
    axes = np.ogrid[window]
    for at, here, step in zip(centre, axes, steps, strict=True):
        squared += ((here - at) * np.float32(step)) ** 2
    return np.sqrt(squared)
