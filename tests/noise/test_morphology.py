"""Erosion and dilation against scipy's iterated operators, and the level to the pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from anl_seg.noise.base import Surroundings, UncorruptibleError
from anl_seg.noise.morphology import dilate, draw_split, erode

ANYWHERE = Surroundings()

masks = arrays(bool, array_shapes(min_dims=2, max_dims=3, max_side=12))
levels = st.floats(0.01, 0.99)


def iterated(mask, kind, layers):
    """Apply `layers` passes of scipy's operator; pixels outside the image are unknown to both."""
    if layers == 0:
        return mask
    if kind == "erosion":
        return ndimage.binary_erosion(mask, iterations=layers, border_value=1)
    return ndimage.binary_dilation(mask, iterations=layers, border_value=0)


OPERATORS = {"erosion": erode, "dilation": dilate}


@pytest.mark.parametrize("kind", OPERATORS)
@given(mask=masks, eta_beta=levels, seed=st.integers(0, 2**32 - 1))
def test_whole_layers_are_iterations_of_the_cross(kind, mask, eta_beta, seed):
    before = mask.copy()
    foreground, background = mask.sum(), (~mask).sum()
    wanted = round(eta_beta * foreground)
    spare = foreground - ndimage.label(mask)[1] if kind == "erosion" else background - 1
    possible = 0 < wanted <= spare  # erosion leaves every component a pixel
    if not foreground or not background:
        return
    if not possible:
        with pytest.raises(UncorruptibleError):
            OPERATORS[kind](mask, eta_beta, ANYWHERE, split_seed=seed)
        return
    noisy, found = OPERATORS[kind](mask, eta_beta, ANYWHERE, split_seed=seed)
    assert (noisy ^ mask).sum() == wanted
    assert noisy.dtype == bool
    assert np.array_equal(mask, before)
    if kind == "erosion" and ndimage.label(mask)[1] > 1:
        assert set(np.unique(ndimage.label(mask)[0][noisy])) == set(
            range(1, ndimage.label(mask)[1] + 1)
        )
        return  # a component that would be lost keeps pixels against the order of the layers
    inner = iterated(mask, kind, found["layers"])
    outer = iterated(mask, kind, found["layers"] + 1)
    if kind == "dilation":
        assert not (mask & ~inner).any()
        assert not (inner & ~noisy).any()
        assert not (noisy & ~outer).any()
    else:
        assert not (outer & ~noisy).any()
        assert not (noisy & ~inner).any()
        assert not (inner & ~mask).any()
    assert (noisy ^ inner).sum() == found["split_pixels"]


@pytest.mark.parametrize("kind", OPERATORS)
def test_a_level_of_whole_layers_is_the_iterated_operator_itself(kind):
    rows, columns = np.indices((80, 90))
    mask = (rows - 40) ** 2 + (columns - 50) ** 2 <= 20**2
    for layers in (1, 3, 7):
        expected = iterated(mask, kind, layers)
        eta_beta = (expected ^ mask).sum() / mask.sum()
        noisy, found = OPERATORS[kind](mask, eta_beta, ANYWHERE, split_seed=0)
        assert found == {"layers": layers, "split_pixels": 0}
        assert np.array_equal(noisy, expected)


def test_the_neighbours_are_four_not_eight():
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    noisy, found = dilate(mask, 0.99, ANYWHERE, split_seed=0)
    assert found == {"layers": 0, "split_pixels": 1}
    row, column = np.argwhere(noisy & ~mask)[0]
    assert abs(row - 2) + abs(column - 2) == 1  # never (1, 1), a diagonal neighbour


def test_a_pixel_with_only_diagonal_background_lies_in_the_second_layer():
    mask = np.ones((5, 5), bool)
    mask[0, 0] = False
    noisy, found = erode(mask, 2 / 24, ANYWHERE, split_seed=0)
    assert found == {"layers": 1, "split_pixels": 0}
    assert noisy[1, 1]
    assert not noisy[0, 1]
    assert not noisy[1, 0]


def test_erosion_does_not_eat_from_the_image_border():
    mask = np.zeros((20, 20), bool)
    mask[:, :10] = True
    noisy, _ = erode(mask, 0.5, ANYWHERE, split_seed=0)
    assert noisy[:, :5].all()
    assert not noisy[:, 5:].any()


def test_dilation_into_a_corner_is_clipped_and_still_exact():
    mask = np.zeros((300, 40), bool)
    mask[:100] = True
    noisy, found = dilate(mask, 0.9, ANYWHERE, split_seed=0)
    assert found == {"layers": 90, "split_pixels": 0}
    assert noisy[:190].all()
    assert not noisy[190:].any()


def test_the_last_layer_is_split_at_random_and_grows_with_the_level():
    mask = np.zeros((40, 40), bool)
    mask[10:30, 10:30] = True
    one, again, other = (dilate(mask, 0.1, ANYWHERE, split_seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    more, _ = dilate(mask, 0.15, ANYWHERE, split_seed=1)
    assert not (one & ~more).any()


def test_a_draw_is_a_plain_number():
    drawn = draw_split(np.random.default_rng(0), 2)
    assert list(drawn) == ["split_seed"]
    assert type(drawn["split_seed"]) is int


def ball():
    planes, rows, columns = np.indices((14, 40, 44))
    return (4 * (planes - 7)) ** 2 + (rows - 20) ** 2 + (columns - 22) ** 2 <= 14**2


@pytest.mark.parametrize("kind", OPERATORS)
def test_in_millimetres_the_nearest_voxels_change_first(kind):
    mask, spacing_mm = ball(), (4.0, 1.0, 1.0)
    noisy, found = OPERATORS[kind](mask, 0.4, Surroundings(spacing_mm), split_seed=0)
    region = mask if kind == "erosion" else ~mask
    distance = ndimage.distance_transform_edt(region, spacing_mm)
    changed = noisy ^ mask
    assert changed.sum() == round(0.4 * mask.sum())
    assert distance[changed].max() == pytest.approx(found["depth_mm"])
    assert distance[region & ~changed].min() >= found["depth_mm"] - 1e-4
    voxels, _ = OPERATORS[kind](mask, 0.4, ANYWHERE, split_seed=0)
    planes, planes_in_voxels = (
        np.flatnonzero((each ^ mask).any((1, 2))) for each in (noisy, voxels)
    )
    assert kind == "erosion" or len(planes) < len(planes_in_voxels)  # thick slices are far apart


def test_frozen_pixels_neither_change_nor_feed_erosion():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 5:15] = True
    frozen = np.zeros_like(mask)
    frozen[:, 15:] = True
    eroded, _ = erode(mask, 0.2, Surroundings(frozen=frozen), split_seed=0)
    assert eroded[9, 14]  # the neighbours under the ignore label are unknown, not background
    dilated, _ = dilate(mask, 0.9, Surroundings(frozen=frozen), split_seed=0)
    assert not (dilated & frozen).any()
    assert dilated.sum() == 190
