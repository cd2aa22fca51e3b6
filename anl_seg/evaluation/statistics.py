"""Statistics of a metric over cases: mean, spread, and a bootstrap interval of the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9999
#: Values that the bootstrap draws at once (8 MiB).
BATCH_VALUES = 2**20
#: Means that differ by less are equal; only the order of summation differs.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Statistics:
    """Statistics of one metric over the cases that define it. Without cases all but `n` are NaN.

    Attributes:
        n: Number of cases that define the metric.
        mean: Mean over these cases.
        std: Standard deviation (n - 1); NaN for one case.
        median: Median.
        q1: First quartile (linear interpolation), lower end of the IQR.
        q3: Third quartile, upper end of the IQR.
        low: Lower end of the 95 % confidence interval of the mean (BCa bootstrap over cases); NaN
            for one case.
        high: Upper end of this interval; NaN for one case.
    """

    n: int
    mean: float
    std: float
    median: float
    q1: float
    q3: float
    low: float
    high: float


def describe(rows: Sequence[Sequence[float] | NDArray[np.float64]], seed: int) -> list[Statistics]:
    """Describe metrics of the same cases.

    Metrics that are defined in the same cases share the resamples of the bootstrap.

    Args:
        rows: Values `(M, n)`, a row for each metric, a value for each case, NaN if undefined.
        seed: Seed of the bootstrap.
    """
    values = np.asarray(rows, dtype=np.float64)
    known = np.isfinite(values)
    low, high = np.full(len(values), np.nan), np.full(len(values), np.nan)
    patterns, pattern_of_row = np.unique(known, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        alike = pattern_of_row == number
        low[alike], high[alike] = _mean_intervals(values[np.ix_(alike, pattern)], seed)
    return [
        _statistics(row[defined], float(row_low), float(row_high))
        for row, defined, row_low, row_high in zip(values, known, low, high, strict=True)
    ]


def mean_interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Compute the 95 % BCa bootstrap interval of a mean; NaN for fewer than two values."""
    low, high = _mean_intervals(values[None], seed)
    return float(low[0]), float(high[0])


def _statistics(values: NDArray[np.float64], low: float, high: float) -> Statistics:
    if not values.size:
        return Statistics(0, *[math.nan] * 7)
    q1, median, q3 = np.percentile(values, [25, 50, 75]).tolist()
    std = float(values.std(ddof=1)) if values.size > 1 else math.nan
    return Statistics(values.size, fmean(values), std, median, q1, q3, low, high)


def _mean_intervals(
    rows: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the ends of the BCa intervals of the means of rows, `(M, n)` to twice `(M,)`.

    Draws and ends equal those of `scipy.stats.bootstrap`, as a test checks. That module is not used
    because importing it takes as long as reading and scoring hundreds of masks.

    References:
        Efron, "Better bootstrap confidence intervals", JASA 82, 1987.
    """
    n = rows.shape[1]
    if n < 2:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    low, high = rows.mean(axis=1), rows.mean(axis=1)
    resampled = _resampled_means(rows, seed)
    for number in np.flatnonzero(np.ptp(rows, axis=1) > 0):  # constant rows need no correction
        shares = _bca_shares(rows[number], resampled[number])
        low[number], high[number] = np.quantile(resampled[number], shares)
    return low, high


def _resampled_means(rows: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Average the rows over cases drawn with replacement, the same for all rows, `(M, B)`."""
    n = rows.shape[1]
    rng = np.random.default_rng(seed)
    size = max(1, BATCH_VALUES // n)
    means = []
    for start in range(0, RESAMPLES, size):
        count = min(size, RESAMPLES - start)
        drawn = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
        means.append(rows @ times.T / n)
    return np.concatenate(means, axis=1)


def _bca_shares(values: NDArray[np.float64], means: NDArray[np.float64]) -> tuple[float, float]:
    """Return the quantiles of the resampled means at the ends: bias-corrected and accelerated."""
    normal = NormalDist()
    mean = values.mean()
    deviations = values - mean
    equal = np.isclose(means, mean, rtol=0, atol=ROUNDING)  # a tie counts half
    bias = normal.inv_cdf(float(((means < mean) & ~equal).mean() + equal.mean() / 2))
    acceleration = (deviations**3).sum() / (deviations**2).sum() ** 1.5 / 6

    def share(tail: float) -> float:
        moved = bias + normal.inv_cdf(tail)
        return normal.cdf(bias + moved / (1 - acceleration * moved))

    return share((1 - CONFIDENCE) / 2), share((1 + CONFIDENCE) / 2)
