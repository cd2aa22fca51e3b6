"""Pickles: arrays come through, code does not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from anl_seg.datasets import pickles


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_lists_and_texts(protocol):
    content = {"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2], "name": "x"}
    again = pickles.loads(pickle.dumps(content, protocol))
    np.testing.assert_array_equal(again["data"], content["data"])
    assert again["data"].dtype == np.uint8
    assert (again["labels"], again["name"]) == ([1, 2], "x")


def test_python_2_strings_become_texts():
    assert pickles.loads(b"(dp0\nS'labels'\np1\n(lp2\nI3\nas.") == {"labels": [3]}


def test_code_is_not_run(tmp_path):
    """FIELD.md D2: CIFAR-N comes as pickles."""
    content = pickle.dumps({"clean_label": Malicious(tmp_path / "harm")})
    with pytest.raises(ValueError, match=r"asks for (_io|io)\.open, but data contain only arrays"):
        pickles.loads(content)
    assert not (tmp_path / "harm").exists()
    pickle.loads(content)["clean_label"].close()
    assert (tmp_path / "harm").exists()  # it would have


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(np.arange(9))[:-20]])
def test_damaged_pickles(content):
    with pytest.raises(ValueError, match=r"."):
        pickles.loads(content)
