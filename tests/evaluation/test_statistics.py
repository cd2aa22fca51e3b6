"""Statistics against NumPy and SciPy, and with too few values."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import bootstrap

from anl_seg.evaluation import statistics
from anl_seg.evaluation.statistics import RESAMPLES, Statistics, describe, mean_interval

VALUES = np.random.default_rng(3).beta(8, 2, 25)


def test_equal_to_numpy_and_scipy():
    (found,) = describe([VALUES], seed=5)
    assert found.n == 25
    assert found.mean == pytest.approx(VALUES.mean(), abs=1e-15)
    assert found.std == pytest.approx(VALUES.std(ddof=1), abs=1e-15)
    assert (found.q1, found.median, found.q3) == tuple(np.percentile(VALUES, [25, 50, 75]))
    assert found.low < found.mean < found.high


@pytest.mark.parametrize("seed", [1, 5])
@pytest.mark.parametrize(
    "values",
    [
        VALUES,
        VALUES[:3],
        np.array([0.0, 1.0]),
        np.repeat([0.0, 0.5, 1.0], [1, 2, 9]),  # many ties with the mean
        np.random.default_rng(0).lognormal(2.0, 1.5, 300),  # skewed, as distances are
        np.append(np.full(40, 0.9), 0.0),  # one failure
    ],
    ids=["dice", "three", "two", "ties", "skewed", "failure"],
)
def test_interval_equals_scipys(values, seed):
    expected = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, method="BCa", rng=np.random.default_rng(seed)
    ).confidence_interval
    assert mean_interval(values, seed) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_interval_does_not_depend_on_the_batches(monkeypatch):
    whole = mean_interval(VALUES, 1)
    monkeypatch.setattr(statistics, "BATCH_VALUES", 1000)
    assert mean_interval(VALUES, 1) == pytest.approx(whole, abs=1e-12)


def test_interval_has_about_its_nominal_coverage():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        low, high = mean_interval(rng.normal(0.5, 0.1, 40), seed=1)
        inside += low < 0.5 < high
    assert 88 <= inside <= 99  # 95 expected; outside this range once in a thousand runs


def test_interval_follows_the_seed_and_nothing_else():
    assert mean_interval(VALUES, 1) == mean_interval(VALUES, 1)
    assert mean_interval(VALUES, 1) != mean_interval(VALUES, 2)


def test_rows_do_not_depend_on_each_other():
    gaps = np.where(np.arange(25) % 4 == 0, math.nan, VALUES)
    rows = [VALUES, gaps, np.full(25, 0.7), VALUES[::-1], np.full(25, math.nan)]
    together = describe(rows, seed=1)
    for row, found in zip(rows, together, strict=True):
        (alone,) = describe([row], seed=1)
        assert astuple(alone) == pytest.approx(astuple(found), abs=1e-12, nan_ok=True)
    assert [found.n for found in together] == [25, 18, 25, 25, 0]
    assert together[1].mean == pytest.approx(np.nanmean(gaps))


def test_little_to_describe():
    none, one, two, equal = (
        describe([values], seed=1)[0]
        for values in ([math.nan, math.nan], [math.nan, 0.5], [0.25, 0.75], [0.5, 0.5])
    )
    assert repr(none) == repr(Statistics(0, *[math.nan] * 7))
    assert repr(one) == repr(Statistics(1, 0.5, math.nan, 0.5, 0.5, 0.5, math.nan, math.nan))
    assert (two.mean, two.std) == (0.5, pytest.approx(math.sqrt(0.125)))
    assert equal == Statistics(2, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5)
