"""Clothing-1M: a million photos from shops, labelled by the surrounding text."""

from __future__ import annotations

from pathlib import Path

from anl_seg.datasets.file_lists import (
    labelled_files,
    read_lines,
    read_pairs,
    require,
    require_images,
)
from anl_seg.datasets.labelled_images import ImageFiles, LabelledFiles
from anl_seg.errors import InputError, listed

CLASSES = (
    *("T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker"),
    *("Jacket", "Downcoat", "Suit", "Shawl", "Dress", "Vest", "Underwear"),
)
NOISY_LABELS = "noisy_label_kv.txt"
VERIFIED_LABELS = "clean_label_kv.txt"
TRAIN_KEYS = "noisy_train_key_list.txt"
VAL_KEYS = "clean_val_key_list.txt"
TEST_KEYS = "clean_test_key_list.txt"


def read(root: Path) -> ImageFiles:
    """List Clothing-1M: the million noisy training images, and the clean test and validation sets.

    Args:
        root: Folder with `images/` and, beside it or in `annotations/`, the five lists of keys and
            labels.

    Raises:
        InputError: If lists or images are missing, or keys have no label.
    """
    advice = (
        "Clothing-1M: ask its authors for it (https://github.com/Cysu/noisy_label) and unpack it "
        f"so that {root} contains images/ and the lists of keys and labels, or these in "
        "annotations/"
    )
    lists = root / "annotations" if (root / "annotations").is_dir() else root
    names = (NOISY_LABELS, VERIFIED_LABELS, TRAIN_KEYS, VAL_KEYS, TEST_KEYS)
    require((root / "images", *(lists / name for name in names)), advice)
    noisy, clean = (dict(read_pairs(lists / name)) for name in (NOISY_LABELS, VERIFIED_LABELS))
    train = _listed(root, lists / TRAIN_KEYS, noisy)
    validation = _listed(root, lists / VAL_KEYS, clean)
    test = _listed(root, lists / TEST_KEYS, clean)
    require_images("clothing1m", train, validation, test, advice=advice)
    return ImageFiles(
        name="clothing1m",
        train_files=train.files,
        y_train=train.labels,
        test_files=test.files,
        y_test=test.labels,
        classes=CLASSES,
        further={"validation": validation},
    )


def _listed(root: Path, key_list: Path, label_of: dict[str, int]) -> LabelledFiles:
    keys = read_lines(key_list)
    bad = [
        f"{key} of {key_list.name} has no label from 0 to {len(CLASSES) - 1}"
        for key in keys
        if not 0 <= label_of.get(key, -1) < len(CLASSES)
    ]
    if bad:
        raise InputError(f"{key_list}: {listed(bad, 'keys without a label:')}\nget the lists again")
    return labelled_files((root / key, label_of[key]) for key in keys)
