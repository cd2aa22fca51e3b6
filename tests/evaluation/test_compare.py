"""Comparison of methods: pairs, groups, wins, and everything that cannot be compared."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from anl_seg.errors import InputError
from anl_seg.evaluation import CaseResult, Conventions, Evaluation, LabelSet
from anl_seg.evaluation.compare import (
    Method,
    advantage,
    compare,
    evaluate_methods,
    group_folders,
    needs_surfaces,
    over_groups,
)
from anl_seg.evaluation.metrics import METRICS

NAN = math.nan
DISC = np.hypot(*np.ogrid[-8:8, -8:8]) < 5


def evaluation(values, labels=("lesion",), metric="Dice", ignore_label=None):
    """An evaluation in memory: case -> its value, or its values by class."""
    names = dict(enumerate(labels, start=1))
    cases = []
    for case, value in sorted(values.items()):
        by_class = np.atleast_1d(value)
        cases.append(
            CaseResult(
                case=case,
                prediction_file=Path("pred", f"{case}.png"),
                reference_file=Path("ref", f"{case}.png"),
                counts={},
                values={label: {metric: by_class[label - 1]} for label in names},
            )
        )
    return Evaluation(
        tuple(cases),
        LabelSet(names, ignore_label, "as given"),
        Conventions(surfaces=needs_surfaces(metric)),
    )


def run(name, *groups, **settings):
    return Method(name, tuple(evaluation(group, **settings) for group in groups))


def test_differences_are_paired_by_case():
    first = run("base", {"a": 0.5, "b": 0.6, "c": 0.9, "d": 0.2})
    other = run("new", {"d": 0.5, "c": 0.8, "b": 0.6, "a": 0.7})
    (row,) = compare([first, other]).differences
    differences = np.array([0.2, 0.0, -0.1, 0.3])
    assert (row.method, row.target, row.n, row.n_undefined) == ("new", "1 lesion", 4, 0)
    assert row.mean == pytest.approx(0.1)
    assert (row.wins, row.ties, row.losses) == (2, 1, 1)
    assert row.effect == pytest.approx((2 - 1 + 3) / 6)
    assert row.p == pytest.approx(stats.wilcoxon(differences[differences != 0]).pvalue)
    assert row.p_holm == row.p
    assert row.interval[0] < 0.1 < row.interval[1]
    assert row.group_interval is None


def test_seeds_are_averaged_before_they_are_paired():
    base = run("base", {"a": 0.4, "b": 0.6}, {"a": 0.6, "b": 0.8})
    new = run("new", {"a": 0.6, "b": 0.7}, {"a": 0.8, "b": 0.7}, {"a": 0.7, "b": 0.7})
    comparison = compare([base, new])
    (row,) = comparison.differences
    assert row.n == 2, "three trainings are no further cases"
    assert row.mean == pytest.approx((0.7 - 0.5 + 0.7 - 0.7) / 2)
    assert (row.wins, row.ties, row.losses) == (1, 1, 0)
    assert row.group_interval is not None
    mean = comparison.means["1 lesion"]["base"]
    assert mean.groups == pytest.approx((0.5, 0.7))
    assert (mean.mean, mean.std) == pytest.approx((0.6, stdev([0.5, 0.7])))


def test_folds_share_the_cases_out():
    base = run("base", {"a": 0.4, "b": 0.6}, {"c": 0.8})
    new = run("new", {"a": 0.5, "b": 0.7}, {"c": 0.9})
    comparison = compare([base, new])
    (row,) = comparison.differences
    assert row.n == 3
    assert row.mean == pytest.approx(0.1)
    assert row.group_interval == pytest.approx((0.1, 0.1))
    assert comparison.means["1 lesion"]["new"].groups == pytest.approx((0.6, 0.9))
    assert comparison.averages["1 lesion"]["base"] == pytest.approx([0.4, 0.6, 0.8])


def test_undefined_cases_are_counted_not_paired():
    (row,) = compare(
        [run("base", {"a": NAN, "b": 0.5, "c": NAN}), run("new", {"a": 0.0, "b": 0.7, "c": NAN})]
    ).differences
    assert (row.n, row.n_undefined, row.wins) == (1, 2, 1)
    assert row.mean == pytest.approx(0.2)


def test_no_case_is_defined():
    (row,) = compare([run("base", {"a": NAN}), run("new", {"a": NAN})]).differences
    assert (row.n, row.wins, row.ties, row.losses) == (0, 0, 0, 0)
    assert all(map(math.isnan, (row.mean, row.p, row.p_holm, row.effect, *row.interval)))


def test_several_classes_and_their_mean():
    labels = ("liver", "kidney")
    comparison = compare(
        [
            run("base", {"a": (0.2, 0.4), "b": (0.6, NAN)}, labels=labels),
            run("new", {"a": (0.4, 0.8), "b": (0.5, NAN)}, labels=labels),
        ]
    )
    assert comparison.targets == ["foreground", "1 liver", "2 kidney"]
    means = {row.target: row.mean for row in comparison.differences}
    assert means == pytest.approx({"foreground": 0.1, "1 liver": 0.05, "2 kidney": 0.4})


def test_holm_is_over_the_runs():
    rng = np.random.default_rng(1)
    cases = [f"c{n}" for n in range(20)]
    base = rng.random(20)
    runs = [
        run(name, dict(zip(cases, base + rng.normal(shift, 0.1, 20), strict=True)))
        for name, shift in {"base": 0, "much": 0.3, "little": 0.05, "none": 0}.items()
    ]
    rows = compare(runs).differences
    expected = stats.false_discovery_control([row.p for row in rows])  # never above Holm's
    assert all(row.p_holm >= q >= row.p for row, q in zip(rows, expected, strict=True))
    assert rows[0].p_holm == pytest.approx(3 * rows[0].p)


@pytest.mark.parametrize(
    ("metric", "base", "new", "wins"),
    [("Dice", 0.5, 0.6, 1), ("HD95", 5.0, 6.0, 0), ("RVD", -0.5, 0.3, 1), ("RVD", 0.1, -0.2, 0)],
)
def test_what_is_better(metric, base, new, wins):
    settings = {"metric": metric}
    rows = compare(
        [run("base", {"a": base}, **settings), run("new", {"a": new}, **settings)], metric
    )
    assert rows.differences[0].wins == wins
    assert rows.differences[0].losses == 1 - wins
    gained = advantage(np.array([new]), np.array([base]), METRICS[metric])
    assert (gained[0] > 0) == bool(wins)


def test_mean_over_groups_skips_what_is_missing():
    values = np.array([[0.2, NAN, NAN], [0.4, 0.6, NAN]])
    assert over_groups(values) == pytest.approx([0.3, 0.6, NAN], nan_ok=True)


def test_intervals_are_seeded():
    runs = [run("base", {"a": 0.1, "b": 0.5, "c": 0.2}), run("new", {"a": 0.3, "b": 0.4, "c": 0.9})]
    assert compare(runs, seed=3).differences == compare(runs, seed=3).differences


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([run("one", {"a": 0.5})], "expected at least two different names"),
        ([run("one", {"a": 0.5}), run("one", {"a": 0.6})], "expected at least two different"),
        (
            [run("one", {"a": 0.5, "b": 0.5}), run("two", {"a": 0.6})],
            "method two: b predicted only by it or only by one",
        ),
        (
            [run("one", {"a": 0.5, "b": 0.5}), run("two", {"a": 0.6, "b": 0.6}, {"a": 0.6})],
            "method two: b in fewer of its folders",
        ),
        (
            [run("one", {"a": 0.5}), run("two", {"a": (0.6, 0.6)}, labels=("x", "y"))],
            "method two: scored with other labels than one",
        ),
        (
            [run("one", {"a": 0.5}), run("two", {"a": 0.6}, ignore_label=2)],
            "method two: scored with other labels than one; use --labels and --ignore-label",
        ),
    ],
)
def test_what_cannot_be_compared(runs, message):
    with pytest.raises(InputError, match=message):
        compare(runs)


def test_unknown_metrics():
    with pytest.raises(InputError, match="not measured, only Dice, IoU"):
        compare([run("one", {"a": 0.5}), run("two", {"a": 0.5})], "HD95")
    with pytest.raises(InputError, match="metric 'F1': expected one of Dice, IoU"):
        needs_surfaces("F1")
    assert needs_surfaces("HD95")
    assert not needs_surfaces("IoU")


def test_names_of_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("odd=name").mkdir()
    assert group_folders(["p/ce", "anl=p/s1", "anl=p/s2", "odd=name"]) == {
        "ce": [Path("p/ce")],
        "anl": [Path("p/s1"), Path("p/s2")],
        "odd=name": [Path("odd=name")],
    }
    with pytest.raises(InputError, match="several folders called fold_0: give them as NAME=FOLDER"):
        group_folders(["one/fold_0", "two/fold_0"])


@pytest.fixture
def write(tmp_path):
    def write_masks(folder, masks):
        (tmp_path / folder).mkdir()
        for case, mask in masks.items():
            Image.fromarray(mask.astype(np.uint8)).save(tmp_path / folder / f"{case}.png")
        return tmp_path / folder

    return write_masks


def test_runs_from_folders_of_seeds_and_folds(write):
    half = DISC & (np.arange(16) < 8)
    references = write("ref", {"a": DISC, "b": DISC})
    seeds = [write("s1", {"a": DISC, "b": half}), write("s2", {"a": half, "b": half})]
    folds = [write("f1", {"a": DISC}), write("f2", {"b": DISC})]
    runs = evaluate_methods({"seeds": seeds, "folds": folds}, references)
    (row,) = compare(runs).differences
    dice = 2 * half.sum() / (half.sum() + DISC.sum())
    assert row.n == 2
    assert row.mean == pytest.approx(1 - fmean([(1 + dice) / 2, dice]))


def test_all_problems_of_all_runs_are_listed(write):
    references = write("ref", {"a": DISC, "b": DISC})
    folders = {"one": [write("p1", {"a": DISC})], "two": [write("p2", {"b": DISC, "c": DISC})]}
    with pytest.raises(InputError) as error:
        evaluate_methods(folders, references)
    headline, *problems = str(error.value).splitlines()
    assert headline == f"{len(problems)} problems, nothing compared:"
    assert len(problems) == 3, "no headline of a single run is counted"
    for part in ("p1: no prediction", "p2: no prediction", "predictions: c"):
        assert any(part in problem for problem in problems)


def test_folds_must_hold_every_case(write):
    references = write("ref", {"a": DISC, "b": DISC, "c": DISC})
    folds = [write("f1", {"a": DISC}), write("f2", {"b": DISC})]
    whole = write("p", {"a": DISC, "b": DISC, "c": DISC})
    with pytest.raises(InputError, match="method folds: no prediction of c; predict"):
        evaluate_methods({"folds": folds, "whole": [whole]}, references)
