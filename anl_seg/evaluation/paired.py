"""Statistics of paired values: intervals of a mean difference, signed-rank test, Holm, effect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anl_seg.evaluation.statistics import CONFIDENCE, RESAMPLES

#: Values of one run, `(groups, cases)`: a row for each seed or fold, NaN if it lacks the case.
GroupValues = NDArray[np.float64]


def group_interval(run: GroupValues, baseline: GroupValues, seed: int) -> tuple[float, float]:
    """Compute the 95 % interval of the mean difference over cases and seeds or folds.

    It is a percentile bootstrap interval. Each resample draws cases with replacement, the same for
    both runs, and the groups of each run with replacement. If both runs split the cases into the
    same folds, the same folds are drawn. So the interval also covers new trainings, not only new
    cases. With few groups it is too narrow: resampling three seeds cannot show the full variation.

    Args:
        run: Values of one run, `(G, n)`, NaN if a group lacks a case.
        baseline: Values of the baseline, `(H, n)`.
        seed: Seed of the draws.

    Returns:
        Lower and upper end of the interval of mean(run) - mean(baseline).
    """
    rng = np.random.default_rng(seed)
    cases = rng.multinomial(run.shape[1], _even(run.shape[1]), size=RESAMPLES)
    run_groups = rng.multinomial(len(run), _even(len(run)), size=RESAMPLES)
    alike = run.shape == baseline.shape and np.array_equal(np.isnan(run), np.isnan(baseline))
    if alike and np.isnan(run).any():
        baseline_groups = run_groups
    else:
        baseline_groups = rng.multinomial(len(baseline), _even(len(baseline)), size=RESAMPLES)
    means = _weighted_means(run, run_groups, cases)
    baseline_means = _weighted_means(baseline, baseline_groups, cases)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(means - baseline_means, [tail, 1 - tail])
    return float(low), float(high)


def _even(count: int) -> NDArray[np.float64]:
    return np.full(count, 1 / count)


def _weighted_means(
    values: GroupValues, groups: NDArray[np.int64], cases: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the mean of each resample, weighted by how often it drew each group and case."""
    known = ~np.isnan(values)
    total = ((groups @ np.where(known, values, 0.0)) * cases).sum(axis=1)
    weight = ((groups @ known.astype(np.float64)) * cases).sum(axis=1)
    means = np.full(len(total), np.nan)
    np.divide(total, weight, out=means, where=weight > 0)
    return means


def signed_rank_p(differences: NDArray[np.float64]) -> float:
    """Compute the two-sided p of Wilcoxon's signed-rank test, exact for few cases without ties.

    Differences of zero are left out, as Wilcoxon did. If all are zero, p is 1. Without cases, p is
    NaN. Zeros are removed before scipy's test, which otherwise would not compute the exact p.
    """
    from scipy.stats import wilcoxon

    if not differences.size:
        return float("nan")
    nonzero = differences[differences != 0]
    return float(wilcoxon(nonzero).pvalue) if nonzero.size else 1.0


def rank_biserial(differences: NDArray[np.float64]) -> float:
    """Compute the matched-pairs rank-biserial correlation, (W+ - W-) / (W+ + W-), in [-1, 1].

    It is the effect size of the signed-rank test: 1 if every case is higher, -1 if every case is
    lower, 0 if ranks of both signs balance. Differences of zero are left out. The result is 0 if
    all differences are zero, and NaN without cases.

    References:
        Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014.
    """
    from scipy.stats import rankdata

    if not differences.size:
        return float("nan")
    nonzero = differences[differences != 0]
    if not nonzero.size:
        return 0.0
    ranks = rankdata(np.abs(nonzero))
    return float((np.sign(nonzero) * ranks).sum() / ranks.sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values of several tests by Holm's step-down method, keeping order and NaN.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979.
    """
    adjusted = [float("nan")] * len(p_values)
    tests = sorted((p, place) for place, p in enumerate(p_values) if p == p)  # NaN != NaN
    highest = 0.0
    for rank, (p, place) in enumerate(tests):
        highest = max(highest, min(1.0, (len(tests) - rank) * p))
        adjusted[place] = highest
    return adjusted
