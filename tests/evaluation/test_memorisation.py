"""Dice against clean and noisy masks, by kind of noise."""

from __future__ import annotations

from pathlib import Path

import pytest

from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.labels import given_labels
from anl_seg.evaluation.memorisation import memorisation


def case(name, noise, clean_dice, noisy_dice):
    """A case of two classes; the background's figures must not count."""
    values, noisy = (
        {0: {"Dice": 0.0}, 1: {"Dice": dice - 0.1}, 2: {"Dice": dice + 0.1}}
        for dice in (clean_dice, noisy_dice)
    )
    return CaseResult(name, Path(), Path(), {}, values, noise, noisy)


def evaluation(*cases):
    return Evaluation(cases, given_labels([0, 1, 2]), Conventions())


def test_split_by_kind():
    rows = memorisation(
        evaluation(
            case("a", "erosion", 0.6, 0.8),
            case("b", "affine", 0.5, 0.4),
            case("c", "erosion", 0.8, 0.8),
            case("d", "clean", 0.9, 0.9),
        )
    )
    assert [(row.kind, row.n) for row in rows] == [
        *(("all noisy", 3), ("affine", 1), ("erosion", 2), ("clean", 1))
    ]
    everything, affine, erosion, clean = rows
    assert everything.gap.mean == pytest.approx((0.2 - 0.1 + 0) / 3)
    assert affine.gap.mean == pytest.approx(-0.1)
    assert (erosion.clean.mean, erosion.noisy.mean) == pytest.approx((0.7, 0.8))
    assert erosion.gap.mean == pytest.approx(0.1)
    assert erosion.gap.low <= 0.1 <= erosion.gap.high
    assert clean.gap.mean == 0


def test_one_kind_needs_no_sum():
    rows = memorisation(evaluation(case("a", "erosion", 0.6, 0.8), case("b", "clean", 0.6, 0.6)))
    assert [row.kind for row in rows] == ["erosion", "clean"]


def test_without_manifest_there_is_nothing_to_split():
    assert memorisation(evaluation(CaseResult("a", Path(), Path(), {}, {}))) == []
