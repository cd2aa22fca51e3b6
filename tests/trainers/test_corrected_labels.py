"""What training labels are corrected to, and how the loading processes get them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

from anl_seg.errors import InputError
from anl_seg.trainers.corrected_labels import (
    check_complete,
    correct_labels,
    publish,
)
from anl_seg.trainers.datasets import WithCleanLabels, WithCorrectedLabels
from anl_seg.trainers.foreground import foreground_locations


class Dataset:
    """Two cases, as nnU-Net's data sets give them."""

    identifiers = ("a", "b")

    def __init__(self, labels):
        self.labels = labels

    def load_case(self, case):
        return np.zeros((3, 4, 4), np.float32), self.labels[case], None, {"case": case}


class Large:
    """One case without anything but the properties that nnU-Net's loader needs."""

    identifiers = ("a",)

    def __init__(self, labels):
        self.labels = labels
        self.properties = {}

    def load_case(self, _):
        return np.zeros(self.labels.shape, np.float32), self.labels, None, self.properties


LABELS = SimpleNamespace(all_labels=[0, 1], has_ignore_label=False)


def labels(*foreground, ignored=(), dtype=np.int16):
    given = np.zeros((1, 4, 4), dtype)
    for value, rows in enumerate(foreground, 1):
        given[0, rows] = value
    given[0, list(ignored)] = 9
    return given


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


@pytest.mark.parametrize("shape", [(1, 40, 40), (40, 40, 40)])
def test_a_lesion_that_only_the_corrected_labels_have_is_oversampled(tmp_path, shape):
    """The given lesion is in one corner, the predicted one in the opposite corner."""
    given, predicted = np.zeros((1, *shape), np.int16), np.zeros(shape, np.int16)
    given[:, 0, 2, 2] = predicted[-1, 37, 37] = 1
    dataset = Large(given)
    folder, patch_size = tmp_path / "corrected", [8] * (3 - shape.count(1))
    corrected = WithCorrectedLabels(dataset, folder)
    loader = nnUNetDataLoader(
        corrected, 4, patch_size, patch_size, LABELS, oversample_foreground_percent=1.0
    )

    def locate(labels):
        return foreground_locations(labels, [1], patch_size)

    dataset.properties["class_locations"] = locate(given)
    assert all(target.any() for target in next(loader)["target"])
    correct_labels(dataset, ["a"], lambda image: predicted, folder, locate=locate)
    for _ in range(5):
        assert all(target.any() for target in next(loader)["target"])


def test_locations_are_not_sampled_if_a_patch_holds_the_image():
    whole = np.ones((1, 1, 8, 9), np.int16)
    assert foreground_locations(whole, [1], [8, 9]) is None
    assert foreground_locations(whole, [1], [8, 10]) is None
    assert len(foreground_locations(whole, [1], [8, 8])[1]) == 72
    assert foreground_locations(whole, [1, 2], [1, 8, 8])[2] == []


def test_a_predicted_label_beyond_int8_is_kept(tmp_path):
    dataset = Dataset({"a": labels([0], dtype=np.int8)})
    correct_labels(dataset, ["a"], lambda image: np.where(np.eye(4), 130, 1), tmp_path)
    assert set(np.unique(np.load(tmp_path / "a.npy"))) == {1, 130}


def test_missing_labels_are_an_error_when_a_training_continues(tmp_path):
    np.save(tmp_path / "a.npy", labels([0]))
    check_complete(tmp_path, ["a"])
    with pytest.raises(InputError, match="lacks the corrected labels of 1 of 2 training cases"):
        check_complete(tmp_path, ["a", "b"])
