"""The phantom: deterministic, with an exact mask, and neither trivial nor impossible."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from anl_seg.datasets import isic2017, phantom


@pytest.fixture(scope="module")
def pictures():
    return [phantom.render(7, index, 96) for index in range(24)]


def test_shapes_types_and_values(pictures):
    for image, mask in pictures:
        assert image.shape == (96, 96, 3)
        assert mask.shape == (96, 96)
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}


def test_same_arguments_same_bits(pictures):
    for first, again in zip(pictures[3], phantom.render(7, 3, 96), strict=True):
        assert np.array_equal(first, again)


def test_every_picture_is_another(pictures):
    digests = {hashlib.sha256(image.tobytes()).digest() for image, _ in pictures}
    other_seed, _ = phantom.render(8, 0, 96)
    assert len(digests | {hashlib.sha256(other_seed.tobytes()).digest()}) == 25


@pytest.mark.parametrize("size", [32, 96])
def test_lesion_is_one_piece_without_holes_of_plausible_size(size):
    for index in range(40):
        _, mask = phantom.render(1, index, size)
        assert ndimage.label(mask)[1] == 1
        assert np.array_equal(ndimage.binary_fill_holes(mask), mask > 0)
        assert 0.01 < mask.mean() < 0.5


def test_lesion_is_darker_than_the_skin_around_it(pictures):
    for image, mask in pictures:
        green = image[..., 1].astype(float)
        around = ndimage.binary_dilation(mask, iterations=10) & (mask == 0)
        assert np.median(green[mask > 0]) < np.median(green[around])


def test_a_threshold_does_not_solve_it(pictures):
    scores = []
    for image, mask in pictures:
        gray = image.mean(axis=-1)
        dark = gray < threshold_otsu(gray)
        scores.append(2 * (dark & (mask > 0)).sum() / (dark.sum() + mask.sum()))
    assert np.mean(scores) < 0.75


def test_challenge_layout_goes_through_the_converter(tmp_path):
    src, dst = tmp_path / "phantom", tmp_path / "Dataset500_Phantom"
    phantom.write_challenge_layout(src, n_train=3, n_test=2, size=48, seed=5)
    done = isic2017.convert(src, dst, size=48)
    assert (done.n_training, done.n_test) == (3, 2)
    for index in range(5):
        part, name = ("Tr" if index < 3 else "Ts"), f"ISIC_{9_000_000 + index}"
        image, mask = phantom.render(5, index, 48)
        with Image.open(dst / f"labels{part}/{name}.png") as label:
            assert np.array_equal(label, mask)
        with Image.open(dst / f"images{part}/{name}_0000.png") as converted:
            assert np.abs(np.asarray(converted).astype(int) - image).mean() < 4
