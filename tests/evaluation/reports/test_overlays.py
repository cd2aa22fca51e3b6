"""Outlines lie on the borders of masks, and pictures below them."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image, ImageDraw

from anl_seg.errors import InputError
from anl_seg.evaluation.reports.overlays import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    OTHER_CLASS,
    CaseFiles,
    draw_overlay,
)
from anl_seg.formats.html_pictures import MAX_SIDE, find_pictures, outline


def filled(path, shape):
    """Fill the outlines by the even-odd rule with Pillow, enlarged tenfold."""
    inside = np.zeros((10 * shape[0], 10 * shape[1]), dtype=bool)
    for line in re.findall(r"M([^Z]*)Z", path):
        points = [tuple(10 * float(x) for x in point.split()) for point in line.split("L")]
        picture = Image.new("1", inside.shape[::-1])
        ImageDraw.Draw(picture).polygon(points, fill=1)
        inside ^= np.asarray(picture)
    return inside[5::10, 5::10]  # the middle of each pixel


@pytest.mark.parametrize("seed", range(3))
def test_outlines_enclose_the_mask(seed):
    mask = np.random.default_rng(seed).random((9, 13)) < 0.5
    assert np.array_equal(filled(outline(mask), mask.shape), mask)


def test_outlines_close_at_the_border_and_skip_straight_points():
    path = outline(np.ones((3, 50), dtype=bool))
    assert path.count("M") == 1
    assert path.count("L") <= 8, "a bar has few corners however long it is"
    assert filled(path, (3, 50)).all()


def test_nothing_has_no_outline():
    assert outline(np.zeros((4, 4), dtype=bool)) == ""


def write(path, array):
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    return path


def test_all_classes_and_masks_are_outlined(tmp_path):
    labels = np.zeros((20, 30), dtype=np.uint8)
    labels[2:6, 2:6], labels[10:15, 10:15] = 1, 2
    clean = write(tmp_path / "a.png", labels)
    empty = write(tmp_path / "b.png", np.zeros_like(labels))
    overlay = draw_overlay(CaseFiles(clean, {"run": empty}), [0, 1, (1, 2)])
    assert (overlay.width, overlay.height, overlay.plane) == (30, 20, "")
    assert overlay.picture is None
    assert "".join(overlay.reference.values()).count("M") == 3, (
        "class 1, and the region's two parts"
    )
    assert overlay.predictions["run"].outlines == {}


def test_large_masks_are_thinned_out(tmp_path):
    file = write(tmp_path / "a.png", np.ones((3 * MAX_SIDE, 100), dtype=np.uint8))
    overlay = draw_overlay(CaseFiles(file, {}), [1])
    assert (overlay.width, overlay.height) == (34, MAX_SIDE)


def test_the_slice_with_most_foreground_of_a_volume(tmp_path):
    volume = np.zeros((4, 8, 9), dtype=np.uint8)
    volume[1, 2:4, 2:4], volume[2, 2:6, 2:6] = 1, 1
    image = np.arange(4 * 8 * 9, dtype=np.int16).reshape(4, 8, 9)
    files = CaseFiles(write(tmp_path / "a.nii.gz", volume), {}, write(tmp_path / "i.nii.gz", image))
    overlay = draw_overlay(files, [1])
    assert overlay.plane == "slice 3 of 4"
    assert np.array_equal(filled(overlay.reference[0], (8, 9)), volume[2])
    assert shown(overlay).size == (9, 8)


def test_the_slice_with_most_wrong_pixels_of_a_volume(tmp_path):
    reference = np.zeros((4, 8, 9), dtype=np.uint8)
    reference[1:3] = 1
    prediction = reference.copy()
    prediction[3, :2], prediction[0] = 1, 2
    files = CaseFiles(
        write(tmp_path / "r.nii.gz", reference), {"run": write(tmp_path / "p.nii.gz", prediction)}
    )
    overlay = draw_overlay(files, [1, 2])
    assert (overlay.plane, overlay.plane_reason) == ("slice 1 of 4", "most wrong pixels")
    reference[0] = 5
    write(tmp_path / "r.nii.gz", reference)
    overlay = draw_overlay(files, [1, 2], ignore_label=5)
    assert overlay.plane == "slice 4 of 4", "ignored pixels are never wrong"


def test_wrong_pixels_are_filled(tmp_path):
    reference = np.array([[0, 0, 1, 1, 0, 5], [0, 0, 1, 2, 0, 5]], dtype=np.uint8)
    prediction = np.array([[0, 0, 1, 0, 0, 1], [0, 1, 1, 1, 0, 1]], dtype=np.uint8)
    files = CaseFiles(
        write(tmp_path / "r.png", reference), {"run": write(tmp_path / "p.png", prediction)}
    )
    panel = draw_overlay(files, [1, 2], ignore_label=5).predictions["run"]
    assert panel.errors_box == (1, 0, 3, 2)
    kind, data = panel.errors.split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    nothing = (0, 0, 0, 0)
    assert [[tuple(pixel) for pixel in row] for row in pixels.tolist()] == [
        [nothing, nothing, FALSE_NEGATIVE],
        [FALSE_POSITIVE, nothing, OTHER_CLASS],
    ]


def shown(overlay):
    kind, data = overlay.picture.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("name", ["i.png", "i.tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_values_can_be_seen(tmp_path, dtype, name):
    """16 bits are spread over the screen's 8, not cut off."""
    mask = write(tmp_path / "a.png", np.ones((16, 16), dtype=np.uint8))
    ramp = np.repeat(np.linspace(0, np.iinfo(dtype).max, 16, dtype=dtype)[None], 16, axis=0)
    grey = np.asarray(shown(draw_overlay(CaseFiles(mask, {}, write(tmp_path / name, ramp)), [1])))
    assert grey[8, 0].max() < 20
    assert 90 < grey[8, 7].mean() < 140
    assert grey[8, 15].min() > 235


