"""How many masks of a data set are probably wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Fewer cases say nothing about a whole data set.
MIN_CASES = 20
#: A network that agrees less with the masks than this (median Dice) judges nothing.
MIN_AGREEMENT = 0.5
#: An interval wider than this part of the data set says nothing.
MAX_WIDTH = 0.5
#: Half a 95 % interval of a likelihood with one parameter, in log-likelihood.
DROP = 1.92
#: Largest common error of the scores of a data set, in log-odds. Their weights were learned on
#: other data. From the study in benchmarks/suspects.md.
OFFSET = 1.0
SHARES = np.linspace(0, 1, 1001)


@dataclass(frozen=True)
class Estimate:
    """How many masks are probably wrong.

    Attributes:
        cases: Number of judged cases.
        wrong: The estimate, NaN if `reason` says why there is none.
        low: Lower end of the 95 % interval.
        high: Upper end of the interval.
        reason: Why the number cannot be estimated, or "".
    """

    cases: int
    wrong: float
    low: float
    high: float
    reason: str = ""

    @property
    def in_words(self) -> str:
        """One sentence for a report."""
        if self.reason:
            return f"The number of wrong masks of {self.cases} cannot be estimated: {self.reason}."
        return (
            f"About {self.wrong:.0f} of {self.cases} masks are probably wrong "
            f"(95 % interval {self.low:.0f} to {self.high:.0f})."
        )


def estimate_wrong(
    log_odds: NDArray[np.float64], agreement: float, soft: bool, classes: int = 1
) -> Estimate:
    """Estimate the number of wrong masks by maximum likelihood.

    With the likelihood ratio r of each case, the share s of wrong masks has the likelihood
    prod(s r + 1 - s). The interval holds all shares whose log-likelihood is at most 1.92 below the
    maximum, for ratios as they are and for all of them larger or smaller by `OFFSET`.

    Args:
        log_odds: Logarithm of the likelihood ratio of each case, `(cases,)`.
        agreement: Median Dice of given and predicted masks.
        soft: Whether the predictions are probabilities, not masks.
        classes: Number of judged classes. With several, the score of a case is their maximum, which
            is no likelihood ratio.
    """
    count = len(log_odds)
    reason = _reason_against(count, agreement, soft, classes)
    if reason:
        return Estimate(count, np.nan, np.nan, np.nan, reason)
    best, *_ = _interval(log_odds)
    ends = [_interval(log_odds + offset)[1:] for offset in (-OFFSET, OFFSET)]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if high - low > MAX_WIDTH:
        reason = (
            f"the scores of right and wrong masks overlap too much ({100 * low:.0f} to "
            f"{100 * high:.0f} % fit them)"
        )
        return Estimate(count, np.nan, np.nan, np.nan, reason)
    return Estimate(count, count * best, count * low, count * high)


def disagreement(agreement: float) -> str:
    """Say that a network with this median Dice agrees too little; return "" if it agrees enough."""
    if agreement < MIN_AGREEMENT:
        return (
            f"the network agrees too little with the given masks (median Dice {agreement:.3f}, "
            f"expected at least {MIN_AGREEMENT})"
        )
    return ""


def _reason_against(count: int, agreement: float, soft: bool, classes: int) -> str:
    if classes > 1:
        return f"the masks have {classes} classes, and the estimate is for one class only"
    if count < MIN_CASES:
        return f"{count} cases are too few, at least {MIN_CASES} are needed"
    if not soft:
        return "the predictions are masks; give probabilities"
    if found := disagreement(agreement):
        return f"{found}; train it longer"
    return ""


def _interval(log_odds: NDArray[np.float64]) -> tuple[float, float, float]:
    """Find the most likely share of wrong masks, and the ends of its interval."""
    ratios = np.exp(np.clip(log_odds, -30, 30))
    likelihood = np.log(np.maximum(np.outer(SHARES, ratios - 1) + 1, 1e-300)).sum(1)
    inside = SHARES[likelihood >= likelihood.max() - DROP]
    return float(SHARES[likelihood.argmax()]), float(inside.min()), float(inside.max())
