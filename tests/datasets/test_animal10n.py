"""Animal-10N, on a tiny tree of the official layout."""

from __future__ import annotations

import pytest

from anl_seg.datasets.classification import load
from anl_seg.errors import InputError


@pytest.fixture
def root(tmp_path):
    for name in ("training/0_1.jpg", "training/9_20.jpg", "training/4_3.JPG", "testing/5_7.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "training/readme.txt").touch()
    return tmp_path


def test_labels_are_in_the_file_names(root):
    data = load("animal10n", root)
    assert [path.name for path in data.train_files] == ["0_1.jpg", "4_3.JPG", "9_20.jpg"]
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([0, 4, 9], [5])
    assert (data.classes[4], data.classes[5], data.classes[9]) == (
        *("cheetah", "jaguar", "guinea pig"),
    )


def test_files_without_a_label(root):
    (root / "testing/cat.jpg").touch()
    (root / "testing/12_4.jpg").touch()
    with pytest.raises(InputError, match="2 files without a label") as error:
        load("animal10n", root)
    assert "testing/cat.jpg has no label" in str(error.value)


def test_missing_part(root):
    (root / "testing/5_7.jpg").unlink()
    with pytest.raises(InputError, match="a list of images is empty"):
        load("animal10n", root)
    (root / "testing").rmdir()
    with pytest.raises(InputError, match=r"testing is missing\nAnimal-10N: ask for the raw"):
        load("animal10n", root)
