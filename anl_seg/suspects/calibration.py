"""One temperature for the probabilities of a data set, so that all networks are equally sure.

A network trained with ANL-CE is far surer of itself than one trained with cross entropy. Its
probabilities become comparable if their log-odds are divided by the temperature that explains the
given masks best: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
https://arxiv.org/abs/1706.04599. The cases were held out, so their masks were not trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from anl_seg.formats.masks import pixels_of
from anl_seg.suspects.cases import Case, is_soft
from anl_seg.suspects.classes import Classes
from anl_seg.suspects.evidence import logit

Item = TypeVar("Item")

#: Largest number of cases used to find the temperature.
CASES = 100
#: Largest number of pixels of each class of a case.
PIXELS = 10_000
#: Bounds of the temperature's logarithm.
LOG_BOUNDS = (-2.0, 3.0)


def spread(items: Sequence[Item]) -> Sequence[Item]:
    """Choose at most `CASES` of many items, spread evenly over all of them."""
    return items[:: 1 + len(items) // CASES]


def sample(case: Case, classes: Classes) -> NDArray[np.float32]:
    """Return log-odds of what is given, for some pixels of each class: `(pixels,)`.

    Positive values belong to pixels in which the network agrees with the mask. There are none if
    the prediction is a mask.
    """
    if not is_soft(case):
        return np.empty(0, dtype=np.float32)
    judged = np.ones(case.labels.shape, dtype=bool)
    if classes.ignore_label is not None:
        judged = case.labels != classes.ignore_label
    found = []
    for place, label in enumerate(classes.names):
        odds = logit(classes.channel(case.probabilities, place))[judged]
        signed = np.where(pixels_of(case.labels, label)[judged], odds, -odds)
        found.append(signed[:: 1 + signed.size // PIXELS])
    return np.concatenate(found)


def temperature(samples: Iterable[NDArray[np.float32]]) -> float:
    """Find the temperature with the highest likelihood of the given masks; 1 without samples.

    Args:
        samples: The values of `sample` for some cases.
    """
    signed = np.concatenate([*samples, np.empty(0)]).astype(np.float64)
    if not signed.size:
        return 1.0

    def cost(logarithm: float) -> float:
        return float(np.logaddexp(0, -signed * np.exp(-logarithm)).mean())

    return float(np.exp(minimize_scalar(cost, bounds=LOG_BOUNDS, method="bounded").x))
