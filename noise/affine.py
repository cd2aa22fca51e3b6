"""Displacement of a mask: a shift in one of 8 directions (26 in 3D) together with a rotation.

The object is turned about the centre of its bounding box and shifted. Both grow together, from
nothing to a shift of one radius (half the diagonal of the bounding box) and a rotation of
`turn_deg`. A search finds the position on this path at which the share of changed pixels is nearest
to eta_beta. Lengths are millimetres if a spacing is given, otherwise pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from operator import mul, sub
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from anl_seg.geometry import Mask, Window, bounding_box
from anl_seg.noise.base import Surroundings, UncorruptibleError, draw_seed

#: The rotation at a shift of one radius is drawn from [-MAX_TURN_DEG, MAX_TURN_DEG].
MAX_TURN_DEG = 45.0
#: Largest share of the object that may leave the image, or be lost or won by sampling.
MAX_AREA_CHANGE = 0.1
#: The search looks at every n-th pixel only, with the largest n that still sees this many of the
#: object.
SEEN_PIXELS = 16_000
#: If the result on the whole object is further off than this, the search sees every pixel.
TOLERANCE = 0.005
BISECTIONS = 14
#: OpenCV counts the pixels along an axis in 16 bits.
OPENCV_MAX_SIZE = 2**15 - 2

#: Numbers along every axis of a mask.
Vector = tuple[float, ...]
#: Pixels and their window, in indices into the object's bounding box that may be negative.
Moved = tuple[Window, Mask]


class Pose(NamedTuple):
    """New pose of the object: rotated about its centre, then shifted.

    Attributes:
        shift: Shift along every axis, in pixels or mm.
        rotation: Rows of an orthogonal matrix in the order of the axes.
        turn: The same rotation as a rotation vector in radians.
    """

    shift: Vector
    rotation: tuple[Vector, ...]
    turn: Vector


@dataclass(frozen=True)
class _Scene:
    """An object and the image around it, sampled at every `stride`-th pixel.

    Attributes:
        clean: The object in its bounding box.
        area: Number of pixels of the object.
        steps: Length of a step along every axis of `clean`.
        centre: Centre of the bounding box, as lengths from its first pixel.
        ends: Ends of `clean` along every axis, as lengths from the centre.
        first: First pixel of the image, as an index into `clean`.
        last: Last pixel of the image, as an index into `clean`.
        frozen: Pixels of the image that must not change, from `first` on.
    """

    clean: Mask
    area: int
    steps: Vector
    centre: Vector
    ends: tuple[tuple[float, float], ...]
    first: tuple[int, ...]
    last: tuple[int, ...]
    frozen: Mask | None

    @cached_property
    def faces(self) -> list[int]:
        """Number of times that the object begins or ends along every axis."""
        count = []
        for axis in range(self.clean.ndim):
            along = np.moveaxis(self.clean, axis, 0)
            inner = np.count_nonzero(along[1:] != along[:-1])
            count.append(int(inner + np.count_nonzero(along[0]) + np.count_nonzero(along[-1])))
        return count


class _Candidate(NamedTuple):
    """A pose, the share of pixels that it changes, and the moved object if it is kept."""

    pose: Pose
    ratio: float
    moved: Moved | None = None


class _Finding(NamedTuple):
    """Result of a search along one direction.

    Attributes:
        best: The candidate nearest to the level.
        below: The last candidate below the level.
        above: The last candidate at or above the level; None if the object cannot go that far.
    """

    best: _Candidate
    below: _Candidate
    above: _Candidate | None


def directions(ndim: int) -> list[tuple[int, ...]]:
    """List all steps to a neighbour, including diagonal ones: 8 in 2D, 26 in 3D."""
    return [step for step in product((-1, 0, 1), repeat=ndim) if any(step)]


def draw_motion(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Draw a direction (a sign for every axis) and the rotation at a shift of one radius."""
    possible = directions(ndim)
    drawn: dict[str, Any] = {
        "direction": list(possible[rng.integers(len(possible))]),
        "turn_deg": float(rng.uniform(-MAX_TURN_DEG, MAX_TURN_DEG)),
        "split_seed": draw_seed(rng),
    }
    if ndim == 3:
        axis = rng.standard_normal(3)
        drawn["turn_axis"] = (axis / np.linalg.norm(axis)).tolist()
    return drawn


