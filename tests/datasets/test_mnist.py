"""MNIST from its four files."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from anl_seg.datasets import mnist
from anl_seg.datasets.classification import load
from anl_seg.errors import InputError

RNG = np.random.default_rng(0)
ARRAYS = {
    "train-images-idx3-ubyte": RNG.integers(256, size=(5, 28, 28), dtype=np.uint8),
    "train-labels-idx1-ubyte": np.array([5, 0, 4, 1, 9], np.uint8),
    "t10k-images-idx3-ubyte": RNG.integers(256, size=(2, 28, 28), dtype=np.uint8),
    "t10k-labels-idx1-ubyte": np.array([7, 2], np.uint8),
}


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("folder", ["", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_official_files(tmp_path, folder, packed):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, array in ARRAYS.items():
        content = gzip.compress(idx(array)) if packed else idx(array)
        (tmp_path / folder / (f"{name}.gz" if packed else name)).write_bytes(content)
    data = load("mnist", tmp_path)
    np.testing.assert_array_equal(data.x_train[..., 0], ARRAYS["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.x_test[..., 0], ARRAYS["t10k-images-idx3-ubyte"])
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([5, 0, 4, 1, 9], [7, 2])


@pytest.mark.parametrize("train", [True, False])
def test_torchvision_reads_the_same(tmp_path, train):
    datasets = pytest.importorskip("torchvision.datasets")
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for name, array in ARRAYS.items():
        (tmp_path / "MNIST/raw" / name).write_bytes(idx(array))
    theirs = datasets.MNIST(tmp_path, train=train)
    ours = load("mnist", tmp_path)
    images, labels = (ours.x_train, ours.y_train) if train else (ours.x_test, ours.y_test)
    np.testing.assert_array_equal(images[..., 0], theirs.data)
    np.testing.assert_array_equal(labels, theirs.targets)


@pytest.fixture
def folder(tmp_path):
    for name, array in ARRAYS.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_one_file_missing(folder):
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"MNIST is incomplete\. Get train-images"):
        mnist.read(folder)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(idx(ARRAYS["train-labels-idx1-ubyte"]))[:-9],
        gzip.compress(idx(ARRAYS["train-labels-idx1-ubyte"])[:-1]),
        gzip.compress(b"\0\0\x0d\1\0\0\0\1abcd"),  # floats
        gzip.compress(b"\0\0"),
        b"<html>",
        b"",
    ],
    ids=["cut off", "a label too few", "floats", "no header", "a page", "empty"],
)
def test_damaged_file(folder, content):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz is .* get it again from"):
        mnist.read(folder)


def test_labels_of_the_other_part(folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(
        (folder / "t10k-labels-idx1-ubyte.gz").read_bytes()
    )
    with pytest.raises(InputError, match="training: labels must be 5 whole numbers"):
        mnist.read(folder)
