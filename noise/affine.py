"""Displacement of a mask: a shift in one of eight directions, and a rotation along with it.

The object is turned about the centre of its bounding box and shifted. Both grow together, from
nothing to a shift of one radius (half the diagonal of the bounding box) and a rotation of
`turn_deg`; the search finds how far along this path the share of changed pixels comes nearest to
eta_beta.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from anl_seg.noise.base import Mask, UncorruptibleError, Window, bounding_box, widen

#: The rotation that goes with a shift of one radius is drawn from [-MAX_TURN_DEG, MAX_TURN_DEG].
MAX_TURN_DEG = 45.0
#: Where the drawn direction leads out of view, its neighbours are tried, the nearest first.
DETOURS_DEG = (0, 45, -45, 90, -90, 135, -135, 180)
#: How much of the object may leave the image, or be lost or won by sampling, as a share of it.
MAX_AREA_CHANGE = 0.1
#: The search looks at every n-th pixel only, as long as it sees this many of the object.
SEEN_PIXELS = 16_000
BISECTIONS = 12


@dataclass(frozen=True)
class Pose:
    """Where the object goes: turned by `angle_deg` (rows to columns), then shifted (in pixels)."""

    shift_rows: float
    shift_columns: float
    angle_deg: float


@dataclass(frozen=True)
class _Scene:
    """An object with room to move: its crop, with the radius and centre of the object in it."""

    clean: Mask
    centre: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class _Candidate:
    pose: Pose
    ratio: float


def draw_motion(rng: np.random.Generator) -> dict[str, Any]:
    """Draw a direction (0 is right, 90 is down) and the rotation at a shift of one radius."""
    return {
        "direction_deg": 45 * int(rng.integers(8)),
        "turn_deg": float(rng.uniform(-MAX_TURN_DEG, MAX_TURN_DEG)),
    }


def displace(
    mask: Mask, eta_beta: float, *, direction_deg: int, turn_deg: float
) -> tuple[Mask, dict[str, Any]]:
    """Shift and turn a mask until about `eta_beta * foreground` of its pixels have changed.

    The object keeps its area (nearest-neighbour sampling), and at least 90 % of it stays in the
    image. Where the drawn direction does not give room enough, the nearest direction that does is
    taken, and where none does, the best of all.

    Returns:
        The displaced mask and its pose.

    Raises:
        UncorruptibleError: If no displacement comes nearer to `eta_beta` than none at all.
    """
    window, scene = _scene(mask)
    best = _Candidate(Pose(0, 0, 0), 0.0)
    for detour in DETOURS_DEG:
        candidate, has_room = _search(scene, eta_beta, direction_deg + detour, turn_deg)
        best = min(best, candidate, key=lambda each: abs(each.ratio - eta_beta))
        if has_room:
            break
    moved = _render(scene, best.pose)
    if not moved.any() or np.array_equal(moved, scene.clean):
        raise UncorruptibleError(
            f"no displacement within the image changes a share of the pixels near {eta_beta:g}"
        )
    noisy = np.zeros_like(mask)
    noisy[window] = moved
    return noisy, asdict(best.pose)


def _scene(mask: Mask) -> tuple[Window, _Scene]:
    box = bounding_box(mask)
    radius = math.hypot(*(span.stop - span.start for span in box)) / 2
    window = widen(box, math.ceil(2 * radius), mask.shape)  # one radius to shift, one to turn
    rows, columns = (
        (span.start + span.stop - 1) / 2 - room.start
        for span, room in zip(box, window, strict=True)
    )
    return window, _Scene(mask[window], (rows, columns), radius)


def _search(
    scene: _Scene, eta_beta: float, direction_deg: float, turn_deg: float
) -> tuple[_Candidate, bool]:
    """Bisect along one direction; also say whether the object can go far enough in the image."""
    stride = max(1, math.isqrt(int(np.count_nonzero(scene.clean)) // SEEN_PIXELS))
    clean = scene.clean[::stride, ::stride]
    area = np.count_nonzero(clean)
    sine, cosine = _sine_cosine(direction_deg)
    best, has_room = _Candidate(Pose(0, 0, 0), 0.0), False
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        step = (low + high) / 2
        shift = step * scene.radius
        pose = Pose(shift * sine, shift * cosine, step * turn_deg)
        moved = _render(scene, pose, stride)
        kept = np.count_nonzero(moved)
        if kept == 0 or abs(kept - area) > MAX_AREA_CHANGE * area:
            high = step
            continue
        candidate = _Candidate(pose, np.count_nonzero(moved ^ clean) / area)
        best = min(best, candidate, key=lambda each: abs(each.ratio - eta_beta))
        if candidate.ratio >= eta_beta:
            high, has_room = step, True
        else:
            low = step
    return best, has_room


def _render(scene: _Scene, pose: Pose, stride: int = 1) -> Mask:
    """Sample the object in its new pose, on every `stride`-th pixel, from the nearest old pixel."""
    sine, cosine = _sine_cosine(pose.angle_deg)
    back = np.array([[cosine, sine], [-sine, cosine]])  # from new coordinates to old ones
    centre = np.array(scene.centre)
    offset = centre - back @ (centre + np.array((pose.shift_rows, pose.shift_columns)))
    moved: NDArray[np.uint8] = ndimage.affine_transform(
        scene.clean.view(np.uint8),
        back * stride,
        offset,
        output_shape=tuple(-(-size // stride) for size in scene.clean.shape),
        order=0,
    )
    return moved.astype(bool)


def _sine_cosine(angle_deg: float) -> tuple[float, float]:
    return math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
