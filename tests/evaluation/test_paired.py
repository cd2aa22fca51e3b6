"""Paired statistics against scipy, enumeration and sums done by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from anl_seg.evaluation.paired import group_interval, holm, rank_biserial, signed_rank_p

NAN = math.nan


def test_interval_of_single_trainings_is_the_percentile_bootstrap():
    rng = np.random.default_rng(3)
    run, baseline = rng.normal(0.1, 0.2, (2, 1, 60))
    reference = stats.bootstrap(
        ((run - baseline)[0],), np.mean, method="percentile", n_resamples=50_000, rng=5
    ).confidence_interval
    assert group_interval(run, baseline, seed=1) == pytest.approx(
        (reference.low, reference.high), abs=0.004
    )


def test_interval_over_seeds_is_that_of_all_draws_of_seeds():
    """Every case has its seed's value, so that only the drawn seeds matter: 27 draws of three."""
    seeds = np.array([0.1, 0.4, 0.7])
    run = np.repeat(seeds[:, None], 20, axis=1)
    draws = np.sort([np.mean(draw) for draw in product(seeds, repeat=3)])
    expected = np.quantile(np.repeat(draws, 1000), [0.025, 0.975])
    assert group_interval(run, np.zeros((1, 20)), seed=1) == pytest.approx(expected, abs=1e-9)


def test_folds_that_share_the_cases_alike_are_drawn_alike():
    """Folds differ much in difficulty, but in none of them do the runs differ by more than 0.1."""
    baseline = np.full((3, 9), NAN)
    for fold in range(3):
        baseline[fold, 3 * fold : 3 * fold + 3] = 0.2 + 0.3 * fold
    low, high = group_interval(baseline + 0.1, baseline, seed=1)
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_seeds_of_two_runs_are_drawn_apart():
    values = np.repeat(np.array([[0.1], [0.9]]), 10, axis=1)
    low, high = group_interval(values, values, seed=1)
    assert low == pytest.approx(-0.8)
    assert high == pytest.approx(0.8)


def test_interval_depends_on_the_seed_only():
    rng = np.random.default_rng(0)
    run, baseline = rng.random((2, 3, 12))
    assert group_interval(run, baseline, 4) == group_interval(run, baseline, 4)
    assert group_interval(run, baseline, 4) != group_interval(run, baseline, 5)


def test_signed_rank_of_five_cases_that_all_rise():
    assert signed_rank_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5])) == pytest.approx(2 / 32)


def test_signed_rank_without_differences():
    assert signed_rank_p(np.zeros(4)) == 1
    assert math.isnan(signed_rank_p(np.array([])))


@pytest.mark.parametrize("n", [4, 12])
def test_signed_rank_leaves_zeros_out_and_stays_exact(n):
    """All ways to give the ranks their signs; scipy itself approximates where it meets a zero."""
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    ranks = stats.rankdata(np.abs(differences))
    sums = np.array(list(product([0, 1], repeat=n))) @ ranks
    rarest = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    exact = min(1, 2 * (sums <= rarest).mean())
    assert signed_rank_p(np.concatenate([differences, np.zeros(3)])) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("differences", "effect"),
    [
        ([0.1, 0.2, 0.3], 1),
        ([-0.1, -0.2, -0.3], -1),
        ([0.1, -0.2, 0.3], (1 - 2 + 3) / 6),
        ([0.1, -0.1, 0.0], 0),
        ([0.0, 0.0], 0),
        ([], NAN),
    ],
)
def test_rank_biserial_by_hand(differences, effect):
    assert rank_biserial(np.array(differences)) == pytest.approx(effect, nan_ok=True)


def test_rank_biserial_from_the_statistic_of_scipy():
    differences = np.random.default_rng(2).normal(0.2, 1, 40)
    positive = stats.wilcoxon(differences, alternative="greater").statistic
    assert rank_biserial(differences) == pytest.approx(2 * positive / (40 * 41 / 2) - 1)


def test_holm_by_hand():
    """0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 is raised to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_skips_what_was_not_tested():
    assert holm([0.6, NAN, 0.7]) == pytest.approx([1, NAN, 1], nan_ok=True)
    assert holm([]) == []
