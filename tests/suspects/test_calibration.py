"""One temperature makes networks that are more or less sure of the same thing comparable."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.suspects import plain_classes, score
from anl_seg.suspects.calibration import CASES, sample, spread, temperature
from anl_seg.suspects.cases import Case
from anl_seg.suspects.evidence import logit, tempered


def sharpened(probabilities, factor):
    """Probabilities of the same order from a network that is `factor` times as sure."""
    foreground = tempered(probabilities[1], 1 / factor)
    return np.stack([1 - foreground, foreground])


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_the_temperature_of_drawn_masks_is_found(true):
    random = np.random.default_rng(0)
    odds = random.normal(0, 3, (64, 64)).astype(np.float32)
    given = (random.random((64, 64)) < 1 / (1 + np.exp(-odds / true))).astype(np.uint8)
    foreground = (1 / (1 + np.exp(-odds))).astype(np.float32)
    case = Case(given, np.stack([1 - foreground, foreground]), given, (1.0, 1.0), "px")
    assert temperature([sample(case, plain_classes(2))]) == pytest.approx(true, rel=0.1)


def test_tempered_log_odds_are_divided():
    probability = np.linspace(0.01, 0.99, 9, dtype=np.float32)
    assert np.allclose(logit(tempered(probability, 3.0)), logit(probability) / 3, atol=1e-4)


def test_scores_do_not_depend_on_how_sure_the_network_is(cases):
    masks = [each[0] for each in cases.values()]
    probabilities = [each[1] for each in cases.values()]
    scores, again = (
        score(each, masks) for each in (probabilities, [sharpened(p, 1.5) for p in probabilities])
    )
    assert np.allclose(scores, again, atol=0.05)


def test_cases_are_spread_over_the_data_set():
    for count in (1, CASES, 5 * CASES + 3):
        chosen = spread(range(count))
        assert 0 < len(chosen) <= CASES
        assert chosen[-1] >= 0.9 * (count - 1)


def test_masks_have_no_temperature():
    mask = np.eye(8, dtype=np.uint8)
    case = Case(mask, np.stack([1 - mask, mask]).astype(np.float32), mask, (1.0, 1.0), "px")
    assert temperature([sample(case, plain_classes(2))]) == temperature([]) == 1
