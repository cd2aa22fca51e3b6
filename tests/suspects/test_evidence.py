"""Evidence is what its definition says, on masks whose figures are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from suspects.discs import disc, softmax

from anl_seg.suspects import measure


def evidence(given, predicted, probability=None, spacing=(1.0, 1.0)):
    if probability is None:
        probability = predicted.astype(np.float32)
    return measure(probability, given, predicted, spacing)


def test_figures_of_two_squares():
    given, predicted = np.zeros((2, 12, 12), dtype=bool)
    given[2:6, 2:6] = True
    predicted[2:6, 4:8] = True
    found = evidence(given, predicted, np.where(predicted, 0.75, 0.25).astype(np.float32))
    assert (found.given, found.predicted) == (16, 16)
    assert found.dice == 16 / 32
    assert found.own_dice == pytest.approx(2 * 16 * 0.75 / (44 + 16))
    assert (found.lost, found.gained) == (8 / 24, 8 / 24)
    assert found.shift * found.radius == pytest.approx(2)
    assert found.radius == pytest.approx(np.sqrt(44 / np.pi))
    assert found.median == pytest.approx(0, abs=1e-6)
    assert found.aligned_dice == 1
    assert found.roughness == pytest.approx(0)
    assert found.thickness * found.radius == pytest.approx(0.5)


def test_a_grown_mask_lies_outside_all_around():
    predicted, given = (disc(24, 24, radius) > 0 for radius in (10, 13))
    found = evidence(given, predicted)
    assert found.median * found.radius == pytest.approx(3, abs=0.5)
    assert found.spread_given * found.radius < 0.6
    assert found.spread_predicted * found.radius < 0.6
    assert found.thickness * found.radius == pytest.approx(1.5, abs=0.6)
    assert found.best_dice == pytest.approx(found.dice)
    shrunk = evidence(predicted, given)
    assert shrunk.median * shrunk.radius == pytest.approx(-3, abs=0.5)


def test_best_cut_finds_the_level_that_was_drawn():
    probability = softmax(disc(24, 24, 10), width=2)[1]
    found = evidence(probability > 0.88, probability > 0.5, probability)  # log-odds 2
    assert found.best_dice > 0.97


def test_evidence_has_no_unit():
    """The same object, drawn twice as large or measured in other units, gives the same evidence."""
    small = softmax(disc(24, 24, 10), 1.5)[1]
    given = disc(24, 28, 11) > 0
    first = evidence(given, small > 0.5, small)
    metres = evidence(given, small > 0.5, small, spacing=(0.001, 0.001))
    for name in ("dice", "median", "spread_given", "shift", "thickness", "roughness", "best_dice"):
        assert getattr(metres, name) == pytest.approx(getattr(first, name), rel=1e-5), name
    large = softmax(disc(48, 48, 20, 96), 3)[1]
    twice = evidence(disc(48, 56, 22, 96) > 0, large > 0.5, large)
    for name in ("dice", "median", "spread_given", "shift", "aligned_dice", "roughness"):
        assert getattr(twice, name) == pytest.approx(getattr(first, name), abs=0.03), name


def test_spacing_stretches_an_axis():
    given, predicted = np.zeros((2, 20, 20), dtype=bool)
    given[5:15, 5:15] = predicted[7:17, 5:15] = True
    found = evidence(given, predicted, spacing=(3.0, 1.0))
    assert found.shift * found.radius == pytest.approx(6)


def test_separate_parts():
    given = (disc(24, 24, 8) > 0) | (disc(6, 6, 4) > 0)
    predicted = disc(24, 24, 8) > 0
    extra = (disc(6, 6, 4) > 0).sum() / given.sum()
    assert evidence(given, predicted).extra == pytest.approx(extra)
    assert evidence(predicted, given).missing == pytest.approx(extra)


def test_empty_masks_have_finite_evidence():
    empty = np.zeros((16, 16), dtype=bool)
    full = disc(8, 8, 5, 16) > 0
    for given, predicted in ((empty, full), (full, empty)):
        found = evidence(given, predicted)
        assert all(np.isfinite(value) for value in vars(found).values())
        assert found.dice == 0


def test_a_mask_that_fills_the_image_is_the_same_from_all_sides():
    full = np.ones((32, 32), dtype=bool)
    predicted = disc(9, 22, 7, 32) > 0
    found = evidence(full, predicted)
    assert found.gained == 1 - predicted.mean()
    assert found.thickness * found.radius > 7
    for turned in (predicted[::-1], predicted[:, ::-1], predicted[::-1, ::-1], predicted.T):
        again = evidence(full, turned)
        assert vars(again) == pytest.approx(vars(found), abs=1e-4)
        there, back = evidence(turned, full), evidence(predicted, full)
        assert vars(there) == pytest.approx(vars(back), abs=1e-4)
    volume = evidence(
        np.ones((4, 8, 8), dtype=bool), np.ones((4, 8, 8), dtype=bool), None, (3, 1, 1)
    )
    assert (volume.dice, volume.median, volume.thickness) == (1, 0, 0)


def test_a_moved_mask_is_aligned_again():
    predicted, given = disc(24, 20, 9) > 0, disc(20, 26, 9) > 0
    found = evidence(given, predicted)
    assert found.aligned_dice == 1
    assert found.dice < 0.5


def test_roughness_counts_bays_but_no_stairs():
    square, notched, tilted = np.zeros((3, 40, 40), dtype=bool)
    square[10:26, 10:26] = notched[10:26, 10:26] = True
    notched[10:26:4, 25] = False
    rows, columns = np.mgrid[:40, :40]
    tilted[:] = np.abs(rows - 20) + np.abs(columns - 20) <= 11
    bays = evidence(notched, square)
    assert bays.roughness == pytest.approx(np.log((64 + 6) / 64) - 0.5 * np.log(252 / 256))
    stairs = evidence(tilted, square)  # faces of a tilted square, as of its bounding box
    assert stairs.roughness == pytest.approx(np.log(4 * 23 / 64) - 0.5 * np.log(tilted.sum() / 256))
