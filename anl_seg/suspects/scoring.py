"""The score: evidence of one case and class, and of its peers, as the log-odds of a wrong mask.

The score is a logistic regression on features without units. Its weights were learned on one half
of the cases of the study in benchmarks/suspects.md (every second case by name); the tables there
are of the other half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anl_seg.formats.dataset_json import Label
from anl_seg.suspects.calibration import sample, spread, temperature
from anl_seg.suspects.cases import Case, is_soft, judge
from anl_seg.suspects.classes import Classes, plain_classes
from anl_seg.suspects.evidence import Evidence

Values = NDArray[np.float64]

#: A class needs so many cases before the network's own bias can be told from their errors.
MIN_PEERS = 10
#: Lengths count up to this many radii.
FARTHEST = 1.0
#: Features whose weights may not be negative: a mask that lies farther away, or in other parts, is
#: not less suspicious.
SUSPICIOUS = ("offset", "spread", "shift", "apart")
#: Feature of `features` -> its weight.
WEIGHTS = {
    "offset": 5.743,
    "spread": 11.413,
    "shift": 3.997,
    "log_offset": -6.493,
    "log_spread": -5.897,
    "log_shift": -1.077,
    "log_dice_gap": 0.035,
    "log_band_gap": -0.095,
    "apart": 0.000,
    "dice_gap": 3.411,
    "band_gap": -4.704,
    "own_dice": 1.369,
    "own_band": 0.702,
    "dice_ratio": 3.817,
    "band_ratio": 2.040,
    "log_best_dice": 0.808,
    "band_gap_if_sure": 4.198,
    "dice_gap_if_sure": 3.090,
    "offset_if_sure": 0.043,
    "offset_and_spread": -3.039,
    "spread_and_gap": 0.573,
}
INTERCEPT = -18.985


def score(
    probabilities: Sequence[NDArray[np.floating]],
    labels: Sequence[NDArray[np.integer]],
    spacing: Sequence[float] | None = None,
    *,
    classes: Classes | None = None,
) -> Values:
    """Score how likely each given mask is wrong.

    The probabilities must come from a network that did not train on the case, such as nnU-Net's
    cross-validation. Cases are compared with each other, so give the whole data set.

    Args:
        probabilities: For each case the softmax `(K, *S)`; S may differ between cases.
        labels: For each case the given label map `(*S)` with the classes 0 to K - 1.
        spacing: Size of a pixel along each axis, for all cases (default: 1).
        classes: Names, regions and ignore label (default: the classes 1 to K - 1).

    Returns:
        Scores from 0 to 1, `(cases,)`; higher if the mask is more likely wrong.

    Raises:
        ValueError: If the numbers of cases or the shapes differ.

    Example:
        >>> import numpy as np
        >>> disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
        >>> probability = np.clip((10 - np.hypot(*np.mgrid[-16:16, -16:16])) / 2, 0.02, 0.98)
        >>> softmax = np.stack([1 - probability, probability])
        >>> masks = [disc, np.roll(disc, 6, axis=1)]
        >>> right, wrong = score([softmax, softmax], masks)
        >>> bool(wrong > right)
        True
    """
    if len(probabilities) != len(labels):
        raise ValueError(f"{len(probabilities)} probabilities and {len(labels)} labels; give pairs")
    cases = []
    for place, (softmax, given) in enumerate(zip(probabilities, labels, strict=True)):
        known = classes or plain_classes(len(softmax))
        if softmax.shape != (known.channels, *given.shape):
            raise ValueError(
                f"probabilities of case {place} must be {(known.channels, *given.shape)} for "
                f"labels {given.shape}, got {softmax.shape}"
            )
        floats = np.asarray(softmax, dtype=np.float32)
        steps = tuple(spacing) if spacing is not None else (1.0,) * given.ndim
        cases.append(Case(np.asarray(given), floats, known.predicted(floats), steps, "px"))
    known = classes or plain_classes(max(len(each) for each in probabilities))
    chosen = [case for case in spread(cases) if is_soft(case)]
    heat = temperature(sample(case, known) for case in chosen) if chosen else 1.0
    found = [judge(case, known, temperature=heat).evidence for case in cases]
    return as_scores([max(each.values(), default=-np.inf) for each in log_odds(found)])


def as_scores(odds: ArrayLike) -> Values:
    """Turn log-odds into scores from 0 to 1."""
    return 1 / (1 + np.exp(-np.asarray(odds, dtype=np.float64)))


def log_odds(cases: Sequence[Mapping[Label, Evidence]]) -> list[dict[Label, float]]:
    """Log-odds of a wrong mask, for each case and class.

    A positive value says that the evidence is more likely for a wrong mask than for a right one.

    Args:
        cases: For each case the evidence of its classes.
    """
    found: list[dict[Label, float]] = [{} for _ in cases]
    for label in {label for case in cases for label in case}:
        places = [place for place, case in enumerate(cases) if label in case]
        values = _log_odds([cases[place][label] for place in places])
        for place, value in zip(places, values, strict=True):
            found[place][label] = float(value)
    return found


def _log_odds(peers: Sequence[Evidence]) -> Values:
    """Log-odds of the cases of one class, `(cases,)`."""
    columns = features(peers)
    weighted = (weight * columns[name] for name, weight in WEIGHTS.items())
    return np.asarray(np.sum(list(weighted), axis=0) + INTERCEPT)


def features(peers: Sequence[Evidence]) -> dict[str, Values]:
    """Features of the cases of one class: name -> `(cases,)`.

    Each feature compares a case with the agreement that the network expects of a right mask, or is
    a difference of outlines. The median of the signed offsets is taken from all of them: a network
    that was trained on biased masks predicts with their bias. Too large and too small masks differ
    in the sign of the offset only, which no feature keeps.
    """

    def column(name: str) -> Values:
        return np.array([getattr(each, name) for each in peers], dtype=np.float64)

    offset = column("offset")
    if len(peers) >= MIN_PEERS:
        offset = offset - np.median(offset)
    lengths = {
        "offset": np.minimum(np.abs(offset), FARTHEST),
        "spread": np.minimum(column("spread"), FARTHEST),
        "shift": np.minimum(column("shift"), FARTHEST),
    }
    own_dice, own_band = column("own_dice"), column("own_band")
    dice_gap = np.maximum(own_dice - column("soft_dice"), -0.1)
    band_gap = np.maximum(own_band - column("band"), 0)
    logs = {f"log_{name}": _log(values, 0.05) for name, values in lengths.items()}
    logs |= {"log_dice_gap": _log(dice_gap, 0.03), "log_band_gap": _log(band_gap, 0.03)}
    return {
        **lengths,
        **logs,
        "apart": np.maximum(column("extra"), column("missing")),
        "dice_gap": dice_gap,
        "band_gap": band_gap,
        "own_dice": own_dice,
        "own_band": own_band,
        "dice_ratio": _log(1 - column("soft_dice"), 0.02) - _log(1 - own_dice, 0.02),
        "band_ratio": _log(-column("band"), 0.02) - _log(-own_band, 0.1),
        "log_best_dice": _log(1 - column("best_dice"), 0.05),
        "band_gap_if_sure": logs["log_band_gap"] * own_dice,
        "dice_gap_if_sure": logs["log_dice_gap"] * own_band,
        "offset_if_sure": logs["log_offset"] * own_dice,
        "offset_and_spread": logs["log_offset"] * logs["log_spread"],
        "spread_and_gap": logs["log_spread"] * logs["log_dice_gap"],
    }


def _log(values: Values, start: float) -> Values:
    """Logarithm of values from 0 on, finite at 0."""
    return np.asarray(np.log(np.maximum(values, 0) + start))
