"""Saved noisy labels are loaded unchanged; other files are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise
from anl_seg.noise.labels.record import label_hash

CLEAN = np.repeat(np.arange(10), 20)


@pytest.fixture
def noisy():
    return label_noise.draw(CLEAN, kind="symmetric", eta=0.4, seed=3, n_classes=10)


@pytest.fixture
def path(tmp_path, noisy):
    label_noise.save(noisy, tmp_path / "folder" / "noisy.npz")
    return tmp_path / "folder" / "noisy.npz"


def test_saved_labels_are_loaded_unchanged(path, noisy):
    again = label_noise.load(path, CLEAN.tolist())
    np.testing.assert_array_equal(again.labels, noisy.labels)
    np.testing.assert_array_equal(again.clean, CLEAN)
    np.testing.assert_array_equal(again.matrix, noisy.matrix)
    assert again.sha256 == noisy.sha256
    for name in ("kind", "eta", "seed", "draw", "n_classes", "rate"):
        assert getattr(again, name) == getattr(noisy, name)


def test_human_labels_have_no_matrix(tmp_path):
    human = label_noise.draw(CLEAN, kind="human", n_classes=10, human=(CLEAN + 1) % 10)
    label_noise.save(human, tmp_path / "human.npz")
    again = label_noise.load(tmp_path / "human.npz", CLEAN)
    assert (again.matrix, again.eta, again.seed, again.draw) == (None, None, None, None)


def test_the_record_has_settings_and_versions(path, noisy):
    with np.load(path) as content:
        record = json.loads(str(content["json"]))
    assert record["sha256"] == noisy.sha256
    assert record["clean_sha256"] == label_hash(CLEAN)
    assert (record["eta"], record["seed"], record["draw"]) == (0.4, 3, "exact")
    assert {"anl_seg", "numpy", "schema_version"} <= record.keys()


def test_nothing_is_left_beside_the_file(path):
    assert list(path.parent.iterdir()) == [path]


def test_other_ending(noisy, tmp_path):
    with pytest.raises(InputError, match=r"saved as \.npz"):
        label_noise.save(noisy, tmp_path / "noisy.json")


def test_labels_changed_after_saving(path):
    with np.load(path) as content:
        arrays = dict(content)
    arrays["labels"][0] = (arrays["labels"][0] + 1) % 10
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="do not match its hash"):
        label_noise.load(path, CLEAN)


def test_another_order_of_the_clean_labels(path):
    with pytest.raises(InputError, match="another order"):
        label_noise.load(path, CLEAN[::-1])


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file; `anl-seg label-noise -o` writes one"):
        label_noise.load(tmp_path / "none.npz", CLEAN)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 half an archive"])
def test_file_of_another_kind(tmp_path, content):
    path = tmp_path / "noisy.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"noisy\.npz is not a file of noisy labels"):
        label_noise.load(path, CLEAN)


def test_npz_of_another_kind(tmp_path):
    np.savez(tmp_path / "images.npz", x_train=np.zeros(3))
    with pytest.raises(InputError, match="is not a file of noisy labels"):
        label_noise.load(tmp_path / "images.npz", CLEAN)
