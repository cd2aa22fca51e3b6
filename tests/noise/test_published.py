"""The published generator, bit for bit, against passes of scipy and rotations of scikit-image."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from noise.shapes import disc
from PIL import Image
from scipy import ndimage

from anl_seg.errors import InputError
from anl_seg.noise import published
from anl_seg.noise.base import Surroundings, UncorruptibleError, draw_nothing
from noise import plain

ANYWHERE = Surroundings()
NATIVE = Path(__file__).parents[3] / "shared/data/isic2017-sample/masks-native"

speckled = arrays(bool, array_shapes(min_dims=2, max_dims=3, max_side=14))
levels = st.floats(0.01, 0.99)


@st.composite
def smooth(draw):
    """Random blobs, some of them cut by the border, as masks of lesions are."""
    shape = draw(st.tuples(st.integers(8, 60), st.integers(8, 60)))
    field = np.random.default_rng(draw(st.integers(0, 2**32))).standard_normal(shape)
    return ndimage.gaussian_filter(field, draw(st.floats(1, 6))) > draw(st.floats(-0.05, 0.05))


def runs(mask, eta_beta, dilates):
    """Return whether the published code runs: it needs at least one pass."""
    return int(mask.sum() * eta_beta) > 0 and not (dilates and mask.all())


@pytest.mark.parametrize("kind", ["erode", "dilate"])
@given(mask=speckled | smooth(), eta_beta=levels)
@settings(deadline=None, max_examples=200)
def test_one_distance_transform_is_all_the_passes(kind, mask, eta_beta):
    before = mask.copy()
    if not runs(mask, eta_beta, kind == "dilate"):
        with pytest.raises(UncorruptibleError):
            getattr(published, kind)(mask, eta_beta, ANYWHERE)
        return
    noisy, found = getattr(published, kind)(mask, eta_beta, ANYWHERE)
    assert np.array_equal(noisy, getattr(plain, kind)(mask, eta_beta))
    if found["iterations"]:
        passes = getattr(ndimage, {"erode": "binary_erosion", "dilate": "binary_dilation"}[kind])
        assert np.array_equal(noisy, passes(mask, iterations=found["iterations"]))
    assert np.array_equal(mask, before)


flat = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)) | smooth()


@given(mask=flat, angle_deg=st.floats(-30, 30))
@example(mask=np.arange(28)[None] == 0, angle_deg=11.0)  # turned out of the image
@settings(deadline=None, max_examples=200)
def test_rotation_is_scikit_images_cut_off(mask, angle_deg):
    if not mask.any():
        return
    (top, left), found = published.rotate(mask, angle_deg)
    rotated = np.zeros_like(mask)
    rotated[top : top + found.shape[0], left : left + found.shape[1]] = found
    assert np.array_equal(rotated, plain.rotate(mask, angle_deg))


@given(
    mask=flat,
    eta_beta=levels,
    angle_deg=st.floats(-30, 30),
    direction=st.sampled_from(published.DIRECTIONS),
)
@settings(deadline=None, max_examples=200)
def test_displacement_is_the_search_over_whole_images(mask, eta_beta, angle_deg, direction):
    if not mask.any():
        with pytest.raises(UncorruptibleError):
            published.displace(mask, eta_beta, ANYWHERE, angle_deg=angle_deg, direction=direction)
        return
    noisy, _ = published.displace(
        mask, eta_beta, ANYWHERE, angle_deg=angle_deg, direction=direction
    )
    assert np.array_equal(noisy, plain.displace(mask, eta_beta, angle_deg, direction))


def test_displacement_of_large_objects_is_the_search_over_whole_images():
    """Larger than the squares in which the rotation works."""
    mask = disc((400, 500), 180, 240, 120) & ~disc((400, 500), 150, 260, 30)
    for angle_deg, direction in ((-29.5, (1, 0)), (0.0, (-1, 1)), (13.7, (0, -1)), (30, (1, 1))):
        drawn = {"angle_deg": angle_deg, "direction": direction}
        noisy, _ = published.displace(mask, 0.7, ANYWHERE, **drawn)
        assert np.array_equal(noisy, plain.displace(mask, 0.7, **drawn))


def test_the_draw_is_that_of_pythons_random_in_the_published_order():
    cases = [f"ISIC_{number:07d}" for number in range(40)]
    stream = random.Random(0)
    shuffled = list(cases)
    stream.shuffle(shuffled)
    expected = {}
    for case in cases:
        if case in shuffled[: int(40 * 0.7)]:
            kind = stream.choice(["dilate", "erode", "affine"])
            expected[case] = (kind, None, None)
            if kind == "affine":
                angle = stream.uniform(-30, 30)
                signs = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, 1), (0, -1), (1, -1)]
                expected[case] = (kind, angle, list(stream.choice(signs)))
    drawn = published.draw_set(random.Random(5).sample(cases, 40), 0.7, 0)
    names = {"dilation": "dilate", "erosion": "erode", "affine": "affine"}
    assert {
        case: (names[kind], each.get("angle_deg"), each.get("direction"))
        for case, (kind, each) in drawn.items()
    } == expected


def test_draws_of_one_mask_are_of_the_published_ranges():
    rng = np.random.default_rng(0)
    drawn = [published.draw_motion(rng, 2) for _ in range(300)]
    assert {tuple(each["direction"]) for each in drawn} == set(published.DIRECTIONS)
    angles = [each["angle_deg"] for each in drawn]
    assert -30 <= min(angles) < -25 < 25 < max(angles) <= 30
    assert draw_nothing(rng, 2) == {}


def test_volumes_have_no_published_displacement():
    with pytest.raises(InputError, match="2D"):
        published.displace(np.ones((2, 2, 2), bool), 0.5, ANYWHERE, angle_deg=1.0, direction=(1, 0))


@pytest.mark.data
def test_real_masks_come_out_as_published():
    """Three small ones; masks of all sizes are compared in benchmarks/noise.md's run."""
    if not NATIVE.is_dir():
        pytest.skip(f"{NATIVE} is not there")
    files = sorted(NATIVE.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    for path, eta_beta in zip(files[:60:20], (0.3, 0.5, 0.7), strict=True):
        mask = np.asarray(Image.open(path)) > 0
        for kind in ("erode", "dilate"):
            noisy, _ = getattr(published, kind)(mask, eta_beta, ANYWHERE)
            assert np.array_equal(noisy, getattr(plain, kind)(mask, eta_beta))
        noisy, _ = published.displace(mask, eta_beta, ANYWHERE, angle_deg=-17.3, direction=(1, -1))
        assert np.array_equal(noisy, plain.displace(mask, eta_beta, -17.3, (1, -1)))