def displace(
    mask: Mask,
    eta_beta: float,
    around: Surroundings,
    *,
    direction: Sequence[int],
    turn_deg: float,
    split_seed: int,
    turn_axis: Sequence[float] = (1.0, 0.0, 0.0),
) -> tuple[Mask, dict[str, Any]]:
    """Shift and turn a mask until about `eta_beta * foreground` of its pixels have changed.

    The object keeps its area (nearest-neighbour sampling), and at least 90 % of it stays in the
    image. If the object cannot move far enough in the drawn direction, the nearest direction that
    works is used. If no direction works (few slices), the rotation is omitted. If that fails too,
    the best displacement found is used. If the smallest step already exceeds the level (small
    objects, thick slices), a random part of the step's pixels changes.

    Returns:
        The displaced mask and its pose: `shift` along every axis and `angle_deg`.

    Raises:
        UncorruptibleError: If no displacement is nearer to `eta_beta` than the unchanged mask.
    """
    with _one_thread():
        noisy, pose = _displaced(mask, eta_beta, around, direction, turn_deg, turn_axis, split_seed)
    return noisy, {
        "shift": list(pose.shift),
        "angle_deg": math.degrees(np.asarray(pose.turn) @ np.asarray(turn_axis)),
    }


def _displaced(
    mask: Mask,
    eta_beta: float,
    around: Surroundings,
    direction: Sequence[int],
    turn_deg: float,
    turn_axis: Sequence[float],
    split_seed: int,
) -> tuple[Mask, Pose]:
    box = bounding_box(mask)
    turn = tuple(math.radians(turn_deg) * part for part in turn_axis)
    whole = _scene(mask, box, around, 1)
    stride = math.floor((whole.area / SEEN_PIXELS) ** (1 / mask.ndim))
    scenes = [_scene(mask, box, around, stride), whole] if stride > 1 else [whole]
    best = _Candidate(_stay(mask.ndim), 0.0)
    ways = product((turn, (0.0,) * len(turn)), _nearest_first(tuple(direction)))
    for rotation, towards in ways:
        finding = _follow(scenes, eta_beta, towards, rotation, best)
        best = min(best, finding.best, key=lambda each: abs(each.ratio - eta_beta))
        if finding.above:
            break
    if finding.above and abs(best.ratio - eta_beta) > TOLERANCE:
        noisy = _place(mask, box, whole, finding.below)
        further = _place(mask, box, whole, finding.above)
        best = finding.above
        _go_part_of_the_way(noisy, further, mask, eta_beta, split_seed)
    else:
        noisy = _place(mask, box, whole, best)
    if _unchanged_or_gone(noisy, mask, box, whole.area):
        raise UncorruptibleError(
            "out-of-view",
            f"no displacement within the image changes a share of the pixels near {eta_beta:g}",
        )
    return noisy, best.pose


def _place(mask: Mask, box: Window, scene: _Scene, candidate: _Candidate) -> Mask:
    """Place the object of `mask` into the whole image in its new pose."""
    window, moved = candidate.moved or _render(scene, candidate.pose)
    noisy = np.zeros(mask.shape, bool)  # zeros_like would touch all of the memory
    noisy[_shifted(window, [span.start for span in box])] = moved
    return noisy


def _unchanged_or_gone(noisy: Mask, mask: Mask, box: Window, area: int) -> bool:
    """Return whether `noisy` is empty or equals `mask`, whose object of `area` is in `box`."""
    pixels = int(np.count_nonzero(noisy))
    if pixels != area:
        return pixels == 0
    return bool(np.array_equal(noisy[box], mask[box]))


def _go_part_of_the_way(noisy: Mask, further: Mask, mask: Mask, eta_beta: float, seed: int) -> None:
    """Copy as many pixels of `further` into `noisy` as the level needs, lost and won in balance."""
    gained = (noisy == mask) & (further != mask)
    lost, won = np.flatnonzero(gained & mask), np.flatnonzero(gained & ~mask)
    area = int(np.count_nonzero(mask))
    needed = max(0, round(eta_beta * area) - int(np.count_nonzero(noisy ^ mask)))
    n_won = min(won.size, max(needed - needed // 2, needed - lost.size))
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(won)[:n_won], rng.permutation(lost)[: needed - n_won]])
    noisy.flat[chosen] = further.flat[chosen]


