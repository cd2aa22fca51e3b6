"""Mask files keep their coding, pixel type and geometry; anything else is named."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.images import ENDINGS
from anl_seg.noise.mask_files import read_mask, write_mask

MASK = np.zeros((12, 16), bool)
MASK[3:9, 4:12] = True


#: .gipl makes every image 3D, .mhd writes two files, and .bmp is tried with Pillow below.
ONE_FLAT_FILE = [ending for ending in ENDINGS if ending not in (".gipl", ".mhd", ".bmp")]


def save(path, array, **geometry):
    image = sitk.GetImageFromArray(array)
    for name, value in geometry.items():
        getattr(image, f"Set{name}")(value)
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("foreground", [1, 255])
@pytest.mark.parametrize("ending", ONE_FLAT_FILE)
def test_a_mask_survives_in_every_format(tmp_path, ending, foreground):
    source = save(tmp_path / f"mask{ending}", MASK.astype(np.uint8) * foreground)
    read = read_mask(source)
    assert np.array_equal(read.labels, MASK)
    write_mask(tmp_path / "out" / f"mask{ending}", (~MASK).astype(np.uint8), read)
    written = sitk.ReadImage(str(tmp_path / "out" / f"mask{ending}"))
    assert np.array_equal(sitk.GetArrayFromImage(written), ~MASK * np.uint8(foreground))
    assert written.GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize("ending", [".png", ".bmp"])
@pytest.mark.parametrize("foreground", [1, 255, True])
def test_pillows_formats_keep_their_bits(tmp_path, ending, foreground):
    source = tmp_path / f"mask{ending}"
    Image.fromarray(MASK if foreground is True else MASK * np.uint8(foreground)).save(source)
    read = read_mask(source)
    assert np.array_equal(read.labels, MASK)
    assert read.coded_255 == (foreground == 255)
    assert read.classes == [1]
    written = tmp_path / f"noisy{ending}"
    write_mask(written, (~MASK).astype(np.uint8), read)
    with Image.open(source) as before, Image.open(written) as after:
        assert after.mode == before.mode == ("1" if foreground is True else "L")
        assert np.array_equal(np.asarray(after), ~MASK * np.uint8(foreground))


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_geometry_and_type_are_kept(tmp_path, ending, dtype):
    geometry = {"Spacing": (0.5, 0.25), "Origin": (-3.0, 7.5), "Direction": (-1.0, 0.0, 0.0, -1.0)}
    source = save(tmp_path / f"mask{ending}", MASK.astype(dtype), **geometry)
    before = sitk.ReadImage(str(source))
    write_mask(tmp_path / f"noisy{ending}", (~MASK).astype(np.uint8), read_mask(source))
    after = sitk.ReadImage(str(tmp_path / f"noisy{ending}"))
    assert after.GetPixelID() == before.GetPixelID()
    for name in ("Spacing", "Origin", "Direction"):
        assert getattr(after, f"Get{name}")() == pytest.approx(getattr(before, f"Get{name}")())


def test_an_empty_mask_is_a_mask(tmp_path):
    assert read_mask(save(tmp_path / "a.png", np.zeros((4, 4), np.uint8))).classes == []


@pytest.mark.parametrize("values", [(0, 1, 7), (0, 7), (0, 1, 255), (3,)])
def test_other_values_are_labels(tmp_path, values):
    array = np.resize(np.array(values, np.uint8), (8, 8))
    read = read_mask(save(tmp_path / "a.png", array))
    assert read.classes == [value for value in values if value]
    assert np.array_equal(read.labels, array)
    assert not read.coded_255


def test_the_ignore_label_is_not_a_class(tmp_path):
    array = np.resize(np.array((0, 1, 255, 2), np.uint8), (8, 8))
    assert read_mask(save(tmp_path / "a.png", array), ignore_label=255).classes == [1, 2]
    array[array == 2] = 1
    read = read_mask(save(tmp_path / "b.png", array), ignore_label=255)
    assert (read.classes, read.coded_255) == ([1], False)
    array[array == 1] = 254
    read = read_mask(save(tmp_path / "c.png", array), ignore_label=254)
    assert (read.classes, read.coded_255) == ([1], True)
    write_mask(tmp_path / "d.png", read.labels, read)
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "d.png"))), array)


def test_an_ignore_label_of_1_is_not_taken_for_255(tmp_path):
    array = np.resize(np.array((0, 1, 255), np.uint8), (9, 9))
    read = read_mask(save(tmp_path / "a.png", array), ignore_label=1)
    assert (read.classes, read.coded_255) == ([255], False)
    write_mask(tmp_path / "b.png", read.labels, read)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), array)


@pytest.mark.parametrize("value", [0.5, -1, np.nan])
def test_fractions_and_negative_values_are_not_masks(tmp_path, value):
    with pytest.raises(InputError, match=r"contains values from .*whole numbers from 0"):
        read_mask(save(tmp_path / "a.mha", np.where(MASK, value, 0).astype(np.float32)))


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colour_and_palette_images_are_named(tmp_path, mode):
    Image.fromarray(MASK.astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: is a colour or palette image"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_volume_keeps_labels_and_geometry(tmp_path, ending):
    labels = np.stack([MASK * 3, MASK * 14, ~MASK * 0]).astype(np.int16)
    tilted = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6, 0.0, 0.6, 0.8)
    geometry = {"Spacing": (0.5, 0.25, 3.0), "Origin": (1.0, 2.0, -9.5), "Direction": tilted}
    read = read_mask(save(tmp_path / f"a{ending}", labels, **geometry))
    assert read.classes == [3, 14]
    assert read.spacing_mm == pytest.approx((3.0, 0.25, 0.5))  # in the order of the array's axes
    write_mask(tmp_path / f"b{ending}", read.labels[:, ::-1], read)
    written = sitk.ReadImage(str(tmp_path / f"b{ending}"))
    assert np.array_equal(sitk.GetArrayFromImage(written), labels[:, ::-1])
    assert written.GetPixelID() == sitk.sitkInt16
    for name, value in geometry.items():
        assert getattr(written, f"Get{name}")() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("axis", [0, 2])
def test_a_volume_of_one_slice_is_flat_and_stays_a_volume(tmp_path, axis):
    labels = np.expand_dims(MASK * np.uint8(255), axis)
    source = save(tmp_path / "a.nii.gz", labels, Spacing=(0.5, 0.25, 3.0))
    read = read_mask(source)
    assert np.array_equal(read.labels, MASK)
    assert read.spacing_mm == pytest.approx({0: (0.25, 0.5), 2: (3.0, 0.25)}[axis])
    write_mask(tmp_path / "b.nii.gz", (~MASK).astype(np.uint8), read)
    written = sitk.ReadImage(str(tmp_path / "b.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(written), 255 - labels)
    assert written.GetSpacing() == sitk.ReadImage(str(source)).GetSpacing()


def test_a_print_resolution_is_not_a_spacing(tmp_path):
    path = save(tmp_path / "a.tif", MASK * np.uint8(1), Spacing=(0.5, 0.25))
    assert read_mask(path).spacing_mm is None


def test_a_mask_in_two_files_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.mhd: a mask in two files"):
        read_mask(save(tmp_path / "a.mhd", MASK.astype(np.uint8)))


def test_text_and_damaged_files_are_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (99, 99), np.uint8)).save(
        tmp_path / "cut.png"
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:300])
    for name in ("text.png", "cut.png"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read as an image"):
            read_mask(tmp_path / name)
