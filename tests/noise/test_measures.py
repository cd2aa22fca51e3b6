"""Distances between masks against all pairs of boundary pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from noise.shapes import disc
from scipy import ndimage
from scipy.spatial.distance import cdist

from anl_seg.noise.measures import measure


def hd95(clean, noisy, spacing):
    surfaces = [
        np.argwhere(mask & ~ndimage.binary_erosion(mask)) * spacing for mask in (clean, noisy)
    ]
    distances = cdist(*surfaces)
    return max(np.percentile(distances.min(axis), 95) for axis in (0, 1))


@given(arrays(bool, (2, 5, 6, 4)), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.5, 0.75)]))
@settings(deadline=None)
def test_hd95_is_that_of_all_pairs(masks, spacing):
    clean, noisy = masks
    found = measure(clean, noisy, spacing)
    if not clean.any():
        assert found == (None, None, None, None)
    elif not noisy.any():
        assert found == (1.0, 0.0, -1.0, None)
    else:
        assert found.hd95 == pytest.approx(hd95(clean, noisy, np.array(spacing)))


def test_a_shift_of_a_disc_is_its_hd95():
    clean = disc((80, 80), 40, 30, 20)
    shifted = np.roll(clean, 9, axis=1)
    assert measure(clean, shifted).hd95 == pytest.approx(9, abs=0.6)
    assert measure(clean, shifted, (1.0, 0.5)).hd95 == pytest.approx(4.5, abs=0.3)
    assert measure(clean, clean) == (0.0, 1.0, 0.0, 0.0)
