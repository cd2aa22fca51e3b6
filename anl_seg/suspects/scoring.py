"""The score: evidence of one case and class, and of its peers, as the log-odds of a wrong mask.

A small network turns twelve features without units into log-odds. Its weights are monotone, except
for two features: how sure the network is of itself, and how unevenly the outlines differ. They
were trained on one half of the cases of the study in benchmarks/suspects.md (every second case by
name). The tables there are of the other half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from anl_seg.formats.dataset_json import Label
from anl_seg.suspects.calibration import sample, spread, temperature
from anl_seg.suspects.cases import Case, judge
from anl_seg.suspects.classes import Classes, plain_classes
from anl_seg.suspects.evidence import Evidence

Values = NDArray[np.float64]

#: Smallest number of cases of a class that can be compared with each other.
MIN_PEERS = 10
#: Differences of the tenth of cases that agrees best in the study, for a class with fewer cases.
USUAL = {
    "difference": -2.53,
    "best_difference": -2.82,
    "aligned_difference": -2.57,
    "offset": -2.81,
    "outliers": -2.44,
    "unevenness": -2.46,
    "reach": -1.83,
    "shift": -2.71,
    "thickness": -2.36,
}
#: Roughness counts within these bounds, so that a very smooth outline hides no other fault.
ROUGHNESS = (-0.1, 1.0)
#: Lengths count up to this many radii.
FARTHEST = 1.0
#: Features whose weights may have either sign: how sure the network is of itself, and how unevenly
#: the given outline runs around the predicted one.
FREE = ("unsure", "unevenness")
#: The network that makes log-odds of the features, learned by benchmarks/suspects.py.
WEIGHTS = "weights.json"


@dataclass(frozen=True)
class Weights:
    """A network with one layer of sigmoid units.

    Attributes:
        features: Names of the features.
        centres: Mean of each feature, `(features,)`.
        scales: Standard deviation of each feature, `(features,)`.
        slopes: Weight of each feature in each unit, `(units, features)`; at least 0 unless the
            feature is in `FREE`.
        biases: Bias of each unit, `(units,)`.
        heights: Weight of each unit, `(units,)`; at least 0.
        intercept: Log-odds if all units are 0.
    """

    features: Sequence[str]
    centres: Values
    scales: Values
    slopes: Values
    biases: Values
    heights: Values
    intercept: float

    @classmethod
    def parsed(cls, text: str) -> Weights:
        """Read weights from the text of a JSON file."""
        content = json.loads(text)
        names, intercept = content.pop("features"), content.pop("intercept")
        return cls(names, intercept=intercept, **{k: np.array(v) for k, v in content.items()})

    def log_odds(self, table: Mapping[str, Values]) -> Values:
        """Compute the log-odds of a wrong mask, `(cases,)`, from the table of `features`."""
        columns = np.stack([table[name] for name in self.features], axis=1)
        standard = (columns - self.centres) / self.scales
        return np.asarray(expit(standard @ self.slopes.T + self.biases) @ self.heights) + (
            self.intercept
        )


@cache
def weights() -> Weights:
    """Read the weights that come with the package."""
    return Weights.parsed((files("anl_seg.suspects") / WEIGHTS).read_text(encoding="utf-8"))


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
    heat = temperature(sample(case, known) for case in spread(cases))
    found = [judge(case, known, temperature=heat).evidence for case in cases]
    return as_scores([max(each.values(), default=-np.inf) for each in log_odds(found)])


def as_scores(odds: ArrayLike) -> Values:
    """Turn log-odds into scores from 0 to 1."""
    return np.asarray(expit(np.asarray(odds, dtype=np.float64)))


def log_odds(cases: Sequence[Mapping[Label, Evidence]]) -> list[dict[Label, float]]:
    """Compute the log-odds of a wrong mask, for each case and class.

    A positive value says that the evidence is more likely for a wrong mask than for a right one.

    Args:
        cases: For each case the evidence of its classes.
    """
    found: list[dict[Label, float]] = [{} for _ in cases]
    for label in {label for case in cases for label in case}:
        places = [place for place, case in enumerate(cases) if label in case]
        values = weights().log_odds(features([cases[place][label] for place in places]))
        for place, value in zip(places, values, strict=True):
            found[place][label] = float(value)
    return found


def features(peers: Sequence[Evidence]) -> dict[str, Values]:
    """Compute the features of the cases of one class: name -> `(cases,)`.

    Differences are compared with those of the tenth of cases that agrees best: even right masks
    differ from a prediction, and those of lesions more than those of livers. The median distance
    and the roughness are compared with their median: a network that was trained on biased masks
    predicts with their bias, and its outlines are smoother than those of any mask. No feature keeps
    the direction of a difference, so masks that are too large and too small are treated alike.

    Args:
        peers: Evidence of the class in each case.
    """

    def column(name: str) -> Values:
        return np.array([getattr(each, name) for each in peers], dtype=np.float64)

    def above_median(name: str) -> Values:
        values = column(name)
        return values - np.median(values) if len(peers) >= MIN_PEERS else values

    dice = {
        "difference": "dice",
        "best_difference": "best_dice",
        "aligned_difference": "aligned_dice",
    }
    lengths = {
        "offset": np.abs(above_median("median")),
        "outliers": column("spread_given"),
        "unevenness": column("spread_predicted"),
        "reach": column("reach"),
        "shift": column("shift"),
        "thickness": column("thickness"),
    }
    differences = {name: _log(1 - column(of), 0.03) for name, of in dice.items()}
    differences |= {
        name: _log(np.minimum(values, FARTHEST), 0.05) for name, values in lengths.items()
    }
    return {
        **{name: values - _usual(name, values) for name, values in differences.items()},
        "unsure": _log(1 - column("own_dice"), 0.03),
        "roughness": np.clip(above_median("roughness"), *ROUGHNESS),
        "apart": _log(np.maximum(column("extra"), column("missing")), 0.03),
    }


def _usual(name: str, values: Values) -> float:
    """Return the value of a feature that a tenth of the cases stays below."""
    return float(np.quantile(values, 0.1)) if len(values) >= MIN_PEERS else USUAL[name]


def _log(values: Values, start: float) -> Values:
    """Compute the logarithm of values from 0 on, finite at 0."""
    return np.asarray(np.log(np.maximum(values, 0) + start))
