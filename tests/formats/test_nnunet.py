"""Folders of new data sets, and their errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from anl_seg.errors import InputError
from anl_seg.formats.nnunet import (
    PREPROCESSED,
    RAW,
    case_of_image,
    find_dataset,
    image_name,
    new_dataset_folder,
    raw_folder,
)


def test_raw_folder_is_the_given_one_or_the_variables(monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "/from/environment")
    assert raw_folder() == Path("/from/environment")
    assert raw_folder(Path("given")) == Path("given")


@pytest.mark.parametrize("value", [None, ""])
def test_no_raw_folder(monkeypatch, value):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    if value is not None:
        monkeypatch.setenv("nnUNet_raw", value)
    with pytest.raises(InputError, match="export nnUNet_raw="):
        raw_folder()


def test_a_data_set_that_is_nowhere(monkeypatch, tmp_path):
    for variable in (RAW, PREPROCESSED):
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    with pytest.raises(InputError, match=r"no data set 599 in .* or in .*nnUNet_raw; check"):
        find_dataset("599", PREPROCESSED)
    (tmp_path / RAW / "Dataset599_Own").mkdir()
    with pytest.raises(InputError, match="run `nnUNetv2_plan_and_preprocess -d 599` first"):
        find_dataset("599", PREPROCESSED)


def test_name_of_the_folder(tmp_path):
    assert (
        new_dataset_folder(tmp_path / "none", 7, "Skin-1_a")
        == tmp_path / "none/Dataset007_Skin-1_a"
    )


def test_id_that_is_taken(tmp_path):
    (tmp_path / "Dataset007_Other").mkdir()
    with pytest.raises(InputError, match="Dataset007_Other already has the data set id 7"):
        new_dataset_folder(tmp_path, 7, "Skin")
    new_dataset_folder(tmp_path, 70, "Skin")


@pytest.mark.parametrize("name", ["", "a/b", "../up", "with space", "_lead"])
def test_name_that_does_not_fit(tmp_path, name):
    with pytest.raises(InputError, match="nnU-Net does not accept"):
        new_dataset_folder(tmp_path, 7, name)


def test_names_of_images():
    assert image_name("case_1", ".nii.gz") == "case_1_0000.nii.gz"
    assert image_name("case_1", ".png", channel=2) == "case_1_0002.png"
    assert case_of_image(Path("case_1_0002.png"), ".png") == "case_1"
    for name in ("c1.png", "case_12.png", "_0000.png", "case_000.png"):
        with pytest.raises(InputError, match=rf"{name}: names of images end in .* _0000\.png; ren"):
            case_of_image(Path(name), ".png")
