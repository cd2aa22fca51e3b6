"""A revised data set is whole, keeps what was given, and does what the decisions say."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.suspects.decisions import read_decisions
from anl_seg.suspects.revise import Revision, revise

CASES = [f"case_{number:02d}" for number in range(40)]
DECISIONS = {"case_00": "wrong", "case_01": "unsure", "case_02": "fine", "case_03": "wrong"}
SPLITS = [{"train": CASES[4:], "val": CASES[:4]}, {"train": CASES[:20], "val": CASES[20:]}]


def labels(folder):
    return {path.stem: np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))}


@pytest.fixture
def given(raw):
    return labels(raw / "labelsTr")


@pytest.fixture
def predicted(raw, given, tmp_path):
    """Predicted masks: the given ones, moved."""
    folder = tmp_path / "report" / "predictions"
    folder.mkdir(parents=True)
    for case, mask in given.items():
        Image.fromarray(np.roll(mask, 3, axis=1)).save(folder / f"{case}.png")
    return folder


def revised(raw, action, masks=None, decisions=DECISIONS, splits=SPLITS):
    target = raw.parent / "Dataset502_Revised"
    done = revise(Revision(raw, target, decisions, action, masks), splits)
    return target, {each.case: each for each in done}


def test_drop(raw, given):
    target, done = revised(raw, "drop")
    dropped = {"case_00", "case_01", "case_03"}
    assert set(labels(target / "labelsTr")) == set(CASES) - dropped
    assert len(list((target / "imagesTr").iterdir())) == 37
    assert json.loads((target / "dataset.json").read_text())["numTraining"] == 37
    assert {case for case, each in done.items() if each.action == "dropped"} == dropped
    kept = labels(target / "labelsTr_given")
    assert all(np.array_equal(kept[case], given[case]) for case in CASES)
    assert json.loads((target / "splits_final.json").read_text()) == [
        {"train": CASES[4:], "val": ["case_02"]},
        {"train": [case for case in CASES[:20] if case not in dropped], "val": CASES[20:]},
    ]
    assert (target / "imagesTs" / "test_0000.png").exists()


def test_predict_replaces_wrong_masks_only(raw, given, predicted):
    target, done = revised(raw, "predict", predicted)
    found = labels(target / "labelsTr")
    for case, mask in given.items():
        expected = np.roll(mask, 3, axis=1) if DECISIONS.get(case) == "wrong" else mask
        assert np.array_equal(found[case], expected), case
    assert done["case_00"].changed_pixels == (found["case_00"] != given["case_00"]).sum() > 0
    assert done["case_01"].action == "kept"
    assert np.array_equal(labels(raw / "labelsTr")["case_00"], given["case_00"])


def test_ignore_marks_doubtful_pixels(raw, given, predicted):
    target, _ = revised(raw, "ignore", predicted)
    declared = json.loads((target / "dataset.json").read_text())["labels"]
    assert declared == {"background": 0, "disc": 1, "ignore": 2}
    found = labels(target / "labelsTr")
    for case in ("case_00", "case_01"):
        doubtful = given[case] != np.roll(given[case], 3, axis=1)
        assert np.array_equal(found[case] == 2, doubtful)
        assert np.array_equal(found[case][~doubtful], given[case][~doubtful])
    assert np.array_equal(found["case_02"], given["case_02"])


def test_corrected_masks(raw, given, tmp_path):
    folder = tmp_path / "corrected"
    folder.mkdir()
    for case in ("case_00", "case_02", "case_03"):  # 2 is marked fine and stays as it is
        Image.fromarray(np.ones_like(given[case])).save(folder / f"{case}.png")
    target, done = revised(raw, "correct", folder)
    assert labels(target / "labelsTr")["case_03"].all()
    assert done["case_01"].action == done["case_02"].action == "kept"
    with (target / "revision.csv").open() as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows["case_03"]["action"] == "corrected"
    assert json.loads((target / "revision.json").read_text())["cases"] == {
        "corrected": 2,
        "kept": 38,
    }


def test_geometry_is_kept(tmp_path):
    raw = tmp_path / "Dataset503_Volume"
    for name in ("imagesTr", "labelsTr"):
        (raw / name).mkdir(parents=True)
    (tmp_path / "new").mkdir()
    mask = np.zeros((4, 6, 8), np.uint8)
    mask[1:3, 2:5, 2:6] = 1
    for path, array in (
        (raw / "labelsTr" / "a.nii.gz", mask),
        (raw / "imagesTr" / "a_0000.nii.gz", mask.astype(np.float32)),
        (tmp_path / "new" / "a.nii.gz", 1 - mask),
    ):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.5, 0.75, 3))
        image.SetOrigin((10, -20, 30))
        image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
        sitk.WriteImage(image, str(path))
    content = {"labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz", "channel_names": {}}
    (raw / "dataset.json").write_text(json.dumps(content))
    target, _ = revised(raw, "correct", tmp_path / "new", {"a": "wrong"}, ())
    found = sitk.ReadImage(str(target / "labelsTr" / "a.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(found), 1 - mask)
    assert found.GetSpacing() == (0.5, 0.75, 3)
    assert found.GetOrigin() == (10, -20, 30)
    assert found.GetDirection() == (0, 1, 0, -1, 0, 0, 0, 0, 1)
    turned = sitk.ReadImage(str(tmp_path / "new" / "a.nii.gz"))
    turned.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(turned, str(tmp_path / "new" / "a.nii.gz"))
    with pytest.raises(InputError, match=r"has direction .* the given mask .* same grid"):
        revise(Revision(raw, target.with_name("Dataset599_Other"), {"a": "wrong"}, "correct",
                        tmp_path / "new"))  # fmt: skip
    assert not target.with_name("Dataset599_Other").exists()


def test_changes_of_the_new_data_set_leave_the_source(raw, predicted):
    """People edit masks in place. Images are links, because they are large and stay as they are."""
    (raw / "labelsTr_clean").mkdir()
    (raw / "labelsTs").mkdir()
    for case in CASES:
        (raw / "labelsTr_clean" / f"{case}.png").write_bytes(b"clean")
    (raw / "labelsTs" / "test.png").write_bytes(b"test")
    (raw / "imagesTr" / "case_00.json").write_text('{"spacing": [1, 1, 1]}')
    before = {path: path.read_bytes() for path in sorted(raw.rglob("*")) if path.is_file()}
    target, _ = revised(raw, "predict", predicted)
    new = [path for path in sorted(target.rglob("*")) if path.is_file()]
    images = [path for path in new if path.suffix == ".png" and "images" in path.parent.name]
    assert all(path.stat().st_nlink == 2 for path in images)
    assert len(images) == 41
    others = [path for path in new if path not in images]
    assert {path.parent.name for path in others} == {
        *("labelsTr", "labelsTr_given", "labelsTr_clean", "labelsTs", "imagesTr", target.name)
    }
    for path in others:
        with path.open("r+b") as file:
            file.write(b"edited")
    assert {path: path.read_bytes() for path in before} == before


def test_a_data_set_that_lists_its_files_is_refused(raw):
    content = json.loads((raw / "dataset.json").read_text())
    (raw / "dataset.json").write_text(json.dumps(content | {"dataset": {}}))
    with pytest.raises(InputError, match=r"dataset\.json: lists files under the key dataset"):
        revised(raw, "drop")
    assert nothing_is_written(raw)


def nothing_is_written(raw):
    names = {path.name for path in raw.parent.iterdir()}
    return names == {raw.name}


def test_bad_input_writes_nothing(raw, given, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.fromarray(given["case_00"]).save(folder / "case_00.png")
    with pytest.raises(InputError, match=r"no mask for 1 of 2 cases: case_03\.png; run "):
        revised(raw, "predict", folder)
    with pytest.raises(InputError, match=r"cases: case_03\.png; save each .* name in labelsTr"):
        revised(raw, "correct", folder)
    Image.fromarray(given["case_00"][:5]).save(folder / "case_03.png")
    with pytest.raises(InputError, match=r"case_03\.png: has shape \(5, 48\)"):
        revised(raw, "predict", folder)
    Image.fromarray(np.full_like(given["case_03"], 9)).save(folder / "case_03.png")
    with pytest.raises(InputError, match=r"holds the labels \[9\], expected .* instead of 255"):
        revised(raw, "predict", folder)
    Image.fromarray(given["case_00"]).save(folder / "stranger.png")
    with pytest.raises(InputError, match="cases that the data set lacks: stranger"):
        revised(raw, "correct", folder)
    with pytest.raises(InputError, match="marks no case as wrong"):
        revised(raw, "predict", folder, {"case_00": "fine", "case_01": "unsure"})
    everything = dict.fromkeys(CASES[:4], "wrong")
    with pytest.raises(InputError, match="leaves fold 0 without val cases"):
        revised(raw, "drop", decisions=everything)
    with pytest.raises(InputError, match="--as drop leaves no case"):
        revised(raw, "drop", decisions=dict.fromkeys(CASES, "wrong"), splits=())
    assert nothing_is_written(raw)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Dataset501_Discs", "exists; give a new folder"),
        ("Revised", "call it DatasetXXX_NAME"),
        ("Dataset501_Other", "already has the id 501"),
    ],
)
def test_targets_that_nnunet_would_not_find(raw, name, message):
    with pytest.raises(InputError, match=message):
        revise(Revision(raw, raw.parent / name, DECISIONS, "drop"))
    assert nothing_is_written(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,decision\ncase_99,wrong\n", "1 of 1 cases are not in the data set: case_99"),
        ("case,decision\ncase_01,bad\n", "line 2: decision 'bad', expected one of fine, wrong"),
        (
            "case,decision\ncase_01,wrong\ncase_01,fine\n",
            "line 3: case case_01 occurs twice",
        ),
        ("decision,case\nwrong\n", "line 2: names no case"),
        ("name,mark\ncase_01,wrong\n", "expected case and decision"),
        ("", "has the columns of an empty file"),
    ],
)
def test_bad_decisions(tmp_path, text, message):
    path = tmp_path / "decisions.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_decisions(path, CASES)


def test_decisions_of_a_spreadsheet(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_bytes(b"\xef\xbb\xbfcase,decision,score\r\ncase_01,Wrong,0.5\r\n")
    assert read_decisions(path, CASES) == {"case_01": "wrong"}
