"""Whether the validation Dice has passed its peak, with and without chance."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.trainers.validation_peak import ValidationPeak


def test_a_rising_validation_has_no_peak():
    peak = ValidationPeak(np.linspace(0.5, 0.8, 30))
    assert not peak.has_passed
    assert peak.best_epoch == 29


def test_a_fall_of_one_point_is_seen_and_its_peak_named():
    dice = [0.64, 0.665, 0.666, 0.665, 0.662, 0.658, 0.655]
    assert [ValidationPeak(dice[: n + 1]).has_passed for n in range(7)] == [False] * 6 + [True]
    assert ValidationPeak(dice).best_epoch == 3


def test_a_single_high_epoch_is_not_the_best_one():
    dice = [0.64, 0.67, 0.68, 0.71, 0.685, 0.68, 0.705, 0.7, 0.695, 0.68]
    assert ValidationPeak(dice).best_epoch == 8


def test_a_fall_while_the_network_still_learns_does_not_count():
    dice = [0.64, 0.665, 0.666, 0.665, 0.662, 0.658, 0.655]
    assert ValidationPeak(dice, epochs=50).has_passed
    assert not ValidationPeak(dice, epochs=100).has_passed


def noisy(curve, spread, seed):
    return curve + np.random.default_rng(seed).normal(0, spread, len(curve))


def has_passed(dice):
    """Return whether the peak was detected after any epoch."""
    epochs = len(dice)
    every = max(1, epochs // 50)
    return any(ValidationPeak(dice[:n], epochs=epochs).has_passed for n in range(4, epochs, every))


@pytest.mark.parametrize(("epochs", "spread"), [(50, 0.004), (100, 0.002), (1000, 0.005)])
def test_a_plateau_with_chance_is_rarely_a_fall(epochs, spread):
    plateau = 0.85 * (1 - np.exp(-np.arange(epochs) / (epochs / 20)))
    assert sum(has_passed(noisy(plateau, spread, seed)) for seed in range(20)) <= 4


@pytest.mark.parametrize(("epochs", "spread"), [(50, 0.004), (100, 0.004), (1000, 0.005)])
def test_a_slow_fall_is_seen_in_spite_of_chance(epochs, spread):
    done = np.arange(epochs) / epochs
    falling = 0.85 * (1 - np.exp(-done * 30)) - 0.05 * np.maximum(done - 0.2, 0)
    assert all(has_passed(noisy(falling, spread, seed)) for seed in range(10))


def test_nothing_learned_counts_as_zero():
    peak = ValidationPeak([float("nan"), 0.2, 0.5])
    assert peak.dice[0] == 0
    assert peak.best_epoch == 2
