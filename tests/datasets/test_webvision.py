"""WebVision-mini and ILSVRC12-val, on tiny trees of the official layout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from anl_seg.datasets.classification import load
from anl_seg.errors import InputError

#: 52 WordNet ids in the order of WebVision's labels, which here is not the alphabetical one.
SYNSETS = [f"n{1000 + (label * 17) % 52:08d}" for label in range(52)]
TRAIN = ["google/q0001/a.jpg 0", "google/q0001/b.jpg 0", "google/q0050/c.jpg 49"]
OUTSIDE = ["google/q0051/d.jpg 50", "flickr/q0060/e.jpg 999"]


def write(path, lines=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def root(tmp_path):
    """WebVision with three training and three validation images of the 50 classes."""
    write(tmp_path / "info/train_filelist_google.txt", TRAIN + OUTSIDE)
    write(tmp_path / "info/val_filelist.txt", ["val01.jpg 3", "val02.jpg 51", "val03.jpg 49"])
    write(tmp_path / "info/synsets.txt", [f"{s} animal {i}, beast" for i, s in enumerate(SYNSETS)])
    for line in TRAIN:
        write(tmp_path / line.split()[0])
    for name in ("val01.jpg", "val03.jpg"):
        write(tmp_path / "val_images_256" / name)
    return tmp_path


@pytest.fixture
def sorted_ilsvrc(root):
    for label, synset in enumerate(SYNSETS):
        write(root / "ILSVRC2012_img_val" / synset / f"ILSVRC2012_val_{label + 1:08d}.JPEG")
    return root


@pytest.fixture
def flat_ilsvrc(root):
    """The images as in the archive, flat, with the devkit: image i is of ILSVRC id 53 - i."""
    for number in range(1, 53):
        write(root / "ILSVRC2012_img_val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    devkit = root / "ILSVRC2012_devkit_t12/data"
    write(devkit / "ILSVRC2012_validation_ground_truth.txt", [str(53 - n) for n in range(1, 53)])
    kinds = [("ILSVRC2012_ID", "f8"), ("WNID", "O"), ("words", "O"), ("num_children", "f8")]
    rows = [(number, synset, "a, b", 0) for number, synset in enumerate(sorted(SYNSETS), start=1)]
    savemat(devkit / "meta.mat", {"synsets": np.array(rows, dtype=kinds)[:, None]})
    return root


def test_first_fifty_classes(sorted_ilsvrc):
    data = load("webvision", sorted_ilsvrc)
    assert [path.name for path in data.train_files] == ["a.jpg", "b.jpg", "c.jpg"]
    assert data.train_files[0] == sorted_ilsvrc / "google/q0001/a.jpg"
    assert data.y_train.tolist() == [0, 0, 49]
    assert [path.name for path in data.test_files] == ["val01.jpg", "val03.jpg"]
    assert data.y_test.tolist() == [3, 49]
    assert len(data.classes) == 50
    assert data.classes[7] == "animal 7, beast"


def test_ilsvrc_in_folders_by_wordnet_id(sorted_ilsvrc):
    """FIELD.md D2: which ImageNet classes are WebVision's first 50."""
    ilsvrc = load("webvision", sorted_ilsvrc).further["ilsvrc12-val"]
    assert ilsvrc.labels.tolist() == list(range(50))
    assert [path.parent.name for path in ilsvrc.files] == SYNSETS[:50]


def test_flat_ilsvrc_with_its_devkit(flat_ilsvrc):
    ilsvrc = load("webvision", flat_ilsvrc).further["ilsvrc12-val"]
    assert len(ilsvrc.files) == 50
    for path, label in zip(ilsvrc.files, ilsvrc.labels, strict=True):
        number = int(path.stem.split("_")[-1])
        assert sorted(SYNSETS)[(53 - number) - 1] == SYNSETS[label]


def test_missing_lists_are_all_named(sorted_ilsvrc):
    """FIELD.md D2: file lists that are not there."""
    shutil.rmtree(sorted_ilsvrc / "info")
    with pytest.raises(InputError) as error:
        load("webvision", sorted_ilsvrc)
    for part in ("3 problems", "train_filelist_google.txt", "synsets.txt", "get info.tar"):
        assert part in str(error.value)


def test_original_images_instead_of_the_resized_ones(sorted_ilsvrc):
    """FIELD.md D2: small or original images."""
    (sorted_ilsvrc / "val_images_256").rename(sorted_ilsvrc / "val_images")
    with pytest.raises(InputError, match=r"val_images_256 is missing\n.*the resized images"):
        load("webvision", sorted_ilsvrc)


def test_missing_images_are_counted(sorted_ilsvrc):
    (sorted_ilsvrc / "google/q0001/b.jpg").unlink()
    (sorted_ilsvrc / "val_images_256/val03.jpg").unlink()
    with pytest.raises(InputError) as error:
        load("webvision", sorted_ilsvrc)
    for part in ("2 missing images", "q0001/b.jpg is missing", "val03.jpg is missing"):
        assert part in str(error.value)


def test_missing_class_of_ilsvrc(sorted_ilsvrc):
    shutil.rmtree(sorted_ilsvrc / "ILSVRC2012_img_val" / SYNSETS[20])
    with pytest.raises(InputError, match=f"{SYNSETS[20]} is missing"):
        load("webvision", sorted_ilsvrc)


def test_flat_images_without_the_devkit(flat_ilsvrc):
    shutil.rmtree(flat_ilsvrc / "ILSVRC2012_devkit_t12")
    with pytest.raises(InputError, match=r"ground_truth\.txt is missing"):
        load("webvision", flat_ilsvrc)


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 400])
def test_damaged_devkit(flat_ilsvrc, content):
    (flat_ilsvrc / "ILSVRC2012_devkit_t12/data/meta.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"meta\.mat is not the devkit's table of classes"):
        load("webvision", flat_ilsvrc)


def test_too_few_classes(sorted_ilsvrc):
    write(sorted_ilsvrc / "info/synsets.txt", SYNSETS[:49])
    with pytest.raises(InputError, match=r"synsets\.txt has fewer than 50 lines"):
        load("webvision", sorted_ilsvrc)


def test_lines_that_are_no_pairs(sorted_ilsvrc):
    write(sorted_ilsvrc / "info/val_filelist.txt", ["val01.jpg 3", "val02.jpg", "val03.jpg x"])
    with pytest.raises(InputError, match="2 lines that cannot be used") as error:
        load("webvision", sorted_ilsvrc)
    assert "val_filelist.txt: 'val02.jpg' is not a file name and a label" in str(error.value)
