"""The kinds that the paper lacks: their level and their characteristics."""

import numpy as np
import pytest
from noise.shapes import ball, disc
from scipy import ndimage

from anl_seg.geometry import bounding_box
from anl_seg.noise import PAPER_KINDS, corrupt, generator

LESION = disc((140, 160), 70, 75, 30)
VOLUME = ball((20, 60, 70), (10, 30, 35), 15, (2, 1, 1))


@pytest.mark.parametrize("mask", [LESION, VOLUME], ids=["2D", "3D"])
@pytest.mark.parametrize("kind", ["jitter", "spurious-blob"])
@pytest.mark.parametrize("eta_beta", [0.1, 0.3, 0.7])
def test_the_level_is_met_to_the_pixel(mask, kind, eta_beta):
    noisy, record = corrupt(mask, kind, eta_beta, generator(1, "case"))
    assert (noisy ^ mask).sum() == round(eta_beta * mask.sum())
    assert not record.reason


def test_a_jittered_boundary_moves_both_ways_and_stays_whole():
    noisy, _ = corrupt(LESION, "jitter", 0.3, generator(1, "case"))
    assert (noisy & ~LESION).any()
    assert (LESION & ~noisy).any()
    assert ndimage.label(noisy)[1] == 1
    assert ndimage.label(~noisy)[1] == 1
    grown, _ = corrupt(LESION, "jitter", 0.4, generator(1, "case"))
    assert not ((noisy ^ LESION) & ~(grown ^ LESION)).any()  # the same jitter, further


def test_a_polygon_has_few_corners_and_stays_in_place():
    noisy, record = corrupt(LESION, "polygon", 0.15, generator(1, "case"))
    assert record.achieved == pytest.approx(0.15, abs=0.08)
    assert record.parameters["tolerance"] > 1
    corners = noisy.astype(int)[tuple(slice(s.start - 1, s.stop + 1) for s in bounding_box(noisy))]
    assert corners.sum() < LESION.sum()  # a polygon between points of a convex outline
    _, record = corrupt(VOLUME, "polygon", 0.15, generator(1, "case"))
    assert record.achieved == pytest.approx(0.15, abs=0.1)


def test_whole_components_are_dropped_but_never_all():
    spots = [
        disc((100, 200), 50, column, radius) for column, radius in ((20, 9), (60, 12), (120, 20))
    ]
    mask = np.logical_or.reduce(spots)
    lost = set()
    for seed in range(12):
        noisy, record = corrupt(mask, "missing-component", 0.2, generator(seed, "case"))
        kept = [np.array_equal(noisy & spot, spot) for spot in spots]
        gone = [not (noisy & spot).any() for spot in spots]
        assert all(a != b for a, b in zip(kept, gone, strict=True))
        assert any(kept)
        assert record.parameters["dropped"] == sum(gone)
        lost |= {tuple(gone)}
    assert len(lost) > 1
    assert (
        corrupt(LESION, "missing-component", 0.3, generator(0, "case"))[1].situation == "vanishing"
    )


def test_a_blob_is_one_piece_of_background():
    places = set()
    for seed in range(8):
        noisy, record = corrupt(LESION, "spurious-blob", 0.2, generator(seed, "case"))
        blob = noisy & ~LESION
        assert not (LESION & ~noisy).any()
        assert blob[tuple(record.parameters["centre"])]
        assert ndimage.label(blob, np.ones((3, 3)))[1] == 1
        places.add(tuple(record.parameters["centre"]))
    assert len(places) == 8


def test_they_are_off_by_default():
    assert PAPER_KINDS == ("erosion", "dilation", "affine")
