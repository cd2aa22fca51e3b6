"""Distances between surfaces against hand-made values, and against a plain loop in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from anl_seg.evaluation.metrics import surface_values
from anl_seg.evaluation.surface import assd, hd95, nsd, surfaces


def square(top, left, size, shape=(12, 14)):
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + size, left : left + size] = True
    return mask


def measured(prediction, reference, spacing=(1.0, 1.0), tolerance=1.0):
    return surfaces(prediction, reference, spacing, tolerance)


def test_equal_masks():
    found = measured(square(2, 2, 5), square(2, 2, 5))
    assert (hd95(found), assd(found), nsd(found)) == (0.0, 0.0, 1.0)
    assert found.to_reference.size == 16  # the rim of a square of five, not its inside


def test_moved_pixel_by_hand():
    found = measured(square(3, 2, 1), square(3, 6, 1), spacing=(1.0, 0.5), tolerance=2.0)
    assert (hd95(found), assd(found), nsd(found)) == (2.0, 2.0, 1.0)
    found = measured(square(3, 2, 1), square(3, 6, 1), spacing=(1.0, 0.5), tolerance=1.9)
    assert nsd(found) == 0.0


def test_moved_square_by_hand():
    # One column to the right: of 8 rim pixels of a square of three each way, three at the free side
    # are 1 away, the other five lie on the rim, or at the centre of the other, 1 away.
    found = measured(square(2, 2, 3), square(2, 3, 3), spacing=(1.0, 3.0), tolerance=1.0)
    assert sorted(found.to_reference) == [0, 0, 0, 0, 1, 3, 3, 3]
    assert hd95(found) == 3.0
    assert assd(found) == pytest.approx(10 / 8)
    assert nsd(found) == pytest.approx(5 / 8)


def test_spacing_of_each_axis_counts_in_3d():
    masks = np.zeros((2, 5, 6, 7), dtype=bool)
    masks[0, 1, 1, 1] = True
    masks[1, 2, 3, 4] = True
    found = measured(*masks, spacing=(5.0, 2.0, 0.5))
    assert hd95(found) == pytest.approx(math.hypot(1 * 5.0, 2 * 2.0, 3 * 0.5), rel=1e-6)


def test_object_at_the_border_has_a_surface_there():
    full = np.ones((4, 5), dtype=bool)
    inner = full.copy()
    inner[0] = False
    assert measured(full, full).to_reference.size == 2 * (4 + 5) - 4
    assert hd95(measured(inner, full)) == 1.0


def test_a_missed_object_has_the_diagonal_and_is_not_left_out():
    nothing = np.zeros((12, 14), dtype=bool)
    for pair in ((nothing, square(2, 2, 5)), (square(2, 2, 5), nothing)):
        found = measured(*pair, spacing=(2.0, 0.5))
        diagonal = math.hypot(12 * 2.0, 14 * 0.5)
        assert (hd95(found), assd(found), nsd(found)) == (diagonal, diagonal, 0.0)
        for empty in ("nan", "one", "zero"):
            assert surface_values(found, empty) == surface_values(found)


@pytest.mark.parametrize(
    ("empty", "expected"),
    [("nan", [math.nan] * 3), ("one", [0, 0, 1]), ("zero", [13.0, 13.0, 0])],
)
def test_both_empty(empty, expected):
    nothing = np.zeros((5, 12), dtype=bool)
    found = surface_values(measured(nothing, nothing), empty)
    assert list(found.values()) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flat_image_in_3d_is_as_in_2d(axis):
    pair = (square(2, 2, 5), square(3, 2, 6))
    flat = surface_values(measured(*pair, spacing=(2.0, 0.7)))
    spacing = [2.0, 0.7]
    spacing.insert(axis, 999.0)
    solid = measured(*(np.expand_dims(mask, axis) for mask in pair), spacing=spacing)
    assert surface_values(solid) == flat


def test_a_line_of_pixels():
    found = measured(np.array([[1, 0, 0]], dtype=bool), np.array([[0, 0, 1]], dtype=bool))
    assert hd95(found) == 2.0


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(12, 14\).*\(3, 3\)"):
        measured(square(2, 2, 5), np.ones((3, 3), dtype=bool))


def rim(mask):
    """Positions of pixels with a face to the outside, by looking at every neighbour."""
    padded = np.pad(mask, 1)
    places = []
    for place in np.argwhere(padded):
        steps = np.vstack([np.eye(mask.ndim, dtype=int), -np.eye(mask.ndim, dtype=int)])
        if not all(padded[tuple(place + step)] for step in steps):
            places.append(place)
    return np.array(places, dtype=float)


def plain(prediction, reference, spacing, tolerance):
    """The definitions, from all distances between all pairs of rim pixels."""
    here, there = (rim(mask) * spacing for mask in (prediction, reference))
    between = np.linalg.norm(here[:, None] - there[None], axis=-1)
    directed = [between.min(axis=1), between.min(axis=0)]
    both = np.concatenate(directed)
    return {
        "HD95": max(np.percentile(distances, 95) for distances in directed),
        "ASSD": both.mean(),
        "NSD": (both <= tolerance).mean(),
    }


@st.composite
def pairs_of_masks(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=6))
    spacing = [draw(st.sampled_from([0.5, 0.8, 1.0, 3.0])) for _ in shape]
    return *(draw(arrays(bool, shape)) for _ in range(2)), spacing


@settings(max_examples=60, deadline=None)  # the machine may be busy
@given(pairs_of_masks())
def test_random_masks_equal_the_plain_loop(drawn):
    prediction, reference, spacing = drawn
    assume(prediction.any() and reference.any())
    found = surface_values(surfaces(prediction, reference, spacing, 1.3))
    expected = plain(prediction, reference, spacing, 1.3)
    assert found == pytest.approx(expected, rel=1e-5)
