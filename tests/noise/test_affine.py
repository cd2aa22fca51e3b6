"""Displacement: where objects go, that they keep their area, and that they stay in view."""

import numpy as np
import pytest

from anl_seg.noise.affine import Pose, _render, _scene, displace, draw_motion
from anl_seg.noise.base import UncorruptibleError


def disc(shape, row, column, radius):
    rows, columns = np.indices(shape)
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def centroid(mask):
    return np.argwhere(mask).mean(axis=0)


DIRECTIONS = {
    0: (0, 1),
    45: (1, 1),
    90: (1, 0),
    135: (1, -1),
    180: (0, -1),
    225: (-1, -1),
    270: (-1, 0),
    315: (-1, 1),
}


@pytest.mark.parametrize(("direction_deg", "signs"), DIRECTIONS.items())
def test_the_object_goes_where_the_direction_points(direction_deg, signs):
    mask = disc((200, 220), 100, 110, 25)
    noisy, found = displace(mask, 0.5, direction_deg=direction_deg, turn_deg=0)
    moved = centroid(noisy) - centroid(mask)
    assert np.sign(np.round(moved)).tolist() == list(signs)
    assert moved == pytest.approx((found["shift_rows"], found["shift_columns"]), abs=0.5)


def test_draws_cover_all_eight_directions_and_both_turns():
    rng = np.random.default_rng(0)
    draws = [draw_motion(rng) for _ in range(400)]
    counts = {d: sum(drawn["direction_deg"] == d for drawn in draws) for d in DIRECTIONS}
    assert sum(counts.values()) == 400
    assert min(counts.values()) > 25
    turns = [drawn["turn_deg"] for drawn in draws]
    assert min(turns) < -40
    assert max(turns) > 40


@pytest.mark.parametrize("angle_deg", [-45, -20, -3, 7, 20, 30])
def test_a_turned_disc_keeps_its_area(angle_deg):
    mask = disc((101, 101), 50, 50, 20)
    _, scene = _scene(mask)
    turned = _render(scene, Pose(0, 0, angle_deg))
    assert turned.sum() == pytest.approx(mask.sum(), rel=0.01)


def test_a_quarter_turn_is_numpys():
    mask = np.zeros((61, 61), bool)
    mask[20:41, 20:41] = np.random.default_rng(0).random((21, 21)) < 0.5
    mask[20, 20] = mask[40, 40] = True  # so that the bounding box is centred on the image
    window, scene = _scene(mask)
    turned = np.zeros_like(mask)
    turned[window] = _render(scene, Pose(0, 0, 90))
    assert np.array_equal(turned, np.rot90(mask))


def test_a_shift_by_whole_pixels_is_numpys():
    mask = np.zeros((60, 70), bool)
    mask[20:31, 20:41] = np.random.default_rng(1).random((11, 21)) < 0.5
    window, scene = _scene(mask)
    shifted = np.zeros_like(mask)
    shifted[window] = _render(scene, Pose(-4, 7, 0))
    assert np.array_equal(shifted, np.roll(mask, (-4, 7), axis=(0, 1)))


bar = np.zeros((200, 200), bool)
bar[98:103, 40:160] = True
two = disc((200, 200), 70, 70, 20) | disc((200, 200), 140, 150, 6)


@pytest.mark.parametrize(
    "mask",
    [disc((200, 200), 100, 100, 30), bar, two, disc((1500, 1500), 700, 700, 400)],
    ids=["disc", "bar", "two", "large"],
)
@pytest.mark.parametrize("eta_beta", [0.1, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(("direction_deg", "turn_deg"), [(0, -40.0), (225, 5.0), (90, 33.0)])
def test_the_level_is_met(mask, eta_beta, direction_deg, turn_deg):
    before = mask.copy()
    noisy, _ = displace(mask, eta_beta, direction_deg=direction_deg, turn_deg=turn_deg)
    step = 0.02 if mask is bar else 0.01  # one column of the bar's 600 pixels is 0.008, twice
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(eta_beta, abs=step)
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.03)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("direction_deg", DIRECTIONS)
def test_an_object_at_the_border_goes_where_there_is_room(direction_deg):
    mask = disc((200, 200), 5, 195, 25)  # in the upper right corner
    noisy, _ = displace(mask, 0.7, direction_deg=direction_deg, turn_deg=10)
    assert noisy.sum() >= 0.9 * mask.sum()
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(0.7, abs=0.01)


def test_without_room_the_best_displacement_in_view_is_kept():
    mask = np.zeros((100, 100), bool)
    mask[3:97, 3:97] = True
    noisy, _ = displace(mask, 0.7, direction_deg=0, turn_deg=0)
    assert noisy.sum() >= 0.9 * mask.sum()
    assert 0.05 < (noisy ^ mask).sum() / mask.sum() < 0.7


def specks():
    mask = np.zeros((900, 900), bool)
    mask[3, 3] = mask[890, 896] = True
    return mask


def hairline():
    mask = np.zeros((900, 900), bool)
    mask[450, 10:890] = True
    return mask


def lattice():
    mask = np.zeros((600, 600), bool)
    mask[101:501:2, 101:501:2] = True
    return mask


@pytest.mark.parametrize("make", [specks, hairline, lattice])
def test_thin_and_scattered_objects_are_displaced_or_given_up(make):
    mask = make()
    try:
        noisy, _ = displace(mask, 0.7, direction_deg=90, turn_deg=30)
    except UncorruptibleError:
        return
    assert 0 < (noisy ^ mask).sum() / mask.sum() < 1.4
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.1)


def test_one_pixel_cannot_change_by_a_share():
    mask = np.zeros((9, 9), bool)
    mask[4, 4] = True
    with pytest.raises(UncorruptibleError, match="no displacement"):
        displace(mask, 0.7, direction_deg=0, turn_deg=20)
