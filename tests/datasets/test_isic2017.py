"""The converter: its output, and errors of bad input before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anl_seg.datasets import isic2017
from anl_seg.errors import InputError

SAMPLE = Path(__file__).parents[3] / "shared/data/isic2017-sample"


def write_pair(src: Path, name: str, mask: np.ndarray, *, part: str = "training") -> None:
    """Write a pair into the challenge's layout; red grows to the right, green downwards."""
    images, masks = {
        "training": (isic2017.TRAINING_IMAGES, isic2017.TRAINING_MASKS),
        "test": (isic2017.TEST_IMAGES, isic2017.TEST_MASKS),
    }[part]
    height, width = mask.shape
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, width)
    image[..., 1] = np.linspace(0, 255, height)[:, None]
    for folder, picture, ending in ((images, image, ".jpg"), (masks, mask, "_segmentation.png")):
        (src / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(src / folder / f"{name}{ending}")


@pytest.fixture
def src(tmp_path):
    folder = tmp_path / "challenge"
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 15:45] = 255
    for name in ("ISIC_1", "ISIC_2", "ISIC_3"):
        write_pair(folder, name, mask)
    write_pair(folder, "ISIC_4", mask, part="test")
    return folder


@pytest.fixture
def dst(tmp_path):
    return tmp_path / "raw" / "Dataset501_ISIC2017"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def refusal(src: Path, dst: Path) -> str:
    """Return the message with which the conversion fails, having left nothing behind."""
    with pytest.raises(InputError) as caught:
        isic2017.convert(src, dst, size=16)
    assert not dst.parent.exists() or not list(dst.parent.iterdir())
    return str(caught.value)


def test_layout_and_description(src, dst):
    done = isic2017.convert(src, dst, size=16)
    assert done == isic2017.Conversion(
        dst, n_training=3, n_test=1, labels={"background": 0, "lesion": 1}
    )
    assert files(dst) == {
        "dataset.json",
        *(f"imagesTr/ISIC_{i}_0000.png" for i in (1, 2, 3)),
        *(f"labelsTr/ISIC_{i}.png" for i in (1, 2, 3)),
        "imagesTs/ISIC_4_0000.png",
        "labelsTs/ISIC_4.png",
    }
    assert list(dst.parent.iterdir()) == [dst]
    description = json.loads((dst / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "R", "1": "G", "2": "B"}
    assert description["labels"] == {"background": 0, "lesion": 1}
    assert description["numTraining"] == 3
    assert description["file_ending"] == ".png"
    assert description["overwrite_image_reader_writer"] == "NaturalImage2DIO"
    assert description["provenance"]["source"] == str(src.resolve())


def test_image_keeps_its_orientation_and_colours(src, dst):
    isic2017.convert(src, dst, size=16)
    image = read(dst / "imagesTr/ISIC_1_0000.png").astype(int)
    assert image.shape == (16, 16, 3)
    assert (np.diff(image[8, :, 0]) > 0).all()
    assert (np.diff(image[:, 8, 1]) > 0).all()
    assert image[..., 2].max() < 10
    assert image[..., 0].mean() == pytest.approx(127.5, abs=2)


def test_label_is_the_thresholded_triangle_average(tmp_path, dst):
    # Halving weights four neighbouring pixels 1:3:3:1; at the border the outermost 1 is missing.
    # One row is lesion left of the cut, so the left label pixel sees 3:3:1 and the right one 1:3:3.
    masks = {
        "ISIC_none": [0, 0, 0, 0],
        "ISIC_3_of_7": [1, 0, 0, 0],
        "ISIC_6_of_7": [1, 1, 0, 0],
        "ISIC_all": [1, 1, 1, 1],
    }
    for name, row in masks.items():
        write_pair(tmp_path, name, np.tile(np.uint8(row) * np.uint8(255), (4, 1)))
    isic2017.convert(tmp_path, dst, size=2)
    labels = {name: read(dst / f"labelsTr/{name}.png") for name in masks}
    assert {label.dtype for label in labels.values()} == {np.dtype(np.uint8)}
    assert {name: label.tolist() for name, label in labels.items()} == {
        "ISIC_none": [[0, 0], [0, 0]],
        "ISIC_3_of_7": [[0, 0], [0, 0]],
        "ISIC_6_of_7": [[1, 0], [1, 0]],
        "ISIC_all": [[1, 1], [1, 1]],
    }


@pytest.mark.parametrize("mode", ["0/255", "0/1", "bilevel", "all lesion", "no lesion"])
def test_masks_that_are_accepted(tmp_path, dst, mode):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:16, 16:24] = 1
    stored, expected = {
        "0/255": (255 * mask, mask),
        "0/1": (mask, mask),
        "bilevel": (mask.astype(bool), mask),
        "all lesion": (np.full_like(mask, 255), np.ones_like(mask)),
        "no lesion": (np.zeros_like(mask), np.zeros_like(mask)),
    }[mode]
    write_pair(tmp_path, "ISIC_1", stored)
    isic2017.convert(tmp_path, dst, size=32)
    assert np.array_equal(read(dst / "labelsTr/ISIC_1.png"), expected)


