"""The number of wrong masks: close where it can be known, and refused where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.suspects import plain_classes
from anl_seg.suspects.cases import Case, judge
from anl_seg.suspects.estimate import MIN_AGREEMENT, estimate_wrong
from anl_seg.suspects.ranking import Ranking, rank


def odds(wrong, cases, distance, seed=0):
    """Log likelihood ratios of right and wrong masks, of two normal distributions."""
    is_wrong = np.arange(cases) < wrong
    drawn = np.random.default_rng(seed).normal(np.where(is_wrong, distance / 2, -distance / 2))
    return distance * drawn


@pytest.mark.parametrize("wrong", [0, 30, 150, 280])
def test_the_interval_holds_the_number(wrong):
    found = estimate_wrong(odds(wrong, 300, 3.0), agreement=0.8, soft=True)
    assert found.low <= wrong <= found.high
    assert abs(found.wrong - wrong) < 20
    assert f"About {found.wrong:.0f} of 300 masks" in found.in_words


def test_it_says_when_it_cannot_tell():
    values = odds(50, 100, 3.0)
    for reason, found in {
        "too few": estimate_wrong(values[:10], 0.8, soft=True),
        "give probabilities": estimate_wrong(values, 0.8, soft=False),
        "median Dice 0.31": estimate_wrong(values, 0.31, soft=True),
        "2 classes": estimate_wrong(values, 0.8, soft=True, classes=2),
        "overlap too much": estimate_wrong(values * 0.05, 0.8, soft=True),
    }.items():
        assert np.isnan(found.wrong)
        assert reason in found.in_words


def test_a_ranking_of_several_classes_has_no_estimate(cases):
    for classes in (plain_classes(2), plain_classes(3)):
        judged = []
        for name, (given, soft, _) in cases.items():
            absent = np.zeros((classes.channels - 2, *given.shape), np.float32)
            probabilities = np.concatenate([soft, absent]).astype(np.float32)
            case = Case(given, probabilities, classes.predicted(probabilities), (1.0, 1.0), "px")
            judged.append(judge(case, classes, name))
        reason = rank(judged, classes).estimate.reason
        assert ("2 classes" in reason) == (len(classes.names) == 2)


def test_warning_and_estimate_share_one_threshold():
    values = odds(50, 100, 3.0)
    for agreement in (MIN_AGREEMENT, MIN_AGREEMENT - 0.001, np.nan):
        estimate = estimate_wrong(values, agreement, soft=True)
        warning = Ranking([], {}, estimate, agreement).warning
        assert bool(warning) == ("agrees too little" in estimate.reason)
        assert bool(warning) == (agreement < MIN_AGREEMENT)
        assert "median Dice 0.5" not in warning + estimate.reason, "rounded to the threshold"


def test_one_difficult_class_of_several_is_no_warning():
    given = np.zeros((24, 24), np.uint8)
    given[2:10, 2:10], given[2:10, 14:22], given[14:22, 2:10] = 1, 2, 3
    predicted = given.copy()
    predicted[given == 3] = 0
    predicted[14:22, 14:22] = 3
    softmax = np.stack([predicted == label for label in range(4)]).astype(np.float32)
    case = Case(given, softmax, predicted, (1.0, 1.0), "px")
    ranking = rank([judge(case, plain_classes(4), "a")], plain_classes(4))
    assert ranking.suspects[0].dice == 0
    assert ranking.agreement == pytest.approx(2 / 3)
    assert not ranking.warning