@cache
def _nearest_first(direction: tuple[int, ...]) -> list[Vector]:
    """List all directions as unit vectors, from the nearest to `direction` to the farthest."""
    units = [np.array(each) / np.linalg.norm(each) for each in directions(len(direction))]
    wanted = np.array(direction) / np.linalg.norm(direction)
    ranked = sorted(units, key=lambda unit: -round(float(unit @ wanted), 6))
    return [tuple(unit.tolist()) for unit in ranked]


def _scene(mask: Mask, box: Window, around: Surroundings, stride: int) -> _Scene:
    clean = np.ascontiguousarray(mask[box][(slice(None, None, stride),) * mask.ndim])
    steps = [step * stride for step in around.steps(mask)]
    centre = [
        (span.stop - span.start - 1) / 2 * step
        for span, step in zip(box, around.steps(mask), strict=True)
    ]
    ends = [
        (0 - middle, (size - 1) * step - middle)
        for size, step, middle in zip(clean.shape, steps, centre, strict=True)
    ]
    first = [-(span.start // stride) for span in box]
    last = [(size - 1 - span.start) // stride for span, size in zip(box, mask.shape, strict=True)]
    grid = tuple(slice(span.start % stride, None, stride) for span in box)
    return _Scene(
        clean,
        int(np.count_nonzero(clean)),
        tuple(steps),
        tuple(centre),
        tuple(ends),
        tuple(first),
        tuple(last),
        None if around.frozen is None else around.frozen[grid],
    )


def _follow(
    scenes: list[_Scene], eta_beta: float, towards: Vector, turn: Vector, nearest: _Candidate
) -> _Finding:
    """Search on the coarse scene; if its result is off on the fine one, search the fine one."""
    finding = _search(scenes[0], eta_beta, towards, turn, nearest)
    if len(scenes) == 1 or finding.above is None:
        return finding
    moved = _render(scenes[1], finding.best.pose)
    fine = _Candidate(finding.best.pose, _ratio(scenes[1], moved)[0], moved)
    if abs(fine.ratio - eta_beta) <= TOLERANCE:
        return finding._replace(best=fine)
    return _search(scenes[1], eta_beta, towards, turn, nearest)


def _search(
    scene: _Scene, eta_beta: float, towards: Vector, turn: Vector, nearest: _Candidate
) -> _Finding:
    """Bisect along one direction, within the room that the image leaves.

    The search ends early if no pose on its way can be nearer to the level than `nearest`, the best
    of the other directions, which all stay below the level.
    """
    # More than half the diagonal, so that even specks can move by a pixel.
    radius = float(np.linalg.norm(np.add(scene.centre, scene.steps)))
    most = _most_change(scene, radius, towards, turn) if nearest.ratio else None
    best = below = _Candidate(_stay(scene.clean.ndim), 0.0)
    above = None
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        if most and not above and below.ratio + most(high - low) < nearest.ratio:
            break
        step = (low + high) / 2
        part = tuple(step * each for each in turn)
        shift = tuple(step * radius * each for each in towards)
        pose = Pose(shift, _rotation(part, scene.clean.ndim), part)
        ratio, area_change = _ratio(scene, _render(scene, pose))
        if abs(area_change) > MAX_AREA_CHANGE:
            high = step
            continue
        candidate = _Candidate(pose, ratio)
        best = min(best, candidate, key=lambda each: abs(each.ratio - eta_beta))
        if ratio >= eta_beta:
            high, above = step, candidate
        else:
            low, below = step, candidate
    return _Finding(best, below, above)


def _most_change(
    scene: _Scene, radius: float, towards: Vector, turn: Vector
) -> Callable[[float], float]:
    """Bound the change of the ratio over a part of the way.

    No point of the object moves further along an axis than the shift and the arc of a corner. Each
    pixel that this face passes may change, and one more because of rounding.
    """
    arc = math.hypot(*turn) * radius
    paths = [
        (abs(each) * radius + arc) / step for each, step in zip(towards, scene.steps, strict=True)
    ]
    swept = sum(map(mul, scene.faces, paths)) / scene.area
    rounded = sum(scene.faces) / scene.area
    return lambda part: swept * part + rounded


def _ratio(scene: _Scene, moved: Moved) -> tuple[float, float]:
    """Compute changed pixels over object pixels, and the relative growth of the object."""
    window, pixels = moved
    shared, within = [], []
    for span, size in zip(window, scene.clean.shape, strict=True):
        start, stop = max(span.start, 0), max(0, min(span.stop, size))
        shared.append(slice(start, stop))
        within.append(slice(max(0, start - span.start), max(0, stop - span.start)))
    kept = np.count_nonzero(pixels)
    overlap = np.count_nonzero(scene.clean[tuple(shared)] & pixels[tuple(within)])
    return float((scene.area + kept - 2 * overlap) / scene.area), float(kept / scene.area - 1)


def _render(scene: _Scene, pose: Pose) -> Moved:
    """Sample the object in its new pose, from the nearest old pixel.

    Returns:
        The window of the moved object, and its pixels in this window.
    """
    low, high = [], []
    for axis, (row, step) in enumerate(zip(pose.rotation, scene.steps, strict=True)):
        reach = [sorted((r * a, r * b)) for r, (a, b) in zip(row, scene.ends, strict=True)]
        least, most = (
            (sum(side) + scene.centre[axis] + pose.shift[axis]) / step
            for side in zip(*reach, strict=True)
        )
        start = min(max(math.floor(least), scene.first[axis]), scene.last[axis] + 1)
        low.append(start)
        high.append(min(max(math.ceil(most), start - 1), scene.last[axis]) + 1)
    window = tuple(slice(start, stop) for start, stop in zip(low, high, strict=True))

    columns = list(zip(*pose.rotation, strict=True))
    origin = [
        start * step - middle - by
        for start, step, middle, by in zip(low, scene.steps, scene.centre, pose.shift, strict=True)
    ]
    back, offset = [], []  # new indices to old ones
    for column, step, middle in zip(columns, scene.steps, scene.centre, strict=True):
        back.append([c * other / step for c, other in zip(column, scene.steps, strict=True)])
        offset.append((sum(map(mul, column, origin)) + middle) / step)
    moved = _warp(scene.clean, back, offset, tuple(map(sub, high, low)))
    if scene.frozen is not None:
        moved &= ~scene.frozen[_shifted(window, [-first for first in scene.first])]
    return window, moved


def _warp(
    clean: Mask, back: list[list[float]], offset: list[float], shape: tuple[int, ...]
) -> Mask:
    """Sample `clean` at `back @ index + offset` from the nearest pixel; background outside it.

    Images use OpenCV, which is about ten times faster than SciPy and differs only at rare points
    midway between two pixels. Volumes, and images too large for OpenCV, use SciPy.
    """
    if clean.ndim == 2 and max(*clean.shape, *shape) <= OPENCV_MAX_SIZE and min(shape) > 0:
        (down, aslant), (steep, across) = back
        columns_first = np.array(((across, steep, offset[1]), (aslant, down, offset[0])))
        nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(clean.view(np.uint8), columns_first, shape[::-1], flags=nearest)
        return warped.view(np.bool_)
    moved: Mask = ndimage.affine_transform(
        clean.view(np.uint8),
        back,
        offset,
        shape,
        order=0,
        mode="grid-constant",  # other modes lose half a pixel at the edges of the crop
    ).view(bool)
    return moved


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads, which cost more than they save on one object."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _shifted(window: Window, by: Sequence[int]) -> Window:
    return tuple(
        slice(span.start + start, span.stop + start) for span, start in zip(window, by, strict=True)
    )


def _rotation(turn: Vector, ndim: int) -> tuple[Vector, ...]:
    """Convert a rotation vector to a matrix; in 2D its length is the angle from rows to columns."""
    if ndim == 3:
        return tuple(map(tuple, Rotation.from_rotvec(turn).as_matrix().tolist()))
    cosine, sine = math.cos(turn[0]), math.sin(turn[0])
    return (cosine, -sine), (sine, cosine)


def _stay(ndim: int) -> Pose:
    return Pose((0.0,) * ndim, tuple(map(tuple, np.eye(ndim).tolist())), (0.0,) * 3)
