"""Data sets by name."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.datasets import classification
from anl_seg.errors import InputError


def test_the_names_are_those_of_the_issue():
    assert set(classification.DATASETS) == {
        *("digits", "mnist", "cifar10", "cifar100"),
        *("webvision", "animal10n", "clothing1m"),
    }


def test_unknown_name():
    with pytest.raises(
        InputError, match="unknown data set 'svhn'; choose one of animal10n, cifar10,"
    ):
        classification.load("svhn")


@pytest.mark.parametrize("name", sorted(set(classification.DATASETS) - {"digits"}))
def test_missing_data_explain_the_download(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        classification.load(name)
    assert "https://" in str(error.value)
    assert f"data/{name}" in str(error.value)
    with pytest.raises(InputError, match=str(tmp_path / "elsewhere")):
        classification.load(name, tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_npz_of_small_sets(name, tmp_path):
    size, classes = {"mnist": (28, 10), "cifar10": (32, 10), "cifar100": (32, 100)}[name]
    shape = (size, size) if name == "mnist" else (size, size, 3)
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(256, size=(6, *shape), dtype=np.uint8),
        "y_train": np.array([0, 1, 2, 3, 4, classes - 1]),
        "x_test": rng.integers(256, size=(2, *shape), dtype=np.uint8),
        "y_test": np.array([1, 0], np.uint8),
    }
    np.savez(tmp_path / "small.npz", **arrays)
    data = classification.load(name, tmp_path / "small.npz")
    assert data.name == name
    assert data.x_train.shape[1:] == (size, size, 1 if name == "mnist" else 3)
    np.testing.assert_array_equal(data.x_train.ravel(), arrays["x_train"].ravel())
    np.testing.assert_array_equal(data.y_test, [1, 0])
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert len(data.classes) == classes
    np.testing.assert_array_equal(data.index, range(6))


def test_large_sets_have_no_clean_labels(tmp_path):
    for part in ("training", "testing"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "0_1.jpg").touch()
    with pytest.raises(InputError, match="the labels of animal10n are already noisy"):
        classification.load_arrays("animal10n", tmp_path)
    assert classification.load_arrays("digits").name == "digits"
