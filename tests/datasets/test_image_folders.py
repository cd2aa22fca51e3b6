"""Folders of images and masks become nnU-Net raw data sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from PIL import Image

from anl_seg.datasets.image_folders import convert, pair_files, read_colours
from anl_seg.errors import InputError
from anl_seg.formats.images import Geometry, read_image, write_volume

MASK = np.zeros((20, 30), np.uint8)
MASK[4:12, 5:21] = 1


@pytest.fixture
def folders(tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    return images, masks


def picture(path, pixels):
    Image.fromarray(pixels).save(path)


def fill(folders, n=5, mask=MASK * 255, name="{}.png", image=None):
    images, masks = folders
    image = np.full((20, 30, 3), 90, np.uint8) if image is None else image
    for i in range(n):
        picture(images / f"case{i}.jpg", image)
        picture(masks / name.format(f"case{i}"), mask)


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_masks_of_0_and_255_become_labels_and_a_share_becomes_test_cases(folders, tmp_path):
    fill(folders, 10)
    done = convert(*folders, tmp_path / "Dataset510_X", test_share=0.2, seed=1)
    assert (done.n_training, done.n_test) == (8, 2)
    assert done.labels == {"background": 0, "foreground": 1}
    content = json.loads((done.folder / "dataset.json").read_text())
    assert content["numTraining"] == 8
    assert content["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    labels = sorted((done.folder / "labelsTr").iterdir())
    assert len(labels) == 8
    assert all(np.array_equal(read(path), MASK) for path in labels)
    test = {path.name for path in (done.folder / "labelsTs").iterdir()}
    assert {path.name.replace("_0000", "") for path in (done.folder / "imagesTs").iterdir()} == test
    again = convert(*folders, tmp_path / "Dataset511_X", test_share=0.2, seed=1)
    assert {path.name for path in (again.folder / "labelsTs").iterdir()} == test


@pytest.mark.parametrize(
    ("image", "mask", "case"),
    [
        ("a1", "a1_mask", "a1"),
        ("ISIC_0000001", "ISIC_0000001_segmentation", "ISIC_0000001"),
        ("x-img", "x-gt", "x"),
        ("case_001_0000", "case_001", "case_001"),
    ],
)
def test_pairs_are_found_by_the_ending_that_all_names_share(image, mask, case):
    other = {name: name.replace("a1", "a2").replace("01", "02").replace("x", "y")
             for name in (image, mask, case)}  # fmt: skip
    images = {name: Path(name) for name in (image, other[image])}
    masks = {name: Path(name) for name in (mask, other[mask])}
    assert pair_files(images, masks) == {
        case: (Path(image), Path(mask)),
        other[case]: (Path(other[image]), Path(other[mask])),
    }


def test_the_number_of_a_single_file_is_that_of_its_case():
    with pytest.raises(InputError, match=r"p_1\.png has no mask"):
        pair_files({"p_1": Path("p_1.png")}, {"p_2": Path("p_2.png")})
    for image, mask in (("p_1_img", "p_1_mask"), ("p_1_0000", "p_1"), ("p_1", "p_1_mask")):
        assert pair_files({image: Path(image)}, {mask: Path(mask)}) == {
            "p_1": (Path(image), Path(mask))
        }


def test_names_without_a_partner_are_listed(folders, tmp_path):
    fill(folders)
    (folders[1] / "case3.png").unlink()
    with pytest.raises(InputError, match=r"case3\.jpg has no mask"):
        convert(*folders, tmp_path / "Dataset510_X")
    assert not (tmp_path / "Dataset510_X").exists()


def test_masks_in_colour_through_a_table(folders, tmp_path):
    colours = np.array([[0, 0, 0], [255, 128, 0], [0, 0, 255]], np.uint8)
    labels = MASK.copy()
    labels[15:, 2:9] = 2
    fill(folders, mask=colours[labels])
    table = tmp_path / "colors.csv"
    table.write_text("name,color\nbackground,#000000\nlesion,#FF8000\nruler,0000ff\n")
    done = convert(*folders, tmp_path / "Dataset510_X", colours=read_colours(table))
    assert done.labels == {"background": 0, "lesion": 1, "ruler": 2}
    assert np.array_equal(read(done.folder / "labelsTr" / "case0.png"), labels)
    table.write_text("name,color\nbackground,#000000\nlesion,#FF8000\n")
    with pytest.raises(InputError, match="#0000ff"):
        convert(*folders, tmp_path / "Dataset511_X", colours=read_colours(table))


def test_label_0_has_nnunets_name(folders, tmp_path):
    fill(folders, mask=np.stack([MASK * 255] * 3, -1))
    table = tmp_path / "colors.csv"
    table.write_text("name,color\nskin,#000000\nlesion,#ffffff\n")
    done = convert(*folders, tmp_path / "Dataset510_X", colours=read_colours(table))
    assert done.labels == {"background": 0, "lesion": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("background,black\n", "line 2"),
        ("background,#000000\nlesion,#000000\n", "line 3"),
        ("background,#000000\n", "1 colours"),
        ("background,#000000\n\nlesion,#ff8,note\n", r"line 4: .*found lesion,#ff8,note"),
        ("skin,#000000\nbackground,#ffffff\n", "line 3: background must be the first row"),
        ("background,#000000\nLäsion,#ff8000\n", "line 3, column 2: byte 0xe4 is not UTF-8"),
    ],
)
def test_a_wrong_table_of_colours_is_named(tmp_path, rows, message):
    table = tmp_path / "colors.csv"
    table.write_text("name,color\n" + rows, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        read_colours(table)


def test_grey_and_jpeg_masks_need_a_threshold(folders, tmp_path):
    soft = MASK * 200 + 20
    fill(folders, mask=soft + np.arange(30, dtype=np.uint8), name="{}.jpg")
    with pytest.raises(InputError, match=r"save label maps as PNG\. If it is an image, swap"):
        convert(*folders, tmp_path / "Dataset510_X")
    done = convert(*folders, tmp_path / "Dataset510_X", threshold=128)
    assert (read(done.folder / "labelsTr" / "case0.png") != MASK).mean() < 0.02


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("faint", [24, 3])
def test_a_faint_mask_among_grey_masks_is_thresholded_too(folders, tmp_path, ending, faint):
    fill(folders, 3, name="{}." + ending)
    picture(folders[1] / f"case1.{ending}", np.full((20, 30), faint, np.uint8))
    done = convert(*folders, tmp_path / "Dataset510_X", threshold=128)
    assert done.labels == {"background": 0, "foreground": 1}
    assert not read(done.folder / "labelsTr/case1.png").any()
    assert (read(done.folder / "labelsTr/case2.png") != MASK).mean() < 0.02


def test_a_jpeg_of_ones_is_black_and_a_png_of_ones_is_a_mask(folders, tmp_path):
    fill(folders, 3)
    (folders[1] / "case1.png").unlink()
    picture(folders[1] / "case1.jpg", np.ones((20, 30), np.uint8))
    picture(folders[1] / "case2.png", MASK)
    done = convert(*folders, tmp_path / "Dataset510_X", threshold=128)
    assert not read(done.folder / "labelsTr/case1.png").any()
    assert np.array_equal(read(done.folder / "labelsTr/case2.png"), MASK)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_threshold_does_not_empty_a_folder_of_label_maps(folders, tmp_path, ending):
    fill(folders, 3, mask=MASK * 3, name="{}." + ending)
    picture(folders[1] / f"case0.{ending}", MASK)
    with pytest.raises(
        InputError, match=r"masks: [35] is the largest value .* --threshold 128 would"
    ):
        convert(*folders, tmp_path / "Dataset510_X", threshold=128)
    assert convert(*folders, tmp_path / "Dataset511_X", threshold=2).n_training == 3


def photograph(height, width):
    """Draw a smooth picture of the colours of skin, as a camera stores it."""
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([130 + 110 * down, 80 + 90 * right, 60 + 60 * down], -1).astype(np.uint8)


@pytest.mark.parametrize("threshold", [None, 128])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_photographs_as_masks_are_refused(folders, tmp_path, threshold, ending):
    skin = photograph(200, 300)
    for i in range(3):
        picture(folders[0] / f"case{i}.png", np.kron(MASK, np.ones((10, 10), np.uint8)) * 255)
        picture(folders[1] / f"case{i}.{ending}", skin)
    with pytest.raises(InputError, match="looks like a photograph; did you swap IMAGES and MASKS"):
        convert(*folders, tmp_path / "Dataset510_X", threshold=threshold)
    assert not (tmp_path / "Dataset510_X").exists()


def test_grey_jpeg_masks_in_three_channels_are_masks(folders, tmp_path):
    fill(folders, mask=np.stack([MASK * 255] * 3, -1), name="{}.jpg")
    with pytest.raises(InputError, match="JPEG changes label values; add --threshold 128"):
        convert(*folders, tmp_path / "Dataset510_X")
    done = convert(*folders, tmp_path / "Dataset510_X", threshold=128)
    assert (read(done.folder / "labelsTr" / "case0.png") != MASK).mean() < 0.02


def test_grey_images_as_masks_ask_for_swapped_folders(folders, tmp_path):
    images, masks = folders
    scan = np.add.outer(np.arange(20), np.arange(30) * 8).astype(np.uint8)
    fill((masks, images), image=MASK * 255, mask=scan)
    with pytest.raises(InputError, match="If it is an image, swap IMAGES and MASKS"):
        convert(images, masks, tmp_path / "Dataset510_X")


def test_one_folder_given_twice_is_refused(folders, tmp_path):
    fill(folders)
    for second in (folders[0], folders[0] / ".." / "images"):
        with pytest.raises(InputError, match="IMAGES and MASKS are both"):
            convert(folders[0], second, tmp_path / "Dataset510_X")


def test_labels_are_numbered_without_gaps(folders, tmp_path):
    labels = MASK * 3
    labels[15:, 2:9] = 7
    fill(folders, mask=labels)
    done = convert(*folders, tmp_path / "Dataset510_X")
    assert done.labels == {"background": 0, "label_3": 1, "label_7": 2}
    assert np.unique(read(done.folder / "labelsTr" / "case0.png")).tolist() == [0, 1, 2]


def test_labels_and_colours_that_the_first_case_lacks(folders, tmp_path):
    images, masks = folders
    fill(folders, mask=MASK * 3)
    other = MASK * 3
    other[15:, 2:9] = 7
    picture(masks / "case4.png", other)
    picture(images / "case0.jpg", np.full((20, 30), 90, np.uint8))
    done = convert(*folders, tmp_path / "Dataset510_X")
    assert done.labels == {"background": 0, "label_3": 1, "label_7": 2}
    assert np.array_equal(read(done.folder / "labelsTr/case4.png"), other // 3)
    assert np.array_equal(read(done.folder / "labelsTr/case0.png"), MASK)
    assert {read(path).shape for path in (done.folder / "imagesTr").iterdir()} == {(20, 30, 3)}


@pytest.mark.parametrize("labels", [MASK * 255, MASK, np.maximum(MASK, np.eye(20, 30) * 2)])
def test_every_picture_but_the_first_is_read_once(folders, tmp_path, monkeypatch, labels):
    from anl_seg.datasets import image_folders

    fill(folders, mask=labels.astype(np.uint8))
    seen = []
    for name in ("read_picture", "_read_mask"):
        original = getattr(image_folders, name)
        monkeypatch.setattr(
            image_folders,
            name,
            lambda path, *rest, original=original: seen.append(path.name) or original(path, *rest),
        )
    convert(*folders, tmp_path / "Dataset510_X")
    assert {name: seen.count(name) for name in set(seen) if "case0" not in name} == {
        f"case{i}.{ending}": 1 for i in range(1, 5) for ending in ("jpg", "png")
    }


def test_volumes_keep_their_spacing(folders, tmp_path):
    images, masks = folders
    labels = np.stack([MASK] * 4)
    for folder, pixels in ((images, labels * 100.5), (masks, labels)):
        image = sitk.GetImageFromArray(pixels)
        image.SetSpacing((0.5, 0.75, 3))
        sitk.WriteImage(image, str(folder / "a.nii.gz"))
    done = convert(images, masks, tmp_path / "Dataset510_X")
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"):
        assert sitk.ReadImage(str(done.folder / name)).GetSpacing() == (0.5, 0.75, 3)
    written = sitk.ReadImage(str(done.folder / "labelsTr/a.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(written), labels)


@pytest.mark.parametrize(
    ("moved", "message"),
    [
        ({"spacing": (3, 1, 2)}, r"has spacing \(3, 1, 2\), its image .* \(3, 1, 1\)"),
        ({"origin": (29, 19, 0)}, r"has origin \(29, 19, 0\), its image"),
        ({"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}, r"has direction \(-1, 0, .*, its image"),
    ],
)
def test_a_mask_that_lies_elsewhere_in_the_world_is_refused(folders, tmp_path, moved, message):
    images, masks = folders
    labels = np.stack([MASK] * 4)
    write_volume(images / "a.nii.gz", labels * 100.5, Geometry((3, 1, 1)))
    write_volume(masks / "a.nii.gz", labels, Geometry(**{"spacing": (3, 1, 1), **moved}))
    with pytest.raises(InputError, match=message):
        convert(images, masks, tmp_path / "Dataset510_X")
    assert not (tmp_path / "Dataset510_X").exists()


@pytest.mark.parametrize("n_labels", [40, 300])
def test_volumes_may_have_many_labels(folders, tmp_path, n_labels):
    images, masks = folders
    labels = (np.arange(4000).reshape(4, 25, 40) % (n_labels + 1)).astype(np.uint16)
    write_volume(images / "a.nii.gz", labels * 2.5, None)
    write_volume(masks / "a.nii.gz", np.where(labels > 0, labels + 5, 0).astype(np.uint16), None)
    done = convert(images, masks, tmp_path / "Dataset510_X")
    assert len(done.labels) == n_labels + 1
    assert done.labels["label_6"] == 1
    written = read_image(done.folder / "labelsTr/a.nii.gz")[0]
    assert written.dtype == (np.uint8 if n_labels < 256 else np.uint16)
    assert np.array_equal(written, labels)


def test_pictures_with_many_labels_are_converted_through_a_table(folders, tmp_path):
    labels = (np.arange(600).reshape(20, 30) % 41).astype(np.uint8)
    fill(folders, 2, mask=labels)
    with pytest.raises(InputError, match=r"table for --colors \(the value 10 is #0a0a0a\)"):
        convert(*folders, tmp_path / "Dataset510_X")
    colours = {f"class {value}": (value, value, value) for value in range(41)}
    done = convert(*folders, tmp_path / "Dataset510_X", colours=colours)
    assert np.array_equal(read(done.folder / "labelsTr/case1.png"), labels)


def test_more_colours_than_a_byte_counts(folders, tmp_path):
    numbers = np.arange(600).reshape(20, 30) % 300
    colours = {f"class {n}": (n % 256, n // 256, 9) for n in range(300)}
    fill(folders, 2, mask=np.array(list(colours.values()), np.uint8)[numbers])
    done = convert(*folders, tmp_path / "Dataset510_X", colours=colours)
    assert len(done.labels) == 300
    assert np.array_equal(read(done.folder / "labelsTr/case1.png"), numbers)


def test_tiff_slices_are_a_volume_and_16_bit_pictures_keep_their_values(folders, tmp_path):
    images, masks = folders
    tifffile.imwrite(images / "a.tif", np.stack([MASK] * 4) * 9, photometric="minisblack")
    tifffile.imwrite(masks / "a.tif", np.stack([MASK] * 4), photometric="minisblack")
    done = convert(images, masks, tmp_path / "Dataset510_X")
    assert (done.folder / "labelsTr/a.nii.gz").exists()
    deep = MASK.astype(np.uint16) * 40000
    tifffile.imwrite(images / "a.tif", np.stack([deep] * 3, -1), photometric="rgb")
    tifffile.imwrite(masks / "a.tif", MASK, photometric="minisblack")
    done = convert(images, masks, tmp_path / "Dataset511_X")
    import cv2

    image = cv2.imread(str(done.folder / "imagesTr/a_0000.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, np.stack([deep] * 3, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_as_viewers_show_them(folders, tmp_path, orientation):
    images, masks = folders
    seen = np.stack([MASK * 200] * 3, -1)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what turns the seen picture to the stored
    stored = Image.fromarray(seen)
    if orientation > 1:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[274] = orientation
    stored.save(images / "a.jpg", exif=exif, quality=100)
    picture(masks / "a.png", MASK)
    done = convert(images, masks, tmp_path / "Dataset510_X")
    written = read(done.folder / "imagesTr/a_0000.png")
    assert np.array_equal(written[..., 1] > 100, MASK > 0)
    assert np.array_equal(read(done.folder / "labelsTr/a.png"), MASK)
    if orientation > 4:
        picture(masks / "a.png", np.asarray(stored)[..., 0])
        with pytest.raises(InputError, match=r"a\.jpg only without the image's EXIF orientation"):
            convert(images, masks, tmp_path / "Dataset511_X")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_damaged_exif_data_is_ignored(folders, tmp_path, ending):
    images, masks = folders
    Image.fromarray(MASK * 200).save(images / f"a.{ending}", exif=b"Exif\x00\x00nonsense")
    picture(masks / "a.png", MASK)
    done = convert(images, masks, tmp_path / "Dataset510_X")
    assert np.array_equal(read(done.folder / "imagesTr/a_0000.png") > 100, MASK > 0)


@pytest.mark.parametrize("ending", ["tif", "png", "nii.gz"])
def test_broken_images_are_named(folders, tmp_path, ending):
    images, masks = folders
    (images / f"a.{ending}").write_bytes(b"II*\0 no image")
    picture(masks / "a.png", MASK)
    with pytest.raises(InputError, match=rf"a\.{ending}: cannot be read as an image"):
        convert(images, masks, tmp_path / "Dataset510_X")


def test_a_picture_of_a_tiff_is_decoded_once(folders, tmp_path, monkeypatch):
    images, masks = folders
    tifffile.imwrite(images / "a.tif", MASK * 9)
    tifffile.imwrite(images / "b.tif", MASK * 9)
    for case in "ab":
        picture(masks / f"{case}.png", MASK)
    decoded = []
    asarray = tifffile.TiffFile.asarray
    monkeypatch.setattr(
        tifffile.TiffFile,
        "asarray",
        lambda file, *rest, **named: decoded.append(file.filename) or asarray(file, *rest, **named),
    )
    convert(images, masks, tmp_path / "Dataset510_X")
    assert decoded.count("b.tif") == 1


def test_sizes_that_differ_are_named(folders, tmp_path):
    fill(folders, image=np.zeros((20, 31, 3), np.uint8))
    with pytest.raises(InputError, match=r"\(20, 30\).*\(20, 31\)"):
        convert(*folders, tmp_path / "Dataset510_X")


@pytest.mark.parametrize("share", [-0.1, 1.0, 0.95])
def test_a_share_that_leaves_nothing_to_train_on_is_refused(folders, tmp_path, share):
    fill(folders)
    with pytest.raises(InputError, match="--test-share"):
        convert(*folders, tmp_path / "Dataset510_X", test_share=share)
