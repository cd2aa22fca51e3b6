"""Displacement: objects move as drawn, keep their area, and stay in view."""

import math
from collections import Counter

import cv2
import numpy as np
import pytest

from anl_seg.geometry import bounding_box
from anl_seg.noise import affine
from anl_seg.noise.affine import directions, displace, draw_motion
from anl_seg.noise.base import Surroundings, UncorruptibleError

ANYWHERE = Surroundings()


def disc(shape, row, column, radius):
    rows, columns = np.indices(shape)
    return (rows - row) ** 2 + (columns - column) ** 2 <= radius**2


def centroid(mask):
    return np.argwhere(mask).mean(axis=0)


DIRECTIONS = directions(2)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_object_goes_where_the_direction_points(direction):
    mask = disc((200, 220), 100, 110, 25)
    noisy, found = displace(mask, 0.5, ANYWHERE, direction=direction, turn_deg=0, split_seed=0)
    way = centroid(noisy) - centroid(mask)
    assert np.sign(np.round(way)).tolist() == list(direction)
    assert way == pytest.approx(found["shift"], abs=0.51)


def test_draws_cover_all_directions_and_both_turns():
    rng = np.random.default_rng(0)
    for ndim, count in ((2, 8), (3, 26)):
        draws = [draw_motion(rng, ndim) for _ in range(1000)]
        seen = Counter(tuple(drawn["direction"]) for drawn in draws)
        assert len(seen) == count
        assert min(seen.values()) > 1000 / count / 2
        turns = [drawn["turn_deg"] for drawn in draws]
        assert min(turns) < -40
        assert max(turns) > 40
        for drawn in draws:
            assert np.linalg.norm(drawn.get("turn_axis", [1])) == pytest.approx(1)


@pytest.mark.parametrize("turn_deg", [-45, -20, -3, 7, 20, 30])
def test_a_turned_disc_keeps_its_area(turn_deg):
    mask = disc((141, 141), 70, 70, 20)
    noisy, _ = displace(mask, 0.9, ANYWHERE, direction=(0, 1), turn_deg=turn_deg, split_seed=0)
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.01)


def moved(mask, shift=(0, 0, 0), angle_deg=0):
    """The object turned about the centre of its bounding box and shifted."""
    rotation = affine._rotation((math.radians(angle_deg), 0.0, 0.0), mask.ndim)
    pose = affine.Pose(tuple(map(float, shift[: mask.ndim])), rotation, (0.0, 0.0, 0.0))
    box = bounding_box(mask)
    scene = affine._scene(mask, box, ANYWHERE, 1)
    return affine._place(mask, box, scene, affine._Candidate(pose, 0.0))


def test_a_quarter_turn_is_numpys():
    mask = np.zeros((61, 61), bool)
    mask[20:41, 20:41] = np.random.default_rng(0).random((21, 21)) < 0.5
    mask[20, 20] = mask[40, 40] = True  # so that the bounding box is centred on the image
    assert np.array_equal(moved(mask, angle_deg=90), np.rot90(mask))


def test_a_quarter_turn_of_a_volume_about_its_first_axis_is_numpys():
    mask = np.zeros((9, 31, 31), bool)
    mask[2:7, 5:26, 5:26] = np.random.default_rng(0).random((5, 21, 21)) < 0.5
    mask[2, 5, 5] = mask[6, 25, 25] = True
    quarters = [np.rot90(mask, times, axes=(1, 2)) for times in (1, 3)]
    assert any(np.array_equal(moved(mask, angle_deg=90), quarter) for quarter in quarters)


def test_a_shift_by_whole_pixels_is_numpys():
    mask = np.zeros((60, 70), bool)
    mask[20:31, 20:41] = np.random.default_rng(1).random((11, 21)) < 0.5
    for shift in ((-4, 7), (-25, -25)):
        expected = np.zeros_like(mask)
        for row, column in np.argwhere(mask) + shift:
            if row >= 0 and column >= 0:
                expected[row, column] = True
        assert np.array_equal(moved(mask, shift), expected)


bar = np.zeros((200, 200), bool)
bar[98:103, 40:160] = True
two = disc((200, 200), 70, 70, 20) | disc((200, 200), 140, 150, 6)


@pytest.mark.parametrize(
    "mask",
    [disc((200, 200), 100, 100, 30), bar, two, disc((1500, 1500), 700, 700, 400)],
    ids=["disc", "bar", "two", "large"],
)
@pytest.mark.parametrize("eta_beta", [0.1, 0.5, 0.7, 0.95])
@pytest.mark.parametrize(
    ("direction", "turn_deg"), [((0, 1), -40.0), ((-1, -1), 5.0), ((1, 0), 33.0)]
)
def test_the_level_is_met(mask, eta_beta, direction, turn_deg):
    before = mask.copy()
    noisy, _ = displace(
        mask, eta_beta, ANYWHERE, direction=direction, turn_deg=turn_deg, split_seed=0
    )
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(eta_beta, abs=0.006)
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.03)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_an_object_at_the_border_goes_where_there_is_room(direction):
    mask = disc((200, 200), 5, 195, 25)  # in the upper right corner
    noisy, _ = displace(mask, 0.7, ANYWHERE, direction=direction, turn_deg=10, split_seed=0)
    assert noisy.sum() >= 0.9 * mask.sum()
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(0.7, abs=0.01)


