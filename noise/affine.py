"""Displacement of a mask: a shift in one of 8 directions (26 in 3D) together with a rotation.

The object is turned about the centre of its bounding box and shifted. Both grow together, from
nothing to a shift of one radius (half the diagonal of the bounding box) and a rotation of
`turn_deg`. A search finds the position on this path at which the share of changed pixels is nearest
to eta_beta. Lengths are millimetres if a spacing is given, otherwise pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
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

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """New pose of the object: rotated about its centre, then shifted.

    Attributes:
        shift: Shift along every axis, in pixels or mm.
        rotation: Orthogonal matrix in the order of the axes.
        turn: The same rotation as a rotation vector in radians.
    """

    shift: Vector
    rotation: Vector
    turn: Vector


@dataclass(frozen=True)
class _Scene:
    """An object and the image around it, sampled at every `stride`-th pixel.

    Attributes:
        clean: The object in its bounding box.
        steps: Length of a step along every axis of `clean`.
        centre: Centre of the bounding box, as lengths from its first pixel.
        corners: Corners of `clean`, as lengths from the centre, (2^D, D).
        first: First pixel of the image, as an index into `clean`.
        last: Last pixel of the image, as an index into `clean`.
        frozen: Pixels of the image that must not change, from `first` on.
    """

    clean: Mask
    steps: Vector
    centre: Vector
    corners: Vector
    first: tuple[int, ...]
    last: tuple[int, ...]
    frozen: Mask | None


@dataclass(frozen=True)
class _Candidate:
    pose: Pose
    ratio: float


@dataclass(frozen=True)
class _Finding:
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
    box = bounding_box(mask)
    stride = max(1, math.floor((np.count_nonzero(mask[box]) / SEEN_PIXELS) ** (1 / mask.ndim)))
    turn = math.radians(turn_deg) * np.asarray(turn_axis)
    scenes = [_scene(mask, box, around, each) for each in dict.fromkeys((stride, 1))]
    best = _Candidate(_stay(mask.ndim), 0.0)
    ways = product((turn, np.zeros_like(turn)), _nearest_first(direction))
    for rotation, towards in ways:
        finding = _follow(scenes, eta_beta, towards, rotation)
        best = min(best, finding.best, key=lambda each: abs(each.ratio - eta_beta))
        if finding.above:
            break
    if finding.above and abs(best.ratio - eta_beta) > TOLERANCE:
        noisy = _place(mask, box, scenes[-1], finding.below.pose)
        further = _place(mask, box, scenes[-1], finding.above.pose)
        best = finding.above
        _go_part_of_the_way(noisy, further, mask, eta_beta, split_seed)
    else:
        noisy = _place(mask, box, scenes[-1], best.pose)
    if _unchanged_or_gone(noisy, mask, box):
        raise UncorruptibleError(
            "out-of-view",
            f"no displacement within the image changes a share of the pixels near {eta_beta:g}",
        )
    return noisy, {
        "shift": best.pose.shift.tolist(),
        "angle_deg": math.degrees(best.pose.turn @ np.asarray(turn_axis)),
    }


def _place(mask: Mask, box: Window, scene: _Scene, pose: Pose) -> Mask:
    """Place the object of `mask` into the whole image in its new pose."""
    window, moved = _render(scene, pose)
    noisy = np.zeros(mask.shape, bool)  # zeros_like would touch all of the memory
    noisy[_shifted(window, [span.start for span in box])] = moved
    return noisy


def _unchanged_or_gone(noisy: Mask, mask: Mask, box: Window) -> bool:
    """Return whether `noisy` is empty or equals `mask`, whose object is in `box`."""
    pixels = int(np.count_nonzero(noisy))
    if pixels != np.count_nonzero(mask[box]):
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


def _nearest_first(direction: Sequence[int]) -> list[Vector]:
    """List all directions as unit vectors, from the nearest to `direction` to the farthest."""
    units = [np.array(each) / np.linalg.norm(each) for each in directions(len(direction))]
    wanted = np.array(direction) / np.linalg.norm(direction)
    return sorted(units, key=lambda unit: -round(float(unit @ wanted), 6))


def _scene(mask: Mask, box: Window, around: Surroundings, stride: int) -> _Scene:
    clean = mask[box][(slice(None, None, stride),) * mask.ndim]
    steps = np.array(around.steps(mask))
    sizes = np.array([span.stop - span.start for span in box])
    first = tuple(-(span.start // stride) for span in box)
    last = tuple(
        (size - 1 - span.start) // stride for span, size in zip(box, mask.shape, strict=True)
    )
    grid = tuple(slice(span.start % stride, None, stride) for span in box)
    frozen = None if around.frozen is None else around.frozen[grid]
    steps, centre = steps * stride, (sizes - 1) / 2 * steps
    corners = np.array(list(product(*((0, size - 1) for size in clean.shape)))) * steps - centre
    return _Scene(clean, steps, centre, corners, first, last, frozen)


def _follow(scenes: list[_Scene], eta_beta: float, towards: Vector, turn: Vector) -> _Finding:
    """Search on the coarse scene; if its result is off on the fine one, search the fine one."""
    finding = _search(scenes[0], eta_beta, towards, turn)
    if len(scenes) == 1 or finding.above is None:
        return finding
    fine = _Candidate(finding.best.pose, _ratio(scenes[1], finding.best.pose)[0])
    if abs(fine.ratio - eta_beta) <= TOLERANCE:
        return replace(finding, best=fine)
    return _search(scenes[1], eta_beta, towards, turn)


def _search(scene: _Scene, eta_beta: float, towards: Vector, turn: Vector) -> _Finding:
    """Bisect along one direction, within the room that the image leaves."""
    # More than half the diagonal, so that even specks can move by a pixel.
    radius = float(np.linalg.norm(scene.centre + scene.steps))
    best = below = _Candidate(_stay(scene.clean.ndim), 0.0)
    above = None
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        step = (low + high) / 2
        pose = Pose(step * radius * towards, _rotation(step * turn, scene.clean.ndim), step * turn)
        ratio, area_change = _ratio(scene, pose)
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


def _ratio(scene: _Scene, pose: Pose) -> tuple[float, float]:
    """Compute changed pixels over object pixels, and the relative growth of the object."""
    window, moved = _render(scene, pose)
    shared = tuple(
        slice(max(span.start, 0), max(0, min(span.stop, size)))
        for span, size in zip(window, scene.clean.shape, strict=True)
    )
    within = tuple(
        slice(max(0, span.start - each.start), max(0, span.stop - each.start))
        for span, each in zip(shared, window, strict=True)
    )
    area, kept = np.count_nonzero(scene.clean), np.count_nonzero(moved)
    overlap = np.count_nonzero(scene.clean[shared] & moved[within])
    return float((area + kept - 2 * overlap) / area), float(kept / area - 1)


def _render(scene: _Scene, pose: Pose) -> tuple[Window, Mask]:
    """Sample the object in its new pose, from the nearest old pixel.

    Returns:
        The window of the moved object, in indices of `scene.clean` that may be negative, and its
        pixels in this window.
    """
    moved_corners = scene.corners @ pose.rotation.T + scene.centre + pose.shift
    low = np.floor(moved_corners.min(axis=0) / scene.steps).astype(int)
    high = np.ceil(moved_corners.max(axis=0) / scene.steps).astype(int)
    low = np.clip(low, scene.first, np.add(scene.last, 1))
    high = np.clip(high, low - 1, scene.last)

    back = pose.rotation.T * scene.steps / scene.steps[:, None]  # new indices to old ones
    origin = low * scene.steps - scene.centre - pose.shift
    offset = (pose.rotation.T @ origin + scene.centre) / scene.steps
    moved = _warp(scene.clean, back, offset, tuple(int(size) for size in high - low + 1))
    window = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    if scene.frozen is not None:
        moved &= ~scene.frozen[_shifted(window, [-first for first in scene.first])]
    return window, moved


def _warp(clean: Mask, back: Vector, offset: Vector, shape: tuple[int, ...]) -> Mask:
    """Sample `clean` at `back @ index + offset` from the nearest pixel; background outside it.

    Images use OpenCV, which is about ten times faster than SciPy and differs only at rare points
    midway between two pixels. Volumes, and images too large for OpenCV, use SciPy.
    """
    if clean.ndim == 2 and max(*clean.shape, *shape) <= OPENCV_MAX_SIZE and min(shape) > 0:
        columns_first = np.column_stack([back[::-1, ::-1], offset[::-1]])
        nearest = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        with _one_thread():
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


def _rotation(turn: Vector, ndim: int) -> Vector:
    """Convert a rotation vector to a matrix; in 2D its length is the angle from rows to columns."""
    if ndim == 3:
        return np.asarray(Rotation.from_rotvec(turn).as_matrix())
    angle = turn[0]
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _stay(ndim: int) -> Pose:
    return Pose(np.zeros(ndim), np.eye(ndim), np.zeros(3))
