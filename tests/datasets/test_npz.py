"""One `.npz` file: its errors are named."""

from __future__ import annotations

import numpy as np
import pytest

from anl_seg.datasets import npz
from anl_seg.errors import InputError

GOOD = {
    "x_train": np.zeros((4, 2, 2, 3), np.uint8),
    "y_train": np.array([0, 1, 1, 0]),
    "x_test": np.zeros((2, 2, 2, 3), np.uint8),
    "y_test": np.array([1, 0]),
}


def read(path, **changes):
    np.savez(path / "data.npz", **{**GOOD, **changes})
    return npz.read("toy", path / "data.npz", classes=("a", "b"), shape=(2, 2, 3))


def test_a_subset_knows_its_places(tmp_path):
    data = read(tmp_path, index=np.array([7, 3, 9, 1], np.int32))
    np.testing.assert_array_equal(data.index, [7, 3, 9, 1])
    assert data.index.dtype == np.int64


def test_all_problems_are_listed(tmp_path):
    with pytest.raises(InputError) as error:
        read(
            tmp_path,
            x_train=np.zeros((4, 2, 2, 3), np.float32),
            y_train=np.array([0, 1, 2, 0]),
            y_test=np.array([1]),
        )
    message = str(error.value)
    assert "data.npz is not toy: 3 problems:" in message
    assert "training: images must be n x 2x2x3 uint8, got float32" in message
    assert "training: labels must be in 0..1, got 0 to 2" in message
    assert "test: labels must be 2 whole numbers" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.zeros((4, 3, 2, 2), np.uint8)}, r"got uint8 of shape \(4, 3, 2, 2\)"),
        ({"x_test": np.zeros((0, 2, 2, 3), np.uint8)}, "test: images must be n x 2x2x3"),
        ({"y_train": np.eye(4)[:, :2]}, r"labels must be 4 whole numbers.*shape \(4, 2\)"),
        ({"y_train": np.array([0.0, 1, 1, 0])}, "got float64"),
        ({"y_train": np.array([0, 1, 1, -1])}, "got -1 to 1"),
        ({"x_train": np.uint8(3)}, r"images must be .* got uint8 of shape \(\)"),
        ({"index": np.arange(3)}, r"index must be .*for each training image.* \(3,\)"),
        ({"index": np.arange(4) - 1}, "index must be a whole number of at least 0"),
        ({"index": np.arange(4) + 0.5}, "index must be .*got float64"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, **changes)


def test_missing_arrays(tmp_path):
    np.savez(tmp_path / "part.npz", x_train=GOOD["x_train"], y_train=GOOD["y_train"])
    with pytest.raises(InputError, match="lacks x_test, y_test"):
        npz.read("toy", tmp_path / "part.npz", classes=("a", "b"), shape=(2, 2, 3))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 half an archive"])
def test_damaged_file(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.npz is not a complete \.npz file"):
        npz.read("toy", tmp_path / "bad.npz", classes=("a", "b"), shape=(2, 2, 3))


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file; it must contain the arrays x_train,"):
        npz.read("toy", tmp_path / "none.npz", classes=("a", "b"), shape=(2, 2, 3))
