"""Files are read as they are stored, and what does not fit is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.images import Geometry, write_volume
from anl_seg.suspects import declared_classes, plain_classes
from anl_seg.suspects.cases import CaseFiles, judge, read_case, read_probabilities
from anl_seg.suspects.examine import classes_of_folders, dataset_files, examine, pair_files

TWO = plain_classes(2)
SHAPE = (6, 8)


def probabilities(channels=2, shape=SHAPE):
    drawn = np.random.default_rng(0).random((channels, *shape))
    return (drawn / drawn.sum(0)).astype(np.float32)


def test_formats_of_probabilities(tmp_path):
    expected = probabilities()
    np.savez(tmp_path / "nnunet.npz", probabilities=expected[:, None].astype(np.float16))
    np.save(tmp_path / "plain.npy", expected)
    np.save(tmp_path / "foreground.npy", expected[1])
    image = sitk.GetImageFromArray(expected[1])
    sitk.WriteImage(image, str(tmp_path / "foreground.nii.gz"))
    for name in ("nnunet.npz", "plain.npy", "foreground.npy", "foreground.nii.gz"):
        found, _ = read_probabilities(tmp_path / name, SHAPE, TWO)
        assert found.dtype == np.float32
        assert np.allclose(found, expected, atol=1e-3), name


def test_masks_are_probabilities_of_0_and_1(tmp_path):
    mask = (probabilities()[1] > 0.5).astype(np.uint8)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert np.array_equal(read_probabilities(tmp_path / "mask.png", SHAPE, TWO)[0][1], mask)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (probabilities()[:, :5], r"has shape \(2, 5, 8\), its label map \(6, 8\)"),
        (probabilities(3), r"and 2 channels make \(2, 6, 8\)"),
        (probabilities() * 0.9, r"sum to 0\.9, expected 1; save the softmax"),
        (probabilities() * 5 - 2, r"expected probabilities from 0 to 1; apply softmax"),
        (np.full((2, *SHAPE), np.nan), "holds values from nan to nan"),
        (probabilities() + 0j, r"holds values of type complex64, expected probabilities"),
        (np.full((2, *SHAPE), "a"), r"holds values of type <U1"),
        (np.full(SHAPE, 3), r"predicts the labels \[3\], expected \[0, 1\]"),
    ],
)
def test_what_is_no_prediction_of_this_case(tmp_path, content, message):
    np.save(tmp_path / "bad.npy", content)
    with pytest.raises(InputError, match=message):
        read_probabilities(tmp_path / "bad.npy", SHAPE, TWO)


def test_damaged_arrays_are_named(tmp_path):
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(InputError, match=r"damaged\.npz: cannot be read as an array"):
        read_probabilities(tmp_path / "damaged.npz", SHAPE, TWO)


def test_unknown_labels_are_named(tmp_path):
    Image.fromarray(np.full(SHAPE, 7, np.uint8)).save(tmp_path / "label.png")
    np.save(tmp_path / "p.npy", probabilities())
    files = CaseFiles("a", tmp_path / "label.png", tmp_path / "p.npy")
    with pytest.raises(InputError, match=r"label\.png: holds the labels \[7\]"):
        read_case(files, TWO)


def save(folder, name, array):
    folder.mkdir(exist_ok=True)
    Image.fromarray(array).save(folder / f"{name}.png")


def folders(tmp_path, given, predicted):
    """The cases of two folders of PNG files, and their classes."""
    for name, array in given.items():
        save(tmp_path / "masks", name, array)
    for name, array in predicted.items():
        save(tmp_path / "predictions", name, array)
    files = pair_files(tmp_path / "predictions", tmp_path / "masks")
    return files, classes_of_folders(files)


def ramp(highest, shape=(16, 32)):
    """All values from 0 to `highest`."""
    return np.linspace(0, highest, np.prod(shape)).round().astype(np.uint8).reshape(shape)


def half(value):
    return np.repeat(np.uint8([0, value]), 16)[None].repeat(16, axis=0)


@pytest.mark.parametrize("foreground", [1, 255])
@pytest.mark.parametrize("declared", [False, True])
def test_images_of_8_bits_are_probabilities(tmp_path, foreground, declared):
    """Images of one data set are alike: one with the values 0 and 1 only has no likely pixel."""
    if declared:
        (tmp_path / "masks").mkdir()
        dataset_json(tmp_path / "masks", {"background": 0, "lesion": 1})
    images = {"a": ramp(1), "b": ramp(250), "c": ramp(200)}
    files, classes = folders(tmp_path, dict.fromkeys(images, half(foreground)), images)
    assert list(classes.names) == [1]
    for each in files:
        case = read_case(each, classes)
        assert np.array_equal(case.labels, half(1))
        expected = images[each.case].astype(np.float32) / 255
        assert np.array_equal(case.probabilities, np.stack([1 - expected, expected]))
        assert np.array_equal(case.predicted, expected > 0.5)
    assert all(each.soft for each in examine(files, classes))


@pytest.mark.parametrize("given", [1, 255])
@pytest.mark.parametrize("predicted", [1, 255])
def test_masks_of_0_and_255(tmp_path, given, predicted):
    masks, predictions = ({"a": half(0), "b": half(value)} for value in (given, predicted))
    files, classes = folders(tmp_path, masks, predictions)
    assert classes == TWO
    case = read_case(files[1], classes)
    assert np.array_equal(case.labels, half(1))
    assert np.array_equal(case.predicted, half(1))
    assert not any(each.soft for each in examine(files, classes))


@pytest.mark.parametrize(
    ("given", "predicted", "message"),
    [
        ((0, 1, 2), range(256), r"predictions: holds 253 values .* of all classes as \.npz"),
        (range(256), (0, 1), r"masks: .* hold the values 0, 1, .* and 246 more, expected labels"),
        ((0, 1, 255), (0, 1), r"values 0, 1, 255, expected labels .*\"ignore\": 255"),
        ((0, 1), (0, 128), "the values 0, 1, 128, expected labels from 0 to K - 1"),
    ],
)
def test_values_that_are_no_labels(tmp_path, given, predicted, message):
    given, predicted = (np.resize(np.uint8(list(each)), (16, 32)) for each in (given, predicted))
    with pytest.raises(InputError, match=message):
        folders(tmp_path, {"a": given}, {"a": predicted})


def test_grey_images_of_16_bits_are_refused(tmp_path):
    """Which value stands for the probability 1 is not known."""
    for value in (600, 60000):
        image = np.linspace(0, value, 512).astype(np.uint16).reshape(16, 32)
        files, classes = folders(tmp_path, {"a": half(1)}, {"a": image})
        with pytest.raises(InputError, match=r"a\.png: .* as floats from 0 to 1 or uint8 from 0"):
            read_case(files[0], classes)


def test_many_classes_of_plain_folders(tmp_path):
    _, classes = folders(tmp_path, {"a": ramp(60)}, {"a": ramp(61)})
    assert list(classes.names) == list(range(1, 62))
    _, classes = folders(tmp_path, {"a": half(1)}, {"a": half(7)})
    assert list(classes.names) == list(range(1, 8))


def test_grey_images_of_several_declared_classes_are_refused(tmp_path):
    (tmp_path / "masks").mkdir()
    dataset_json(tmp_path / "masks", {"background": 0, "a": 1, "b": 2})
    files, classes = folders(tmp_path, {"a": half(2)}, {"a": ramp(255)})
    with pytest.raises(InputError, match=r"a\.png: predicts the labels \[3, 4, .*, and 243 more\]"):
        read_case(files[0], classes)


def dataset_json(folder, labels, **others):
    path = folder / "dataset.json"
    path.write_text(json.dumps({"labels": labels, **others}))
    return path


def test_classes_of_dataset_json(tmp_path):
    path = dataset_json(tmp_path, {"background": 0, "tumour": 2, "liver": 1, "ignore": 3})
    classes = declared_classes(path)
    assert classes.names == {1: "liver", 2: "tumour"}
    assert list(classes.names) == [1, 2]
    assert (classes.ignore_label, classes.channels, classes.allowed) == (3, 3, {0, 1, 2, 3})


def test_regions(tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    classes = declared_classes(dataset_json(tmp_path, labels, regions_class_order=[1, 2]))
    assert classes.regions
    assert classes.names == {(1, 2): "whole", 2: "core"}
    sigmoid = np.zeros((2, 4, 4), np.float32)
    sigmoid[0, :, :3], sigmoid[1, :, 0] = 0.9, 0.8
    assert classes.predicted(sigmoid).tolist() == [[2, 1, 1, 0]] * 4
    np.save(tmp_path / "p.npy", sigmoid)
    assert np.allclose(read_probabilities(tmp_path / "p.npy", (4, 4), classes)[0], sigmoid)
    Image.fromarray(classes.predicted(sigmoid)).save(tmp_path / "a.png")
    case = read_case(CaseFiles("a", tmp_path / "a.png", tmp_path / "p.npy"), classes)
    found = judge(case, classes).evidence
    assert {label: each.dice for label, each in found.items()} == {(1, 2): 1.0, 2: 1.0}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({}, "declares 0 foreground"),
        ([1], "has no nnU-Net v2 labels"),
        ({"a": "x"}, "has no nnU-Net"),
        ({"a": []}, "has no nnU-Net"),
    ],
)
def test_wrong_dataset_json(tmp_path, labels, message):
    with pytest.raises(InputError, match=message):
        declared_classes(dataset_json(tmp_path, labels))


def test_spacing_and_box_of_a_volume(tmp_path):
    labels = np.zeros((5, 20, 30), np.uint8)
    labels[1:4, 5:15, 5:15] = 1
    predicted = labels.copy()
    predicted[2:4, 8:12, 20:26] = 1
    for name, array in (("label", labels), ("predicted", predicted)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.5, 0.7, 3.0))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    files = CaseFiles("a", tmp_path / "label.nii.gz", tmp_path / "predicted.nii.gz")
    case = read_case(files, TWO)
    assert case.spacing == pytest.approx((3.0, 0.7, 0.5))
    assert case.unit == "mm"
    found = judge(case, TWO, "a")
    assert found.boxes == {1: ((2, 4), (8, 12), (20, 26))}
    assert not found.soft


def test_folders_are_paired_by_name(raw, tmp_path):
    files = pair_files(tmp_path / "softmax", raw / "labelsTr", raw / "imagesTr")
    assert len(files) == 40
    assert files[0].images[0].name == "case_00_0000.png"
    assert classes_of_folders(files).names == {1: "disc"}
    np.save(tmp_path / "softmax" / "case_03.npy", probabilities())
    with pytest.raises(InputError, match=r"two predictions of case_03, case_03\.npy and case_03"):
        pair_files(tmp_path / "softmax", raw / "labelsTr")
    (tmp_path / "softmax" / "case_03.npy").unlink()
    np.save(tmp_path / "softmax" / "stranger.npy", probabilities())
    with pytest.raises(InputError, match=r"1 of 41 predictions have no label map in .*: stranger"):
        pair_files(tmp_path / "softmax", raw / "labelsTr")


def test_only_images_are_images(raw, tmp_path):
    """nnU-Net stores the spacing of a TIFF in CASE.json, and people leave notes."""
    for name in ("case_00.json", "case_00_0000.json", "notes.txt", ".case_00_0002.png"):
        (raw / "imagesTr" / name).write_text("{}")
    (raw / "imagesTr" / "case_00_0001.png").write_bytes(b"")
    images = [raw / "imagesTr" / f"case_00_000{channel}.png" for channel in (0, 1)]
    assert dataset_files(raw)["case_00"].images == tuple(images)
    files = pair_files(tmp_path / "softmax", raw / "labelsTr", raw / "imagesTr")
    assert files[0].images == (images[0],)


def test_missing_images_are_named(raw, tmp_path):
    (raw / "imagesTr" / "case_07_0000.png").unlink()
    with pytest.raises(InputError, match=r"imagesTr: no image for 1 of 40 cases: case_07;"):
        pair_files(tmp_path / "softmax", raw / "labelsTr", raw / "imagesTr")
    for path in (raw / "imagesTr").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"imagesTr: no \.png files; give a complete raw data set"):
        dataset_files(raw)


def test_all_problems_are_reported_and_processes_agree(raw, tmp_path):
    files = pair_files(tmp_path / "softmax", raw / "labelsTr")
    one = examine(files[:6], TWO)
    assert examine(files[:6], TWO, num_processes=2) == one
    for name in ("case_01", "case_03"):
        np.savez(tmp_path / "softmax" / f"{name}.npz", probabilities=np.ones((2, 3, 3)))
    with pytest.raises(InputError, match=r"2 problems:\n.*case_01.*\n.*case_03"):
        examine(files, TWO)


def test_a_prediction_that_lies_elsewhere_in_the_world_is_refused(tmp_path):
    labels = np.zeros((5, 20, 30), np.uint8)
    labels[1:4, 5:15, 5:15] = 1
    write_volume(tmp_path / "label.nii.gz", labels, Geometry((3, 1, 1)))
    turned = Geometry((3, 1, 1), (29, 19, 0), (-1, 0, 0, 0, -1, 0, 0, 0, 1))
    for name, pixels in (("mask", labels), ("soft", labels * np.float32(0.9))):
        path = tmp_path / f"{name}.nii.gz"
        write_volume(path, pixels[:, ::-1, ::-1], turned)
        with pytest.raises(InputError, match=r"has origin \(29, 19, 0\), its label map"):
            read_case(CaseFiles("a", tmp_path / "label.nii.gz", path), TWO)