def test_photos_below_the_outlines_are_turned_as_viewers_show_them(tmp_path):
    seen = np.zeros((16, 24), np.uint8)
    seen[:4] = 255
    mask = write(tmp_path / "a.png", (seen > 0).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6  # stored a quarter turn to the left
    Image.fromarray(np.rot90(seen)).save(tmp_path / "photo.jpg", exif=exif)
    grey = np.asarray(shown(draw_overlay(CaseFiles(mask, {}, tmp_path / "photo.jpg"), [1])))
    assert grey.shape == (16, 24, 3)
    assert grey[1].min() > 200
    assert grey[8:].max() < 50


def test_images_of_nnunet_are_shown_as_nnunet_reads_them(tmp_path):
    """nnU-Net ignores the orientation in a PNG, so masks and predictions fit the stored pixels."""
    stored = np.zeros((16, 24), np.uint8)
    stored[:4] = 255
    mask = write(tmp_path / "a.png", (stored > 0).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "a_0000.png", exif=exif)
    reader = pytest.importorskip("nnunetv2.imageio.natural_image_reader_writer").NaturalImage2DIO()
    read, _ = reader.read_images([str(tmp_path / "a_0000.png")])
    grey = np.asarray(shown(draw_overlay(CaseFiles(mask, {}, tmp_path / "a_0000.png"), [1])))
    assert read[0, 0].shape == grey.shape[:2] == stored.shape
    assert np.abs(grey[..., 0] - read[0, 0]).max() < 50


def test_images_are_found_by_either_name(tmp_path):
    for name in ("a.png", "a.b_0000.nii.gz", "a.json", "c.JPG"):
        (tmp_path / name).touch()
    assert find_pictures(tmp_path, ["a", "a.b", "c"]) == {
        "a": tmp_path / "a.png",
        "c": tmp_path / "c.JPG",
        "a.b": tmp_path / "a.b_0000.nii.gz",
    }


def test_missing_and_wrong_images(tmp_path):
    with pytest.raises(InputError, match="no image for 2 of 2 cases: x, y"):
        find_pictures(tmp_path, ["x", "y"])
    with pytest.raises(InputError, match="no such folder"):
        find_pictures(tmp_path / "none", ["x"])
    mask = write(tmp_path / "m.nii.gz", np.ones((2, 3, 4), dtype=np.uint8))
    other = write(tmp_path / "o.nii.gz", np.ones((2, 3, 5), dtype=np.uint8))
    with pytest.raises(InputError, match="both must be on one grid"):
        draw_overlay(CaseFiles(mask, {}, other), [1])
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken.png: cannot be read"):
        draw_overlay(CaseFiles(mask, {}, tmp_path / "broken.png"), [1])
