"""WebVision-mini: the first 50 classes of WebVision 1.0's Google images, and ILSVRC12-val."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anl_seg.datasets.file_lists import (
    labelled_files,
    read_lines,
    read_pairs,
    require,
    require_images,
)
from anl_seg.datasets.labelled_images import ImageFiles, LabelledFiles
from anl_seg.errors import InputError

N_CLASSES = 50
TRAIN_LIST = "info/train_filelist_google.txt"
VAL_LIST = "info/val_filelist.txt"
#: File with one class per line, in the order of the labels: WordNet id, then names.
SYNSETS = "info/synsets.txt"
VAL_IMAGES = "val_images_256"
ILSVRC_IMAGES = "ILSVRC2012_img_val"
ILSVRC_DEVKIT = "ILSVRC2012_devkit_t12/data"
ILSVRC_LABELS = f"{ILSVRC_DEVKIT}/ILSVRC2012_validation_ground_truth.txt"
ILSVRC_META = f"{ILSVRC_DEVKIT}/meta.mat"


def read(root: Path) -> ImageFiles:
    """List the files of WebVision-mini.

    The test set is WebVision's own validation set, and `further` has "ilsvrc12-val". Its 50 classes
    are found by WordNet id, so the result does not depend on an order of classes.

    Args:
        root: Folder of the unpacked official archives: `info/`, `google/` and `val_images_256/`
            (info.tar, google_resized_256.tar, val_images_256.tar of WebVision 1.0) and ImageNet's
            `ILSVRC2012_img_val/`. The latter is sorted into folders by WordNet id, or flat with
            `ILSVRC2012_devkit_t12/` beside it.

    Raises:
        InputError: If lists, folders or images are missing.
    """
    advice = (
        "WebVision 1.0: get info.tar, google_resized_256.tar and val_images_256.tar (the resized "
        "images) from https://data.vision.ee.ethz.ch/cvl/webvision/download.html; ImageNet: get "
        "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz from https://image-net.org/"
        f"challenges/LSVRC/2012/; unpack all into {root}, the images into {ILSVRC_IMAGES}"
    )
    needed = (TRAIN_LIST, VAL_LIST, SYNSETS, VAL_IMAGES, ILSVRC_IMAGES)
    require((root / name for name in needed), advice)
    train = _listed(root / TRAIN_LIST, root)
    test = _listed(root / VAL_LIST, root / VAL_IMAGES)
    synsets = [line.partition(" ") for line in read_lines(root / SYNSETS)[:N_CLASSES]]
    if len(synsets) < N_CLASSES:
        raise InputError(f"{root / SYNSETS} has fewer than {N_CLASSES} lines.\n{advice}")
    ilsvrc = labelled_files(_ilsvrc(root, [synset for synset, _, _ in synsets], advice))
    require_images("webvision", train, test, ilsvrc, advice=advice)
    return ImageFiles(
        name="webvision",
        train_files=train.files,
        y_train=train.labels,
        test_files=test.files,
        y_test=test.labels,
        classes=tuple(names or synset for synset, _, names in synsets),
        further={"ilsvrc12-val": ilsvrc},
    )


def _listed(file: Path, folder: Path) -> LabelledFiles:
    """Return the images of the first 50 classes in a file list."""
    pairs = read_pairs(file)
    return labelled_files((folder / name, label) for name, label in pairs if label < N_CLASSES)


def _ilsvrc(root: Path, synsets: list[str], advice: str) -> Iterator[tuple[Path, int]]:
    images = root / ILSVRC_IMAGES
    if any((images / synset).is_dir() for synset in synsets):
        require((images / synset for synset in synsets), advice)
        for label, synset in enumerate(synsets):
            yield from ((path, label) for path in sorted((images / synset).glob("*.JPEG")))
        return
    require((root / ILSVRC_LABELS, root / ILSVRC_META), advice)
    label_of_id = _labels_by_ilsvrc_id(root / ILSVRC_META, synsets)
    for number, ilsvrc_id in enumerate(read_lines(root / ILSVRC_LABELS), start=1):
        if ilsvrc_id in label_of_id:
            yield images / f"ILSVRC2012_val_{number:08d}.JPEG", label_of_id[ilsvrc_id]


def _labels_by_ilsvrc_id(meta: Path, synsets: list[str]) -> dict[str, int]:
    """Map the devkit's own numbers of the classes, as written in its lists, to our labels."""
    from scipy.io import loadmat  # slow to import, and only this layout needs it

    try:
        rows: Any = loadmat(meta, squeeze_me=True)["synsets"]
        ids = {str(row["WNID"]): str(int(row["ILSVRC2012_ID"])) for row in rows}
        return {ids[synset]: label for label, synset in enumerate(synsets)}
    except Exception as error:  # scipy raises all kinds of errors on damaged files
        raise InputError(f"{meta} is not the devkit's table of classes ({error})") from error
