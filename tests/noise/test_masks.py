"""One mask: the records, the cases that cannot be corrupted, the arguments."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from anl_seg.errors import InputError
from anl_seg.noise import (
    KINDS,
    METHODS,
    PAPER_KINDS,
    PUBLISHED,
    apply,
    corrupt,
    draw,
    find_method,
    generator,
)
from anl_seg.noise.measures import measure

square = np.zeros((40, 40), bool)
square[10:20, 15:25] = True


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(
    mask=arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=16)),
    eta_beta=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
def test_any_mask_gives_a_mask_and_a_true_record(kind, mask, eta_beta, seed):
    before = mask.copy()
    noisy, record = corrupt(mask, kind, eta_beta, generator(seed, "case"))
    assert np.array_equal(mask, before)
    assert noisy is not mask
    assert (noisy.dtype, noisy.shape) == (mask.dtype, mask.shape)
    assert bool(record.reason) == np.array_equal(noisy, mask)
    if mask.any():
        assert noisy.any()
        assert record.achieved == (noisy ^ mask).sum() / mask.sum()
        dice = 2 * (noisy & mask).sum() / (noisy.sum() + mask.sum())
        assert record.dice == pytest.approx(dice)
        assert record.area_change == pytest.approx((noisy.sum() - mask.sum()) / mask.sum())
    again, same = corrupt(mask, kind, eta_beta, generator(seed, "case"))
    assert np.array_equal(noisy, again)
    assert record == same


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_alone_repeats_the_noise(kind):
    noisy, record = corrupt(square, kind, 0.55, generator(3, "case"))
    drawn = draw(kind, generator(3, "case"))
    assert record.parameters.items() >= drawn.items()
    again, _ = apply(square, kind, 0.55, json.loads(json.dumps(drawn)))
    assert np.array_equal(noisy, again)
    json.dumps(asdict(record))


def test_measures_in_fractions():
    clean, noisy = np.zeros((2, 4, 4), bool)
    clean[:2] = True  # 8 pixels
    noisy[1:3, :3] = True  # 6 pixels, 3 of them shared
    assert measure(clean, noisy)[:3] == (8 / 8, 6 / 14, -2 / 8)
    assert measure(clean & False, noisy) == (None, None, None, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mask", "reason"),
    [(np.zeros((8, 8), bool), "empty"), (np.ones((8, 8), bool), "full")],
    ids=["empty", "full"],
)
def test_masks_without_a_boundary_are_left_as_they_are(kind, mask, reason):
    noisy, record = corrupt(mask, kind, 0.5, generator(0, "case"))
    assert np.array_equal(noisy, mask)
    assert record.reason == f"the mask is {reason}"


def test_vanishing_and_filling_and_less_than_a_pixel_are_left_as_they_are():
    one = np.zeros((8, 8), bool)
    one[4, 4] = True
    most = ~one
    drawn = {"split_seed": 0}
    situations = [
        apply(mask, kind, eta_beta, drawn)[1].situation
        for mask, kind, eta_beta in (
            (one, "erosion", 0.7),
            (one, "dilation", 0.3),
            (most, "dilation", 0.7),
        )
    ]
    assert situations == ["vanishing", "too-small", "out-of-view"]
    assert "vanish" in apply(one, "erosion", 0.7, drawn)[1].reason
    assert "less than half a pixel" in apply(one, "dilation", 0.3, drawn)[1].reason
    assert "fill the image" in apply(most, "dilation", 0.7, drawn)[1].reason


@pytest.mark.parametrize("eta_beta", [0, 1, -0.1, 1.5, float("nan")])
def test_a_level_out_of_range_is_refused(eta_beta):
    with pytest.raises(InputError, match=r"eta_beta \(--eta-beta\) must be between 0 and 1"):
        corrupt(square, "erosion", eta_beta, generator(0, "case"))


def test_unknown_kind_and_other_arrays_are_refused():
    with pytest.raises(InputError, match=r"erosion, dilation, affine.* got 'melt'"):
        draw("melt", generator(0, "case"))
    with pytest.raises(InputError, match=r"whole numbers, \(H, W\) or \(D, H, W\), got float64"):
        corrupt(square.astype(float), "erosion", 0.5, generator(0, "case"))
    with pytest.raises(InputError, match=r"\(1, 1, 40, 40\)"):
        corrupt(square[None, None], "erosion", 0.5, generator(0, "case"))
    with pytest.raises(InputError, match="corrupt_labels"):
        corrupt(np.diag([1, 2]), "erosion", 0.5, generator(0, "case"))
    with pytest.raises(InputError, match=r"corrected, published, got 'best'"):
        find_method("best")
    with pytest.raises(InputError, match="for the published method, got 'jitter'"):
        corrupt(square, "jitter", 0.5, generator(0, "case"), PUBLISHED)
    with pytest.raises(InputError, match="2 positive lengths"):
        corrupt(square, "erosion", 0.5, generator(0, "case"), spacing_mm=(1, 1, 1))
    with pytest.raises(InputError, match="counts pixels"):
        corrupt(square, "erosion", 0.5, generator(0, "case"), PUBLISHED, spacing_mm=(1, 1))


@pytest.mark.parametrize("kind", PAPER_KINDS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_coding_of_a_mask_changes_nothing_but_the_coding(kind, method):
    expected, record = corrupt(square, kind, 0.5, generator(1, "case"), method)
    for dtype, value in ((np.uint8, 1), (np.uint8, 255), (np.int16, 1)):
        coded = square.astype(dtype) * dtype(value)
        noisy, same = corrupt(coded, kind, 0.5, generator(1, "case"), method)
        assert noisy.dtype == dtype
        assert np.array_equal(noisy, expected.astype(dtype) * dtype(value))
        assert same == record