def test_without_a_test_set(tmp_path, dst):
    write_pair(tmp_path, "ISIC_1", np.zeros((20, 20), np.uint8))
    assert isic2017.convert(tmp_path, dst, size=16).n_test == 0
    assert {path.name for path in dst.iterdir()} == {"dataset.json", "imagesTr", "labelsTr"}


def test_superpixels_tables_and_hidden_files_are_ignored(src, dst):
    images = src / isic2017.TRAINING_IMAGES
    for name in ("ISIC_1_superpixels.png", "ISIC-2017_Training_Data_metadata.csv", "._ISIC_1.jpg"):
        (images / name).write_text("ignored")
    assert isic2017.convert(src, dst, size=16).n_training == 3


def test_large_jpeg_decoded_at_a_fraction_equals_full_decoding(tmp_path, dst):
    rng = np.random.default_rng(0)
    write_pair(tmp_path, "ISIC_1", np.zeros((512, 768), np.uint8))
    path = tmp_path / isic2017.TRAINING_IMAGES / "ISIC_1.jpg"
    blocks = rng.integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(blocks).resize((768, 512), Image.Resampling.BICUBIC).save(path, quality=95)
    isic2017.convert(tmp_path, dst, size=64)
    with Image.open(path) as image:
        full = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))
    difference = read(dst / "imagesTr/ISIC_1_0000.png").astype(int) - full.astype(int)
    assert np.abs(difference).max() <= 3


def test_progress_covers_every_case(src, dst):
    seen = []

    def track(items, description):
        for item in items:
            seen.append(description)
            yield item

    isic2017.convert(src, dst, size=16, track=track)
    assert seen == ["converting"] * 4


def test_all_bad_files_are_named_and_counted_at_once(src, dst):
    images, masks = src / isic2017.TRAINING_IMAGES, src / isic2017.TRAINING_MASKS
    (masks / "ISIC_1_segmentation.png").unlink()
    (images / "ISIC_2.jpg").write_text("not a picture")
    Image.fromarray(np.array([[0, 1, 7]], np.uint8)).save(masks / "ISIC_2_segmentation.png")
    Image.new("L", (61, 40)).save(masks / "ISIC_3_segmentation.png")
    Image.new("L", (60, 40)).save(masks / "ISIC_9_segmentation.png")
    message = refusal(src, dst)
    assert message.startswith(f"{src}: nothing was written")
    assert message.splitlines()[0].endswith("; 5 problems:")
    assert f"ISIC_1.jpg has no mask ISIC_1_segmentation.png in {masks.name}" in message
    assert f"ISIC_9_segmentation.png has no image ISIC_9.jpg in {images.name}" in message
    assert "ISIC_2.jpg is not an image" in message
    assert "ISIC_2_segmentation.png has the values 0, 1, 7; expected 0 and 255" in message
    assert "ISIC_3_segmentation.png is 61x40, its image 60x40" in message
    assert message.count("\n") == 5


def test_many_bad_files_are_counted_and_the_first_named(src, dst):
    masks = src / isic2017.TRAINING_MASKS
    for number in range(20, 32):
        Image.new("L", (60, 40)).save(masks / f"ISIC_{number}_segmentation.png")
    lines = refusal(src, dst).splitlines()
    assert lines[0].endswith("; 12 problems:")
    assert len(lines) == 12
    assert "ISIC_20_segmentation.png" in lines[1]
    assert "ISIC_29_segmentation.png" in lines[10]
    assert lines[11] == "  and 2 more"


@pytest.mark.parametrize(
    ("mask", "complaint"),
    [
        (np.array([[0, 1, 255]], np.uint8), "the values 0, 1, 255"),
        (np.arange(200, dtype=np.uint8)[None], "the values 0, 1, 2, 3, 4, ..."),
        (np.full((3, 4, 3), (0, 9, 255), np.uint8), "has colours"),
        (np.array([[0, 255]], np.uint16), "mode I;16"),
    ],
)
def test_masks_that_are_refused(src, dst, mask, complaint):
    Image.fromarray(mask).save(src / isic2017.TEST_MASKS / "ISIC_4_segmentation.png")
    assert complaint in refusal(src, dst)


@pytest.mark.parametrize(
    "name",
    [
        f"{isic2017.TRAINING_IMAGES}/ISIC_1.jpg",
        f"{isic2017.TRAINING_MASKS}/ISIC_1_segmentation.png",
    ],
)
def test_truncated_and_text_files(src, dst, name):
    whole = (src / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"a text file"):
        (src / name).write_bytes(content)
        message = refusal(src, dst)
        assert "\n" not in message
        assert name in message


