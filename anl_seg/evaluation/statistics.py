"""Statistics of a metric over cases: mean, spread, and a bootstrap interval of the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 9999
#: Values that the bootstrap draws at once, 8 MiB of them.
BATCH_VALUES = 2**20


@dataclass(frozen=True)
class Statistics:
    """One metric over the cases where it is defined; all but `n` are NaN where there is none.

    Attributes:
        n: Cases where the metric is defined.
        mean: Mean over these cases.
        std: Their standard deviation (n - 1); NaN for one case.
        median: Their median.
        q1: Their first quartile (linear interpolation); the IQR reaches from here
        q3: to the third.
        low: 95 % confidence interval of the mean, lower end: BCa bootstrap over cases.
        high: Its upper end. Both are NaN for one case.
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

    Metrics that are defined in the same cases are bootstrapped together, from the same resamples.

    Args:
        rows: A row for each metric, a value for each case, NaN where it is undefined, `(M, n)`.
        seed: Of the bootstrap.
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
    """95 % confidence interval of a mean by the BCa bootstrap; NaN for fewer than two values.

    References:
        Efron, "Better bootstrap confidence intervals", JASA 82, 1987.
    """
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
    """Ends of the BCa intervals of the means of rows, `(M, n)` to twice `(M,)`."""
    if rows.shape[1] < 2:
        return np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    low, high = rows.mean(axis=1), rows.mean(axis=1)
    differing = np.ptp(rows, axis=1) > 0  # of equal values there is nothing to draw
    if differing.any():
        from scipy.stats import bootstrap  # takes a second to load

        interval = bootstrap(
            (rows[differing],),
            np.mean,
            axis=1,
            n_resamples=RESAMPLES,
            batch=max(1, BATCH_VALUES // rows[differing].size),
            confidence_level=CONFIDENCE,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low[differing], high[differing] = interval.low, interval.high
    return low, high
