"""Search for masks in folders; each format returns the labels that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.images import Geometry
from anl_seg.formats.masks import (
    are_grey,
    check_threshold,
    find_masks,
    read_labels,
    read_labels_and_geometry,
)

FLAT = np.array([[0, 1, 2], [0, 0, 3]], dtype=np.uint8)
SOLID = np.stack([FLAT, FLAT[::-1]])


def write(path, labels):
    if path.name.endswith((".png", ".bmp")):
        Image.fromarray(labels).save(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(labels), str(path))
    return path


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".tiff", ".nii.gz", ".nrrd", ".PNG"])
def test_flat_formats(tmp_path, ending):
    np.testing.assert_array_equal(read_labels(write(tmp_path / f"a{ending}", FLAT)), FLAT)


@pytest.mark.parametrize("ending", [".tif", ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_solid_formats(tmp_path, ending):
    np.testing.assert_array_equal(read_labels(write(tmp_path / f"a{ending}", SOLID)), SOLID)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_geometry_has_the_spacing_in_the_order_of_the_axes(tmp_path, ending):
    image = sitk.GetImageFromArray(SOLID)
    image.SetSpacing((0.5, 0.75, 3.0))
    image.SetOrigin((-8.0, 2.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    labels, geometry = read_labels_and_geometry(tmp_path / f"a{ending}")
    np.testing.assert_array_equal(labels, SOLID)
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    assert geometry == Geometry((3.0, 0.75, 0.5), (-8.0, 2.0, 1.0), identity)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_pictures_have_no_geometry(tmp_path, ending):
    assert read_labels_and_geometry(write(tmp_path / f"a{ending}", FLAT))[1] is None


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int64, np.float32, np.float64])
def test_whole_numbers_of_any_type(tmp_path, kind):
    labels = SOLID.astype(kind)
    np.testing.assert_array_equal(read_labels(write(tmp_path / "a.nrrd", labels)), SOLID)


def test_sixteen_bit_and_one_bit_png(tmp_path):
    np.testing.assert_array_equal(
        read_labels(write(tmp_path / "a.png", FLAT.astype(np.uint16) * 1000)), FLAT * 1000.0
    )
    np.testing.assert_array_equal(read_labels(write(tmp_path / "b.png", FLAT > 0)), FLAT > 0)


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("a.png", np.stack([FLAT] * 3, axis=-1), "colour or palette image"),
        ("a.tif", np.stack([FLAT] * 3, axis=-1), "colour or palette image"),
        ("a.nrrd", FLAT - 1.0, "values from -1.0 to 2.0"),
        ("a.nrrd", FLAT / 2, "whole numbers"),
        ("a.nrrd", FLAT * np.nan, "values from nan to nan"),
        ("a.nrrd", FLAT + 70000.0, "to 70003.0"),
        ("a.nrrd", np.arange(1600, dtype=np.uint16).reshape(40, 40), "more than 1000 different"),
    ],
)
def test_not_a_mask(tmp_path, name, labels, message):
    path = tmp_path / name
    is_tiff_of_channels = name == "a.tif"
    if is_tiff_of_channels:
        Image.fromarray(labels).save(path)
    else:
        write(path, labels)
    with pytest.raises(InputError, match=message) as error:
        read_labels(path)
    assert str(path) in str(error.value)


def test_palette_is_colour(tmp_path):
    picture = Image.fromarray(FLAT, mode="L").convert("P")
    picture.save(tmp_path / "a.png")
    with pytest.raises(InputError, match="colour or palette image"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.nii.gz", "a.nrrd"])
@pytest.mark.parametrize("content", [b"", b"this is text, not an image\n" * 20])
def test_unreadable(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read") as error:
        read_labels(tmp_path / name)
    assert len(str(error.value).splitlines()) == 1


def test_cut_off_file_is_unreadable(tmp_path):
    path = write(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(path)


def test_find_masks_leaves_out_other_files(tmp_path):
    for name in ("b.c.nii.gz", "a.PNG"):
        (tmp_path / name).touch()
    for name in (
        *("dataset.json", "plans.json", "predict_from_raw_data_args.json", "a.npz", "a.pkl"),
        *("summary.json", "notes.txt", "._a.png"),
    ):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert find_masks(tmp_path) == {"a": tmp_path / "a.PNG", "b.c": tmp_path / "b.c.nii.gz"}


def test_find_masks_names_two_files_of_one_case(tmp_path):
    for name in ("a.png", "a.nii.gz"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"a\.nii\.gz and a\.png are the same case"):
        find_masks(tmp_path)


def test_find_masks_needs_a_folder_with_masks(tmp_path):
    with pytest.raises(InputError, match="no masks found"):
        find_masks(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_masks(tmp_path / "absent")


def test_no_mask_is_read_after_one_that_reaches_the_threshold(tmp_path):
    highest = {"a": 0, "b": 24, "c": 200, "d": 2}
    seen = []

    def read(path):
        seen.append(path.name)
        return np.array([0, highest[path.name]]), None

    check_threshold(tmp_path, map(Path, highest), 128, read)
    assert seen == ["a", "b", "c"]
    with pytest.raises(InputError, match="24 is the largest value of all masks"):
        check_threshold(tmp_path, map(Path, "abd"), 128, read)
    check_threshold(tmp_path, [Path("a")], 128, read)


ATLAS = [*range(2, 86), *range(251, 256)]  # values of FreeSurfer's aseg
SOFT = [0, 31, 64, 96, 128, 160, 191, 223, 255]


@pytest.mark.parametrize(
    ("name", "values", "grey"),
    [
        ("a.png", range(33), False),
        ("a.png", range(34), True),
        ("a.tif", range(34), True),
        ("a.nii.gz", range(118), False),
        ("a.nrrd", ATLAS, False),
        ("a.nrrd", range(400), False),
        ("a.mha", SOFT, True),
        ("a.png", SOFT, True),
        ("a.nii.gz", range(256), True),
        ("a.nii.gz", [0, 1, 2, 255], False),
        ("a.png", [0, 1, 2, 255], False),
        ("a.png", [0, 1, 2, 200, 255], True),
    ],
)
def test_grey_values_of_pictures_and_of_volumes(name, values, grey):
    assert are_grey(Path(name), values) is grey
