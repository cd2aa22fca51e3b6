"""Sources of the classes; dataset.json is read as by nnU-Net."""

from __future__ import annotations

import json

import pytest

from anl_seg.errors import InputError
from anl_seg.evaluation.labels import declared_labels, found_labels, given_labels, parse_labels


def dataset_json(folder, labels):
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": labels}))
    return path


@pytest.mark.parametrize("text", ["1,2,3", "1 2 3", " 1, 2,3 "])
def test_parse_labels(text):
    assert parse_labels(text) == (1, 2, 3)


@pytest.mark.parametrize("text", ["", "one", "1;2", "1.5"])
def test_parse_labels_refuses(text):
    with pytest.raises(InputError, match="whole numbers"):
        parse_labels(text)


@pytest.mark.parametrize(("labels", "ignore"), [([], None), ([1, 1], None), ([-1], None), ([1], 1)])
def test_given_labels_refuses(labels, ignore):
    with pytest.raises(InputError, match="expected different labels"):
        given_labels(labels, ignore)


def test_found_labels():
    assert list(found_labels([3, 0, 1]).names) == [1, 3]
    with pytest.raises(InputError, match=r"only background.*--labels"):
        found_labels([0])


@pytest.mark.parametrize(
    ("labels", "regions_class_order"),
    [
        ({"background": 0, "lesion": 1}, None),
        ({"background": 0, "left": 1, "right": 2, "ignore": 3}, None),
        ({"background": 0, "lesion": [1]}, None),
        ({"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}, [1, 2, 3]),
        ({"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, [1, 2]),
    ],
    ids=["binary", "ignore", "list of one", "regions", "regions and ignore"],
)
def test_declared_labels_are_those_that_nnunet_evaluates(tmp_path, labels, regions_class_order):
    handling = pytest.importorskip("nnunetv2.utilities.label_handling.label_handling")
    manager = handling.LabelManager(labels, regions_class_order)
    declared = declared_labels(dataset_json(tmp_path, labels))
    expected = manager.foreground_regions if manager.has_regions else manager.foreground_labels
    assert list(declared.names) == expected
    assert declared.ignore_label == manager.ignore_label


def test_declared_names_and_allowed_values(tmp_path):
    path = dataset_json(tmp_path, {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3})
    declared = declared_labels(path)
    assert declared.title((1, 2)) == "(1, 2) whole"
    assert declared.allowed == {0, 1, 2}
    assert declared_labels(path, ignore_label=9).ignore_label == 9


@pytest.mark.parametrize(
    "text",
    [
        '{"labels": {"0": "background", "1": "liver"}}',
        "{}",
        "[]",
        '{"labels": [0, 1]}',
        '{"labels": {"a": []}}',
    ],
    ids=["nnU-Net v1", "no labels", "list", "labels a list", "empty region"],
)
def test_other_dataset_json(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=r"dataset\.json: has no nnU-Net v2 labels.*--labels"):
        declared_labels(tmp_path / "dataset.json")


def test_declared_labels_refuses_background_only_and_ignored_region(tmp_path):
    with pytest.raises(InputError, match="no foreground"):
        declared_labels(dataset_json(tmp_path, {"background": 0}))
    with pytest.raises(InputError, match="ignore label must be one number"):
        declared_labels(dataset_json(tmp_path, {"background": 0, "a": 1, "ignore": [2, 3]}))


def test_dataset_json_that_is_no_json_shows_where(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text('{"labels": {"background": 0,\n "lesion": 1,}}')
    with pytest.raises(InputError, match=r"dataset\.json: line 2, column 1\d: .*correct the JSON"):
        declared_labels(path)
    path.write_bytes(b"\xef\xbb\xbf" + b'{"labels": {"background": 0, "lesion": 1}}')
    assert declared_labels(path).names == {1: "lesion"}
