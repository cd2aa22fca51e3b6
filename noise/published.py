"""The generator behind the published tables with its faults, for comparison with the tables.

Li et al. 2021 wrote it, the authors of T-Loss use it, and Ye et al. follow them (section VI-A).
Every mask equals theirs bit for bit, but is computed faster: erosion and dilation use one distance
transform, and displacement visits only the pixels that can change. Its faults, which `corrected`
does not have:

- The level is reached only as far as whole layers or 100 steps of displacement allow.
- Erosion also starts from the border of the image, and a level can have three meanings.
- The direction (-1, -1) is missing, (-1, 1) occurs twice, and negative steps go forward.
- Rotation shrinks the object, because interpolated values are truncated, not rounded.
- The last displacement tried is taken, not the best, and it may be out of view.
- All draws come from one stream, in the order of the file names.

References:
    Li, Gao, He, "Superpixel-guided iterative learning from noisy labels for medical image
    segmentation", MICCAI 2021.
    Gonzalez-Jimenez et al., "Robust T-Loss for medical image segmentation", MICCAI 2023.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.geometry import Mask, bounding_box, widen
from anl_seg.noise.base import Surroundings, UncorruptibleError
from anl_seg.noise.distance import city_block
from anl_seg.noise.morphology import growing_windows

#: Kinds of noise, in the order in which the published code draws from them.
KIND_ORDER = ("dilation", "erosion", "affine")
DIRECTIONS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, 1), (0, -1), (1, -1))
MAX_ANGLE_DEG = 30.0
MAX_STEP = 100
#: Side of the squares that rotation classifies, in pixels.
TILE = 8

Box = tuple[tuple[int, int], tuple[int, int]]


def draw_motion(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw the angle and the direction of a displacement."""
    return {
        "angle_deg": float(rng.uniform(-MAX_ANGLE_DEG, MAX_ANGLE_DEG)),
        "direction": list(DIRECTIONS[rng.integers(len(DIRECTIONS))]),
    }