def test_without_room_the_best_displacement_in_view_is_kept():
    mask = np.zeros((100, 100), bool)
    mask[3:97, 3:97] = True
    noisy, _ = displace(mask, 0.7, ANYWHERE, direction=(0, 1), turn_deg=0, split_seed=0)
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
def test_thin_and_scattered_objects_are_displaced_or_left_unchanged(make):
    mask = make()
    try:
        noisy, _ = displace(mask, 0.7, ANYWHERE, direction=(1, 0), turn_deg=30, split_seed=0)
    except UncorruptibleError:
        return
    assert 0 < (noisy ^ mask).sum() / mask.sum() < 1.4
    assert abs(int(noisy.sum()) - int(mask.sum())) <= max(1, 0.1 * mask.sum())


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_specks_never_vanish(pixels):
    mask = np.zeros((19, 19), bool)
    mask[9, 9 : 9 + pixels] = True
    for seed in range(20):
        drawn = draw_motion(np.random.default_rng(seed), 2)
        noisy, _ = displace(mask, 0.7, ANYWHERE, **drawn)
        assert noisy.any()
        assert (noisy ^ mask).sum() == round(0.7 * pixels)


def test_if_one_step_exceeds_the_level_a_part_of_it_is_taken():
    bar = np.zeros((40, 40), bool)
    bar[5:35, 20:22] = True  # one column of two: a step of one changes 2/2 of the pixels
    noisy, _ = displace(bar, 0.5, ANYWHERE, direction=(0, 1), turn_deg=0, split_seed=0)
    assert (noisy ^ bar).sum() == 30
    assert noisy.sum() == bar.sum()
    other, _ = displace(bar, 0.5, ANYWHERE, direction=(0, 1), turn_deg=0, split_seed=1)
    assert not np.array_equal(noisy, other)


@pytest.mark.parametrize("eta_beta", [0.3, 0.7])
def test_a_volume_meets_its_level_in_millimetres_and_in_voxels(eta_beta):
    planes, rows, columns = np.indices((20, 80, 80))
    ball = (3 * (planes - 9.5)) ** 2 + (rows - 40) ** 2 + (columns - 38) ** 2 <= 20**2
    for spacing_mm in (None, (3.0, 1.0, 1.0)):
        drawn = draw_motion(np.random.default_rng(3), 3)
        noisy, found = displace(ball, eta_beta, Surroundings(spacing_mm), **drawn)
        assert (noisy ^ ball).sum() / ball.sum() == pytest.approx(eta_beta, abs=0.006)
        assert noisy.sum() == pytest.approx(ball.sum(), rel=0.1)
        way = (centroid(noisy) - centroid(ball)) * np.array(spacing_mm or (1, 1, 1))
        assert way == pytest.approx(found["shift"], abs=1)


@pytest.mark.parametrize("slices", [1, 3])
def test_volumes_of_few_slices_are_displaced_without_tilt_if_it_leaves_no_room(slices):
    mask = np.repeat(disc((64, 64), 32, 30, 12)[None], slices, axis=0)
    for seed in range(10):
        drawn = draw_motion(np.random.default_rng(seed), 3)
        noisy, found = displace(mask, 0.5, ANYWHERE, **drawn)
        assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(0.5, abs=0.01)
        assert found["angle_deg"] == 0 or np.sign(found["angle_deg"]) == np.sign(drawn["turn_deg"])


def test_frozen_pixels_are_not_entered():
    mask = disc((120, 120), 60, 40, 15)
    frozen = np.zeros_like(mask)
    frozen[:, 57:] = True
    noisy, _ = displace(
        mask, 0.6, Surroundings(frozen=frozen), direction=(0, 1), turn_deg=5, split_seed=0
    )
    assert not (noisy & frozen).any()
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_the_warps_of_opencv_and_scipy_agree_but_for_rare_ties(monkeypatch, seed):
    mask = disc((500, 600), 260, 300, 90) & ~disc((500, 600), 250, 330, 40)
    drawn = draw_motion(np.random.default_rng(seed), 2)
    by_opencv, found = displace(mask, 0.6, ANYWHERE, **drawn)
    monkeypatch.setattr(affine, "OPENCV_MAX_SIZE", 0)
    by_scipy, same = displace(mask, 0.6, ANYWHERE, **drawn)
    assert (by_opencv ^ by_scipy).sum() <= 1e-3 * mask.sum()
    assert found["shift"] == pytest.approx(same["shift"], abs=0.1)


@pytest.mark.parametrize("seed", range(6))
def test_a_search_that_ends_early_finds_what_a_whole_one_finds(monkeypatch, seed):
    mask = np.zeros((300, 320), bool)
    mask[8 : 280 + 2 * seed, 16:300] = True  # has hardly any room in any direction
    mask[100:130, 100:150] = False
    drawn = draw_motion(np.random.default_rng(seed), 2)
    renders = []
    render = affine._render
    monkeypatch.setattr(affine, "_render", lambda *a: renders.append(a) or render(*a))
    early, found = displace(mask, 0.5, ANYWHERE, **drawn)
    fewer = len(renders)
    monkeypatch.setattr(affine, "_most_change", lambda *_: lambda _: math.inf)
    whole, same = displace(mask, 0.5, ANYWHERE, **drawn)
    assert np.array_equal(early, whole)
    assert found == same
    assert fewer < 0.9 * (len(renders) - fewer)


def test_images_beyond_the_limit_of_opencv_are_displaced():
    mask = np.zeros((12, 2**15 + 10), bool)
    mask[4:8, 100 : 2**15 - 100] = True
    noisy, _ = displace(mask, 0.5, ANYWHERE, direction=(1, 0), turn_deg=0, split_seed=0)
    assert (noisy ^ mask).sum() / mask.sum() == pytest.approx(0.5, abs=0.01)


def test_the_threads_of_opencv_are_left_as_they_were():
    before = cv2.getNumThreads()
    displace(two, 0.5, ANYWHERE, direction=(0, 1), turn_deg=10, split_seed=0)
    assert cv2.getNumThreads() == before
