"""The labels of a `dataset.json`, next to nnU-Net's own reading of them."""

from __future__ import annotations

import json

import pytest

from anl_seg.errors import InputError
from anl_seg.formats.dataset_json import read_declared_labels, read_file_ending

REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}


def write(folder, labels, **others):
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": labels, **others}))
    return path


def test_regions(tmp_path):
    labels = read_declared_labels(write(tmp_path, REGIONS, regions_class_order=[1, 2]))
    assert labels.has_regions
    assert labels.foreground == {(1, 2): "whole", (2,): "core"}
    assert (labels.region_order, labels.ignore_label) == ((1, 2), 3)
    assert labels.values == {0, 1, 2, 3}


def test_a_list_of_one_is_a_label_if_there_are_no_regions(tmp_path):
    labels = read_declared_labels(write(tmp_path, {"background": [0], "lesion": [1]}))
    assert not labels.has_regions
    assert labels.foreground == {1: "lesion"}
    assert labels.ignore_label is None


@pytest.mark.parametrize(
    "labels",
    [
        [1],
        {"a": "x"},
        {"a": []},
        {"0": "background"},
        None,
        {"a": 1.5},
        {"a": True},
        {"a": [1, 2.5]},
    ],
)
def test_other_labels_are_refused(tmp_path, labels):
    with pytest.raises(ValueError, match=r"^has no nnU-Net v2 labels"):
        read_declared_labels(write(tmp_path, labels))


def test_an_ignore_label_is_one_number(tmp_path):
    with pytest.raises(ValueError, match=r"found \(2, 3\)"):
        read_declared_labels(write(tmp_path, {"a": 1, "ignore": [2, 3]}))


def test_file_ending(tmp_path):
    labels = {"background": 0, "lesion": 1}
    assert read_file_ending(write(tmp_path, labels, file_ending=".nii.gz")) == ".nii.gz"
    with pytest.raises(InputError, match=r"dataset\.json: has no file_ending"):
        read_file_ending(write(tmp_path, labels))
    listed = {"case": {"images": ["elsewhere.nii.gz"], "label": "labels/case.nii.gz"}}
    with pytest.raises(
        InputError, match="lists files under the key dataset, which is not supported"
    ):
        read_file_ending(write(tmp_path, labels, file_ending=".nii.gz", dataset=listed))
