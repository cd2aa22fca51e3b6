"""Distances against scipy's transforms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from anl_seg.noise.distance import city_block, millimetres

regions = arrays(bool, array_shapes(min_dims=2, max_dims=3, max_side=12))


@given(regions)
def test_city_block_is_scipys(region):
    if not region.all():
        expected = ndimage.distance_transform_cdt(region, metric="taxicab")
        assert np.array_equal(city_block(region), expected)


def test_without_an_outside_all_are_further_than_possible():
    assert (city_block(np.ones((3, 4), bool)) > 3 + 4 - 2).all()


def test_long_images_do_not_overflow():
    region = np.ones((1, 40_000), bool)
    region[0, 0] = False
    assert np.array_equal(city_block(region)[0], np.arange(40_000))


@given(regions, st.tuples(*[st.sampled_from([0.5, 1.0, 3.25])] * 3))
def test_millimetres_are_scipys(region, spacing):
    spacing = spacing[: region.ndim]
    if not region.all():
        expected = ndimage.distance_transform_edt(region, spacing)
        assert millimetres(region, spacing) == pytest.approx(expected, rel=1e-5)
