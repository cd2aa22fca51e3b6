"""Boxes, surfaces and distances, against plain loops and SimpleITK's distance maps."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import binary_erosion, gaussian_filter

from anl_seg.evaluation.surface import hd95, surfaces
from anl_seg.geometry import (
    bounding_box,
    hausdorff_95,
    surface_distances,
    surface_points,
    widen,
)
from anl_seg.noise.measures import measure


def blobs(seed, shape):
    noise = np.random.default_rng(seed).normal(size=(2, *shape))
    return [gaussian_filter(each, 2.5) > 0.02 for each in noise]


SHAPES = [(48, 40), (14, 26, 22)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_box_holds_all_pixels_and_no_empty_border(shape):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(2, size - 3) for size in shape)] = blobs(1, tuple(s - 5 for s in shape))[0]
    box = bounding_box(mask)
    assert mask[box].sum() == mask.sum()
    for axis in range(mask.ndim):
        faces = np.moveaxis(mask[box], axis, 0)
        assert faces[0].any()
        assert faces[-1].any()
    wide = widen(box, [2] * mask.ndim, shape)
    for one, other, size in zip(box, wide, shape, strict=True):
        assert (other.start, other.stop) == (max(0, one.start - 2), min(size, one.stop + 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_surface_is_what_one_erosion_removes(shape):
    mask = blobs(2, shape)[0]
    spacing = np.array((3.0, 0.5, 0.75)[-mask.ndim :])
    expected = np.argwhere(mask & ~binary_erosion(mask)) * spacing
    assert np.array_equal(surface_points(mask, tuple(spacing)), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spaced", [False, True])
def test_distances_are_those_of_simpleitks_maps(shape, spaced):
    spacing = (2.5, 0.5, 0.75)[-len(shape) :] if spaced else (1.0,) * len(shape)
    one, other = blobs(3, shape)
    found = surface_distances(one, other, spacing)
    contours = []
    for mask in (one, other):
        image = sitk.GetImageFromArray(np.pad(mask, 1).view(np.uint8))
        image.SetSpacing(spacing[::-1])
        contours.append(sitk.BinaryContour(image, fullyConnected=False))
    for distances, (here, there) in zip(found, (contours, contours[::-1]), strict=True):
        far = sitk.SignedMaurerDistanceMap(there, squaredDistance=False, useImageSpacing=True)
        expected = sitk.GetArrayFromImage(far)[sitk.GetArrayFromImage(here) > 0]
        np.testing.assert_allclose(distances, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", SHAPES)
def test_noise_and_evaluation_give_one_hd95(seed, shape):
    one, other = blobs(seed, shape)
    spacing = tuple(np.random.default_rng(seed).uniform(0.3, 4, len(shape)))
    expected = hausdorff_95(*surface_distances(one, other, spacing))
    assert hd95(surfaces(other, one, spacing, 1.0)) == expected
    assert measure(one, other, spacing).hd95 == expected
