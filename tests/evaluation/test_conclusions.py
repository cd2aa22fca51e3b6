"""Comparisons in words: conclusions, disagreement of interval and test, warnings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anl_seg.evaluation import Conventions, Evaluation, LabelSet
from anl_seg.evaluation.compare import Method, compare
from anl_seg.evaluation.conclusions import conclude, display_unit
from anl_seg.evaluation.folders import CaseResult


def method(name, *trainings, metric="Dice"):
    """A method with a value for each case of each training."""
    return Method(
        name,
        tuple(
            Evaluation(
                tuple(
                    CaseResult(
                        f"c{place:02}", Path("p"), Path("r"), counts={}, values={1: {metric: value}}
                    )
                    for place, value in enumerate(values)
                ),
                LabelSet({1: "lesion"}, None, "as given"),
                Conventions(surfaces=metric == "HD95", unit="mm"),
            )
            for values in trainings
        ),
    )


def values(shift=0.0, spread=0.01, count=20, seed=0):
    rng = np.random.default_rng(seed)
    return (0.7 + shift + rng.normal(0, spread, count)).tolist()


def test_a_clear_difference_is_better_or_worse():
    base, high = method("base", values()), method("new", values(0.1, seed=1))
    better = conclude(compare([base, high])).sentence
    assert better.startswith("new is better than base on these cases (mean difference 1")
    assert "percentage points of Dice, 95 % CI" in better
    assert "p < 0.001, 20 cases" in better
    assert conclude(compare([high, base])).sentence.startswith("base is worse than new")


def test_shorter_lengths_are_better():
    base = method("base", values(metric_shift := 1.0), metric="HD95")
    low = method("new", values(metric_shift - 0.5, seed=1), metric="HD95")
    comparison = compare([base, low], "HD95")
    assert display_unit(comparison).title == "HD95 (mm)"
    assert conclude(comparison).sentence.startswith("new is better than base")
    assert " mm of HD95" in conclude(comparison).sentence


def test_no_evidence():
    conclusion = conclude(compare([method("a", values()), method("b", values(seed=1))]))
    assert conclusion.sentence.startswith("There is no evidence that b and a differ")
    assert conclusion.remarks == ()


def test_few_large_differences_move_the_mean_only():
    """Most cases get a little worse, some much better: the mean rises, the ranks fall."""
    base = np.full(30, 0.5)
    new = base + np.where(np.arange(30) < 6, 0.3, -0.001 * (1 + np.arange(30) / 30))
    conclusion = conclude(compare([method("a", base.tolist()), method("b", new.tolist())]))
    row = compare([method("a", base.tolist()), method("b", new.tolist())]).differences[0]
    assert row.interval[0] > 0
    assert row.p > 0.05
    assert conclusion.sentence.startswith("It is unclear whether b and a differ")
    assert "few cases with large differences can shift" in conclusion.remarks[0]


def test_too_few_cases_for_the_test():
    base, new = [0.5, 0.6, 0.55, 0.52], [0.6, 0.71, 0.66, 0.6]
    conclusion = conclude(compare([method("a", base), method("b", new)]))
    assert "With 4 cases no signed-rank test can give p < 0.05" in conclusion.remarks[0]


def test_holm_is_named_if_it_makes_the_difference():
    base = values()
    steps = np.where(np.arange(20) % 5, 1, -1) * (0.01 + 0.0001 * np.arange(20))
    new = (np.array(base) + steps).tolist()
    others = [method(f"o{n}", values(seed=n + 5)) for n in range(9)]
    comparison = compare([method("base", base), method("new", new), *others])
    row = comparison.differences[0]
    assert row.p < 0.05 < row.p_holm
    assert row.interval[0] > 0
    assert "Holm's correction raises it" in conclude(comparison).remarks[0]


def test_trained_networks_differ_but_new_trainings_may_not():
    """One of two seeds is much better: over seeds the interval is wide, over cases narrow."""
    base = [values(seed=1), values(seed=2)]
    new = [values(0.0, seed=3), values(0.1, seed=4)]
    comparison = compare([method("a", *base), method("b", *new)])
    row = comparison.differences[0]
    assert row.interval[0] > 0 >= row.group_interval[0]
    conclusion = conclude(comparison)
    assert conclusion.sentence.startswith("It is unclear")
    assert "variation between trainings" in conclusion.remarks[0]
    assert conclusion.remarks[1].startswith("Spread over trainings, Dice (%) of each: a ")
    assert conclusion.warnings == ()


@pytest.mark.parametrize(
    ("second", "words"),
    [([values(seed=1)], "each method has a single"), ([values(), values()], "a has a single")],
)
def test_a_single_training_is_a_warning(second, words):
    (warning,) = conclude(compare([method("a", values()), method("b", *second)])).warnings
    assert warning.startswith(words)
    assert "differences between seeds are unknown" in warning


def test_nothing_defined():
    nan = float("nan")
    conclusion = conclude(compare([method("a", [nan, nan]), method("b", [nan, nan])]))
    assert "no case has Dice for both" in conclusion.sentence
