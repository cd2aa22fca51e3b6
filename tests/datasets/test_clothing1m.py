"""Clothing-1M, on a tiny tree of the official layout."""

from __future__ import annotations

import pytest

from anl_seg.datasets.classification import load
from anl_seg.errors import InputError

LISTS = {
    "noisy_label_kv.txt": ["images/0/00/a,1.jpg 3", "images/0/00/b.jpg 13", "images/1/c.jpg 0"],
    "clean_label_kv.txt": ["images/1/c.jpg 5", "images/1/d.jpg 6", "images/1/e.jpg 7"],
    "noisy_train_key_list.txt": ["images/0/00/a,1.jpg", "images/0/00/b.jpg"],
    "clean_train_key_list.txt": ["images/1/e.jpg"],
    "clean_val_key_list.txt": ["images/1/c.jpg"],
    "clean_test_key_list.txt": ["images/1/d.jpg"],
}


def write(root, folder=""):
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, lines in LISTS.items():
        (root / folder / name).write_text("\n".join(lines) + "\n")
    for image in ("0/00/a,1.jpg", "0/00/b.jpg", "1/c.jpg", "1/d.jpg"):
        (root / "images" / image).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / image).touch()
    return root


@pytest.mark.parametrize("folder", ["", "annotations"])
def test_official_layout(tmp_path, folder):
    data = load("clothing1m", write(tmp_path, folder))
    assert data.train_files == (tmp_path / "images/0/00/a,1.jpg", tmp_path / "images/0/00/b.jpg")
    assert data.y_train.tolist() == [3, 13]
    assert (data.test_files[0].name, data.y_test.tolist()) == ("d.jpg", [6])
    validation = data.further["validation"]
    assert (validation.files[0].name, validation.labels.tolist()) == ("c.jpg", [5])  # the clean one
    assert len(data.classes) == 14


def test_clean_training_images_are_not_needed(tmp_path):
    """The paper does not use them."""
    (write(tmp_path) / "clean_train_key_list.txt").unlink()
    assert "e.jpg" not in {path.name for path in load("clothing1m", tmp_path).train_files}


def test_missing_key_lists(tmp_path):
    """FIELD.md D2: copies of the data set go round without them."""
    write(tmp_path)
    for name in ("noisy_train_key_list.txt", "clean_val_key_list.txt"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError) as error:
        load("clothing1m", tmp_path)
    for part in ("2 problems", "noisy_train_key_list.txt is missing", "ask its authors"):
        assert part in str(error.value)


def test_keys_without_a_label(tmp_path):
    write(tmp_path)
    (tmp_path / "noisy_label_kv.txt").write_text("images/0/00/b.jpg 14\n")
    with pytest.raises(InputError, match="2 keys without a label") as error:
        load("clothing1m", tmp_path)
    assert "images/0/00/b.jpg of noisy_train_key_list.txt has no label from 0" in str(error.value)


def test_missing_images(tmp_path):
    write(tmp_path)
    (tmp_path / "images/1/d.jpg").unlink()
    with pytest.raises(InputError, match=r"images/1/d\.jpg is missing\nClothing-1M: ask"):
        load("clothing1m", tmp_path)


def test_list_that_is_not_text(tmp_path):
    write(tmp_path)
    (tmp_path / "clean_val_key_list.txt").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InputError, match=r"clean_val_key_list\.txt is not a text file"):
        load("clothing1m", tmp_path)
