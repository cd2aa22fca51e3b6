"""The time of the label correction, and its result."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.trainers.corrected_labels import correct_labels, publish
from anl_seg.trainers.datasets import WithCleanLabels, WithCorrectedLabels
from anl_seg.trainers.validation_peak import ValidationPeak


class Dataset:
    """Two cases, as nnU-Net's data sets give them."""

    identifiers = ("a", "b")

    def __init__(self, labels):
        self.labels = labels

    def load_case(self, case):
        return np.zeros((3, 4, 4), np.float32), self.labels[case], None, {"case": case}


def labels(*foreground, ignored=(), dtype=np.int16):
    given = np.zeros((1, 4, 4), dtype)
    for value, rows in enumerate(foreground, 1):
        given[0, rows] = value
    given[0, list(ignored)] = 9
    return given


def test_a_rising_validation_has_no_peak():
    peak = ValidationPeak(np.linspace(0.5, 0.8, 30))
    assert not peak.has_passed
    assert peak.best_epoch == 29


def test_a_fall_of_one_point_is_seen_and_its_peak_named():
    dice = [0.64, 0.665, 0.666, 0.665, 0.662, 0.658, 0.655]
    assert [ValidationPeak(dice[: n + 1]).has_passed for n in range(7)] == [False] * 6 + [True]
    assert ValidationPeak(dice).best_epoch == 1  # the next one is not better by two thousandths


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


def test_labels_become_the_prediction_and_ignored_pixels_stay(tmp_path):
    dataset = Dataset({"a": labels([0, 1], ignored=[3]), "b": labels([0])})
    dataset.labels["b"][0, 3] = -1
    wanted = np.zeros((4, 4), np.int64)
    wanted[1:4] = 1
    changed = correct_labels(dataset, ["a", "b"], lambda image: wanted, tmp_path, ignore_label=9)
    assert np.load(tmp_path / "a.npy").tolist() == labels([1, 2], ignored=[3]).tolist()
    assert np.load(tmp_path / "b.npy")[0, :, 0].tolist() == [0, 1, 1, -1]
    assert np.load(tmp_path / "a.npy").dtype == np.int16
    assert changed == {"a": 0.5, "b": 0.75}


def test_a_class_that_the_network_does_not_find_is_not_lost(tmp_path):
    dataset = Dataset({"a": labels([0], [2]), "b": labels([0])})
    wanted = np.zeros((4, 4), np.int64)
    wanted[:2] = 1
    changed = correct_labels(dataset, ["a", "b"], lambda image: wanted, tmp_path)
    assert np.load(tmp_path / "a.npy").tolist() == dataset.labels["a"].tolist()
    assert changed == {"a": 0.0, "b": 0.25}


def test_the_data_set_gives_corrected_labels_once_all_are_written(tmp_path):
    given = {"a": labels([0]), "b": labels([1])}
    folder = tmp_path / "corrected"
    dataset = WithCorrectedLabels(Dataset(given), folder)
    assert dataset.load_case("a")[1] is given["a"]
    correct_labels(
        Dataset(given), ["a", "b"], lambda image: np.eye(4, dtype=int), tmp_path / "part"
    )
    assert dataset.load_case("a")[1] is given["a"]
    publish(tmp_path / "part", folder)
    assert np.array_equal(dataset.load_case("a")[1][0], np.eye(4))
    assert dataset.load_case("b")[3] == {"case": "b"}


def test_clean_and_given_labels_follow_the_corrected_ones(tmp_path):
    given = {"a": labels([0]), "b": labels([1])}
    clean = labels([0, 1])
    for case in given:
        np.save(tmp_path / f"{case}.npy", clean)
    folder = tmp_path / "corrected"
    dataset = WithCorrectedLabels(WithCleanLabels(Dataset(given), tmp_path), folder)
    before = dataset.load_case("a")[1]
    assert before.shape == (3, 4, 4)
    assert np.array_equal(before[:, 1:3], np.concatenate([given["a"], clean, given["a"]])[:, 1:3])
    correct_labels(Dataset(given), ["a", "b"], lambda image: np.eye(4, dtype=int), folder)
    after = dataset.load_case("a")[1]
    assert np.array_equal(after[:], np.concatenate([np.eye(4)[None], clean, given["a"]]))
