"""Dice of the online validation, from what nnU-Net's validation steps count."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from anl_seg.trainers.online_validation import PixelCounts, count_pixels  # noqa: E402


def step(true, false, missed):
    return {"tp_hard": np.array(true), "fp_hard": np.array(false), "fn_hard": np.array(missed)}


def test_pixels_are_summed_over_steps_and_dice_is_the_mean_over_classes():
    steps = [step([2, 0, 0], [1, 0, 0], [1, 3, 0]), step([1, 0, 0], [0, 0, 0], [0, 1, 0])]
    counts = count_pixels(steps, torch.device("cpu"), distributed=False)
    assert counts.predicted.tolist() == [4, 0, 0]
    assert counts.labelled.tolist() == [4, 4, 0]
    assert counts.mean_dice == pytest.approx((6 / 8 + 0) / 2)  # the third class does not occur


def test_without_pixels_dice_is_undefined():
    assert np.isnan(PixelCounts(*np.zeros((3, 2))).mean_dice)
