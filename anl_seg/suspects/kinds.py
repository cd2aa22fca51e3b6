"""Guess what is wrong with a mask from how it differs from the prediction."""

from __future__ import annotations

from anl_seg.suspects.evidence import Evidence

#: Kind -> what it means, in the order in which reports list them.
KINDS = {
    "too small": "the mask lies inside the predicted one all around",
    "too large": "the mask lies outside the predicted one all around",
    "displaced": "the mask lies beside the predicted one, with a similar size",
    "part missing": "the prediction has a part that the mask lacks",
    "extra part": "the mask has a part that the prediction lacks",
    "another class": "the prediction gives the same pixels to another class",
    "other outline": "the outline differs in both directions, without a shift",
}
#: Both directions of difference are taken to balance up to this part of their sum.
BALANCE = 0.6
#: A difference lies all around if the median distance of the contours is at least this part of
#: their largest.
ALL_AROUND = 0.35
#: A mask that lies more radii away is not displaced.
FAR = 3.0
#: A shift of the centres explains a difference from this part of the largest distance on.
SHIFT = 0.4


def guess_kind(evidence: Evidence) -> str:
    """Name the kind of error that explains a difference best: a key of `KINDS`.

    Args:
        evidence: Evidence of one case and class, from `measure`.

    Returns:
        A key of `KINDS`.

    Examples:
        >>> import numpy as np
        >>> from anl_seg.suspects.evidence import measure
        >>> distance = np.hypot(*np.mgrid[-16:16, -16:16])
        >>> probability = (1 / (1 + np.exp(distance - 10))).astype(np.float32)
        >>> guess_kind(measure(probability, distance < 6, distance < 10, (1.0, 1.0)))
        'too small'
    """
    lost, gained = evidence.lost, evidence.gained
    balance = (gained - lost) / max(gained + lost, 1e-9)
    if evidence.other > 0.5 and (abs(balance) >= BALANCE or evidence.shift > FAR):
        return "another class"
    all_around = abs(evidence.median) >= ALL_AROUND * evidence.reach
    if balance <= -BALANCE:
        apart = evidence.missing * evidence.predicted > 0.5 * lost * _union(evidence)
        return "too small" if all_around and not apart else "part missing"
    if balance >= BALANCE:
        apart = evidence.extra * evidence.given > 0.5 * gained * _union(evidence)
        return "too large" if all_around and not apart else "extra part"
    return "displaced" if evidence.shift >= SHIFT * evidence.reach else "other outline"


def _union(evidence: Evidence) -> float:
    """Return the number of pixels in either mask."""
    return (evidence.given + evidence.predicted) / (2 - evidence.lost - evidence.gained)