@pytest.mark.parametrize("folder", [isic2017.TRAINING_IMAGES, isic2017.TRAINING_MASKS])
@pytest.mark.parametrize("part", ["training", "test"])
def test_missing_and_empty_folders(src, dst, folder, part):
    if part == "test":
        folder = folder.replace("Training", "Test_v2")
    for path in (src / folder).iterdir():
        path.unlink()
    assert f"{folder} has no files" in refusal(src, dst)
    (src / folder).rmdir()
    assert f"there is no folder {src / folder}" in refusal(src, dst)


def test_existing_destination_is_left_alone(src, dst):
    dst.mkdir(parents=True)
    (dst / "mine").touch()
    with pytest.raises(InputError, match="already exists"):
        isic2017.convert(src, dst)
    assert files(dst) == {"mine"}


@pytest.mark.data
@pytest.mark.skipif(not SAMPLE.exists(), reason=f"no real images in {SAMPLE}")
def test_real_sample_keeps_lesion_areas(dst):
    done = isic2017.convert(SAMPLE, dst)
    assert (done.n_training, done.n_test) == (48, 16)
    for path in (SAMPLE / isic2017.TRAINING_MASKS).glob("*.png"):
        native = (read(path) > 0).mean()
        label = read(dst / "labelsTr" / path.name.replace("_segmentation", ""))
        assert label.shape == (256, 256)
        assert label.mean() == pytest.approx(native, rel=0.01)


SEEN = np.zeros((12, 16), bool)
SEEN[3:9, 4:12] = True


def save_palette(path, white):
    picture = Image.fromarray(SEEN.astype(np.uint8) if white else (~SEEN).astype(np.uint8))
    picture.putpalette(([0] * 3 + [255] * 3) if white else ([255] * 3 + [0] * 3))
    picture.save(path)


@pytest.mark.parametrize(
    "save",
    [
        lambda path: save_palette(path, white=1),
        lambda path: save_palette(path, white=0),  # index 0 is white
        lambda path: Image.fromarray(SEEN).save(path),
        lambda path: Image.fromarray(SEEN * np.uint8(255)).convert("RGB").save(path),
        lambda path: Image.fromarray(SEEN * np.uint8(255)).convert("RGBA").save(path),
        lambda path: Image.fromarray(SEEN * np.uint8(255)).convert("LA").save(path),
        lambda path: Image.fromarray(SEEN * np.uint16(65535)).save(path),
    ],
)
def test_masks_are_read_as_they_look_on_a_screen(src, dst, save):
    path = src / isic2017.TEST_MASKS / "ISIC_4_segmentation.png"
    save(path)
    with Image.open(path) as picture:
        seen = np.asarray(picture.convert("RGB").convert("L")) if picture.mode[0] != "I" else SEEN
    image = Image.new("RGB", (16, 12))
    image.save(src / isic2017.TEST_IMAGES / "ISIC_4.jpg")
    isic2017.convert(src, dst, size=16)
    label = np.asarray(Image.open(dst / "labelsTs" / "ISIC_4.png"))
    assert np.array_equal(seen > 0, SEEN)
    assert label.mean() == pytest.approx(SEEN.mean(), abs=0.02)
    assert label[8, 8] == 1


def test_a_mask_with_transparent_pixels_is_refused(src, dst):
    path = src / isic2017.TEST_MASKS / "ISIC_4_segmentation.png"
    pixels = np.dstack([SEEN * np.uint8(255)] * 4)
    Image.fromarray(pixels, "RGBA").save(path)
    with pytest.raises(InputError, match="has transparent pixels"):
        isic2017.convert(src, dst, size=16)


def test_grey_masks_need_a_threshold(src, dst):
    path = src / isic2017.TEST_MASKS / "ISIC_4_segmentation.png"
    Image.fromarray(SEEN * np.uint8(255)).resize((32, 24), Image.Resampling.BICUBIC).save(path)
    Image.new("RGB", (32, 24)).save(src / isic2017.TEST_IMAGES / "ISIC_4.jpg")
    with pytest.raises(InputError, match="add --threshold 128"):
        isic2017.convert(src, dst, size=16)
    isic2017.convert(src, dst, size=16, threshold=128)
    label = np.asarray(Image.open(dst / "labelsTs" / "ISIC_4.png"))
    assert label.mean() == pytest.approx(SEEN.mean(), abs=0.02)


def test_the_official_validation_set_can_be_the_test_set(src, dst):
    with pytest.raises(InputError, match="ISIC-2017_Validation_Data"):
        isic2017.convert(src, dst, size=16, test="validation")
    for name, kind in zip(isic2017.TEST_SETS["validation"], ("jpg", "png"), strict=True):
        (src / name).mkdir()
        ending = "" if kind == "jpg" else "_segmentation"
        for case in (7, 8, 9):
            Image.new("L", (20, 20)).save(src / name / f"ISIC_{case}{ending}.{kind}")
    done = isic2017.convert(src, dst, size=16, test="validation")
    assert done.n_test == 3
    assert {path.name for path in (dst / "imagesTs").iterdir()} == {
        f"ISIC_{case}_0000.png" for case in (7, 8, 9)
    }
    assert done.ignored == (isic2017.TEST_IMAGES, isic2017.TEST_MASKS)