def draw_set(
    cases: Sequence[str], eta_alpha: float, seed: int
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Choose cases, and draw their noise, as the published code does with `random.seed(seed)`.

    The published seed is 0. The first int(eta_alpha n) cases of one shuffle are chosen. Their noise
    is drawn in the order of their names, so it changes with eta_alpha.

    Returns:
        Kind and drawn parameters of each chosen case.
    """
    stream = random.Random(seed)
    names = sorted(cases)
    shuffled = names.copy()
    stream.shuffle(shuffled)
    chosen = set(shuffled[: int(len(names) * eta_alpha)])
    plan: dict[str, tuple[str, dict[str, Any]]] = {}
    for case in names:
        if case not in chosen:
            continue
        kind, drawn = stream.choice(KIND_ORDER), {}
        if kind == "affine":
            angle = stream.uniform(-MAX_ANGLE_DEG, MAX_ANGLE_DEG)
            drawn = {"angle_deg": angle, "direction": list(stream.choice(DIRECTIONS))}
        plan[case] = kind, drawn
    return plan


def erode(mask: Mask, eta_beta: float, around: Surroundings) -> tuple[Mask, dict[str, Any]]:
    """Erode by the number of passes nearest to the level that leaves some of the object.

    Returns:
        The eroded mask and the number of `iterations`.

    Raises:
        UncorruptibleError: Where the published code stops with an error.
    """
    foreground, wanted = _level(mask, eta_beta)
    window = bounding_box(mask)
    padded = np.pad(mask[window], 1)  # outside the image is background
    distance = city_block(padded)[(slice(1, -1),) * mask.ndim]
    passes = _nearest_passes(distance, mask[window], wanted, rest=foreground)
    noisy = np.zeros_like(mask)
    noisy[window] = distance > passes
    return noisy, {"iterations": passes}


def dilate(mask: Mask, eta_beta: float, around: Surroundings) -> tuple[Mask, dict[str, Any]]:
    """Dilate by the number of passes nearest to the level that does not fill the image.

    Returns:
        The dilated mask and the number of `iterations`.

    Raises:
        UncorruptibleError: Where the published code stops with an error.
    """
    foreground, wanted = _level(mask, eta_beta)
    background = mask.size - foreground
    if background == 0:
        raise UncorruptibleError("full", "the mask is full")
    wanted = min(wanted, background)
    for window, reach in growing_windows(mask, wanted, Surroundings()):
        distance = city_block(~mask[window])
        outside = ~mask[window]
        if np.count_nonzero(outside & (distance <= reach)) >= wanted:
            break
    passes = _nearest_passes(distance, outside, _level(mask, eta_beta)[1], rest=background)
    noisy = mask.copy()
    noisy[window] |= distance <= passes
    return noisy, {"iterations": passes}


def displace(
    mask: Mask,
    eta_beta: float,
    around: Surroundings,
    *,
    angle_deg: float,
    direction: Sequence[int],
) -> tuple[Mask, dict[str, Any]]:
    """Rotate about the image centre, then shift by the last step of a bisection over 0 to 100.

    Returns:
        The displaced mask, which may be empty, and the `shift` in pixels.

    Raises:
        UncorruptibleError: If the mask is empty.
        InputError: If the mask is not 2D.
    """
    if mask.ndim != 2:
        raise InputError(f"the published displacement is for 2D masks, got shape {mask.shape}")
    foreground = int(np.count_nonzero(mask))
    if foreground == 0:
        raise UncorruptibleError("empty", "the mask is empty")
    (top, left), rotated = rotate(mask, angle_deg)
    ways = [abs(sign) for sign in direction]
    low, high = 0, MAX_STEP
    while low < high:
        step = (low + high) // 2
        corner = top + step * ways[0], left + step * ways[1]
        moved = rotated[: max(0, mask.shape[0] - corner[0]), : max(0, mask.shape[1] - corner[1])]
        there = tuple(slice(at, at + n) for at, n in zip(corner, moved.shape, strict=True))
        overlap = int(np.count_nonzero(moved & mask[there]))
        changed = foreground + int(np.count_nonzero(moved)) - 2 * overlap
        if changed / foreground > eta_beta:
            high = step - 1
        elif changed / foreground < eta_beta:
            low = step + 1
        else:
            break
    noisy = np.zeros_like(mask)
    noisy[there] = moved
    return noisy, {"shift": [step * way for way in ways]}


def rotate(mask: Mask, angle_deg: float) -> tuple[tuple[int, int], Mask]:
    """Find the pixels at which scikit-image's `rotate(mask.astype(float), angle_deg)` is exactly 1.

    Tiles that come from object only, or from background only, are filled. Only tiles at the
    boundary are interpolated, with scikit-image's own arithmetic.

    Returns:
        Position of the rotated object, and its pixels from there on.
    """
    matrix = _rotation(mask.shape, angle_deg)
    box = _box_after(mask, np.asarray(np.linalg.inv(matrix)))
    (top, bottom), (left, right) = box
    down, across = -(-(bottom - top) // TILE), -(-(right - left) // TILE)
    rotated = np.zeros((down * TILE, across * TILE), bool)
    tiles = rotated.reshape(down, TILE, across, TILE).swapaxes(1, 2)
    inside, mixed = _classify(mask, matrix, (top, left), tiles.shape[:2])
    tiles[inside] = True
    lowest = 1.0
    for some in _batches(np.argwhere(mixed)):
        rows = top + (some[:, :1] * TILE + np.arange(TILE))[:, :, None]
        columns = left + (some[:, 1:] * TILE + np.arange(TILE))[:, None, :]
        values = _interpolate(mask, matrix, rows, columns)
        tiles[some[:, 0], some[:, 1]] = values >= 1
        seen = values[(rows < mask.shape[0]) & (columns < mask.shape[1])]
        lowest = min(lowest, float(seen.min(initial=1)))
    if lowest > 0 and mask.all():  # scikit-image clips to the image's range, here ones
        return (0, 0), mask.copy()
    return (top, left), rotated[: bottom - top, : right - left]


def _level(mask: Mask, eta_beta: float) -> tuple[int, int]:
    """Return the number of foreground pixels, and the number that the level asks to change."""
    foreground = int(np.count_nonzero(mask))
    wanted = int(foreground * eta_beta)
    if foreground == 0:
        raise UncorruptibleError("empty", "the mask is empty")
    if wanted == 0:
        raise UncorruptibleError(
            "too-small",
            f"eta_beta {eta_beta:g} of {foreground} foreground pixels is less than one pixel",
        )
    return foreground, wanted


def _nearest_passes(distance: NDArray[Any], region: Mask, wanted: int, rest: int) -> int:
    """Find the number of passes that changes nearest to `wanted` pixels, but fewer than `rest`."""
    ranked = min(wanted, rest) - 1
    passes = int(np.partition(distance[region], ranked)[ranked])
    more = int(np.count_nonzero(region & (distance <= passes)))
    less = int(np.count_nonzero(region & (distance < passes)))
    return passes - 1 if more == rest or wanted - less < abs(more - wanted) else passes


def _rotation(shape: tuple[int, ...], angle_deg: float) -> NDArray[np.float64]:
    """Return the matrix from (column, row) after to before the rotation about the image centre."""
    centre = np.array((shape[1], shape[0])) / 2.0 - 0.5
    angle = np.deg2rad(angle_deg)
    turn = np.eye(3)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    to_centre, back = np.eye(3), np.eye(3)
    to_centre[:2, 2], back[:2, 2] = centre, -centre
    matrix: NDArray[np.float64] = to_centre @ (turn @ back)
    return matrix


def _box_after(mask: Mask, forward: NDArray[np.float64]) -> Box:
    """Find the rows and columns, as start and stop, of the rotated object."""
    rows, columns = widen(bounding_box(mask), (2, 2), mask.shape)
    corners = [
        (column, row, 1)
        for row in (rows.start, rows.stop)
        for column in (columns.start, columns.stop)
    ]
    after = np.array(corners) @ forward.T
    low = np.clip(np.floor(after.min(axis=0)).astype(int) - 1, 0, None)
    high = np.ceil(after.max(axis=0)).astype(int) + 2
    height, width = mask.shape
    return (
        (min(int(low[1]), height), max(min(int(high[1]), height), min(int(low[1]), height))),
        (min(int(low[0]), width), max(min(int(high[0]), width), min(int(low[0]), width))),
    )


def _classify(
    mask: Mask, matrix: NDArray[np.float64], corner: tuple[int, int], grid: tuple[int, ...]
) -> tuple[Mask, Mask]:
    """Find the tiles that come from object only, and those from object and background."""
    full, some = _blocks(mask)
    full, some = _around(full, np.minimum), _around(some, np.maximum)
    middle = (TILE - 1) / 2
    rows = corner[0] + np.arange(grid[0])[:, None] * TILE + middle
    columns = corner[1] + np.arange(grid[1])[None, :] * TILE + middle
    before_rows = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    before_columns = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    # One block of background around the image stands for everything outside it.
    at = tuple(
        np.clip(np.floor(before / TILE).astype(int) + 1, 0, size - 1)
        for before, size in zip((before_rows, before_columns), full.shape, strict=True)
    )
    inside: Mask = full[at]
    return inside, some[at] & ~inside


def _blocks(mask: Mask) -> tuple[Mask, Mask]:
    """Return for each block of TILE x TILE pixels whether all are object, and whether any is."""
    cut = [size // TILE * TILE for size in mask.shape]
    shape = [-(-size // TILE) + 2 for size in mask.shape]
    full, some = np.zeros(shape, bool), np.zeros(shape, bool)
    bands = mask[: cut[0], : cut[1]].reshape(cut[0] // TILE, TILE, cut[1])
    split = (cut[0] // TILE, cut[1] // TILE, TILE)
    inner = (slice(1, 1 + cut[0] // TILE), slice(1, 1 + cut[1] // TILE))
    full[inner] = bands.all(axis=1).reshape(split).all(axis=-1)
    some[inner] = bands.any(axis=1).reshape(split).any(axis=-1)
    some[1:-1, 1:-1][cut[0] // TILE :, :] |= True
    some[1:-1, 1:-1][:, cut[1] // TILE :] |= True  # cut by the border: look at every pixel
    return full, some


def _around(blocks: Mask, worst: np.ufunc) -> Mask:
    """Reduce each block and its eight neighbours by `worst`; beyond the edge they are False."""
    padded = np.pad(blocks, 1)
    rows = worst(worst(padded[:-2], padded[1:-1]), padded[2:])
    found: Mask = worst(worst(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return found


def _batches(tiles: NDArray[np.intp], size: int = 2048) -> Iterator[NDArray[np.intp]]:
    """Yield a few tiles at a time, to keep memory low."""
    for start in range(0, len(tiles), size):
        yield tiles[start : start + size]


def _interpolate(
    mask: Mask,
    matrix: NDArray[np.float64],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Interpolate bilinearly, zeros outside the image, in the published order of operations."""
    before_rows = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    before_columns = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    top, left = np.floor(before_rows), np.floor(before_columns)
    down, right = before_rows - top, before_columns - left
    values = [
        _pixels(mask, row, column)
        for row in (top, np.ceil(before_rows))
        for column in (left, np.ceil(before_columns))
    ]
    upper = (1 - right) * values[0] + right * values[1]
    lower = (1 - right) * values[2] + right * values[3]
    value: NDArray[np.float64] = (1 - down) * upper + down * lower
    return value


def _pixels(mask: Mask, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Mask:
    height, width = mask.shape
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    places = (np.where(within, rows, 0) * width + np.where(within, columns, 0)).astype(np.intp)
    found: Mask = mask.ravel().take(places) & within
    return found
