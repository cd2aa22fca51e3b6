"""nnU-Net's environment variables and the folders of its data sets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.text import read_json

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
VARIABLES = (RAW, PREPROCESSED, RESULTS)

#: Name of our trainer for `nnUNetv2_train -tr`.
TRAINER = "nnUNetTrainerANL"

#: Parts of a raw data set, and nnU-Net's file of folds in the preprocessed one.
IMAGES, LABELS = "imagesTr", "labelsTr"
TEST_IMAGES, TEST_LABELS = "imagesTs", "labelsTs"
DATASET_JSON = "dataset.json"
SPLITS, FINGERPRINT = "splits_final.json", "dataset_fingerprint.json"

#: nnU-Net's own plans, and the checkpoint that it predicts with.
PLANS = "nnUNetPlans"
CHECKPOINT, BEST_CHECKPOINT = "checkpoint_final.pth", "checkpoint_best.pth"

#: Folder of the clean labels in a noisy raw data set. nnU-Net ignores it.
CLEAN_LABELS = "labelsTr_clean"

#: Advice if a folder of nnU-Net's has no data set of the given id or name.
REMEDIES = {
    RAW: "check the id, or make the data set with `anl-seg convert`",
    PREPROCESSED: "run `nnUNetv2_plan_and_preprocess -d ID` first",
    RESULTS: "train with `nnUNetv2_train` first",
}


def image_name(case: str, ending: str, channel: int = 0) -> str:
    """Return nnU-Net's name of an image file, such as "case_0000.png"."""
    return f"{case}_{channel:04d}{ending}"


def case_of_image(path: Path, ending: str) -> str:
    """Return the case that an image file belongs to: "case" for "case_0000.png".

    Raises:
        InputError: If the name does not end in the number of a channel.
    """
    found = re.fullmatch(r"(.+)_\d{4}", path.name.removesuffix(ending), re.DOTALL)
    if not found:
        raise InputError(
            f"{path}: names of images end in the number of the channel, {image_name('', ending)}; "
            "rename all images"
        )
    return found[1]


def root_folder(variable: str) -> Path:
    """Return the folder in one of nnU-Net's variables.

    Args:
        variable: One of `VARIABLES`.

    Raises:
        InputError: If the variable is not set.
    """
    root = os.environ.get(variable)
    if not root:
        raise InputError(
            f"the variable {variable} is not set; run: export {variable}=/path/to/{variable}"
        )
    return Path(root)


def find_dataset(dataset: str, variable: str) -> Path:
    """Find the folder of a data set by its id or name, such as "501" or "Dataset501_ISIC".

    Args:
        dataset: The id or name.
        variable: One of `VARIABLES`, the root folder of the search.

    Raises:
        InputError: If the variable is not set, or its folder has no or several matching data sets.
    """
    root = root_folder(variable)
    if not re.fullmatch(r"[\w-]+", dataset):
        raise InputError(f"-d takes the id or name of a data set, such as 501, got {dataset!r}")
    found = _matching(root, dataset)
    if not found:
        raw = os.environ.get(RAW)
        if variable != RAW and raw and not _matching(Path(raw), dataset):
            raise InputError(f"no data set {dataset} in {root} or in {raw}; {REMEDIES[RAW]}")
        number = re.sub(r"Dataset0*(\d+)_.*", r"\1", dataset)
        remedy = REMEDIES[variable].replace("-d ID", f"-d {number}")
        raise InputError(f"no data set {dataset} in {root}; {remedy}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(
            f"{dataset} matches several data sets in {root}: {names}; give the full name"
        )
    return found[0]


def _matching(root: Path, dataset: str) -> list[Path]:
    """List the folders of the data sets in `root` with this id or name."""
    pattern = f"Dataset{int(dataset):03d}_*" if dataset.isdecimal() else dataset
    return sorted(path for path in root.glob(pattern) if path.is_dir())


def read_splits(path: Path) -> list[dict[str, list[str]]]:
    """Read nnU-Net's folds: for each fold the cases of "train" and "val".

    Raises:
        InputError: If the file is not JSON, or not a list of such objects.
        OSError: If the file does not exist or cannot be read.
    """
    content = read_json(path)
    if not isinstance(content, list) or not all(_is_fold(each) for each in content):
        raise InputError(
            f"{path}: is not nnU-Net's list of folds, each with the names of train and val; "
            "correct the file, or delete it so that nnU-Net makes new folds"
        )
    return content


def _is_fold(content: Any) -> bool:  # noqa: ANN401 (whatever JSON holds)
    return isinstance(content, dict) and all(map(_is_names, map(content.get, ("train", "val"))))


def _is_names(content: Any) -> bool:  # noqa: ANN401
    return isinstance(content, list) and all(isinstance(name, str) for name in content)


def raw_folder(given: Path | None = None) -> Path:
    """Return `given`, or the folder in nnU-Net's variable `nnUNet_raw`.

    Raises:
        InputError: If `given` is None and the variable is not set.
    """
    return root_folder(RAW) if given is None else given


def new_dataset_folder(raw: Path, dataset_id: int, name: str) -> Path:
    """Return the folder `DatasetXXX_name` in `raw` for a new data set.

    Raises:
        InputError: If nnU-Net would not accept the name, or `raw` already has a data set with this
            id.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise InputError(
            f"nnU-Net does not accept the data set name {name!r}; "
            "use letters, digits, - and _, such as ISIC2017"
        )
    taken = sorted(raw.glob(f"Dataset{dataset_id:03d}_*"))
    if taken:
        raise InputError(
            f"{taken[0]} already has the data set id {dataset_id}; "
            "choose another id or delete that folder first"
        )
    return raw / f"Dataset{dataset_id:03d}_{name}"
