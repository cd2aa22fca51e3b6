"""Masks and test images of the raw data set of a training."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from nnunetv2.utilities.utils import create_lists_from_splitted_dataset_folder

from anl_seg.errors import InputError
from anl_seg.formats.nnunet import RAW, TEST_IMAGES, case_of_image, root_folder


def find_masks(dataset: str, folder: str, cases: Collection[str], ending: str) -> dict[str, Path]:
    """Find the masks of all `cases` in a folder of a raw data set.

    Args:
        dataset: Name of the data set, such as "Dataset501_ISIC2017".
        folder: Name of the folder, such as "labelsTr_clean".
        cases: Names of the cases.
        ending: Ending of the files, such as ".png".

    Returns:
        Files by case.

    Raises:
        InputError: If a mask, the folder or nnUNet_raw is missing.
    """
    base = _subfolder(dataset, folder)
    masks = {case: base / f"{case}{ending}" for case in cases}
    missing = [mask.name for mask in masks.values() if not mask.is_file()]
    if missing:
        raise InputError(
            f"{base} lacks {len(missing)} of the {len(masks)} masks, the first {missing[0]}"
        )
    return masks


def has_folder(dataset: str, folder: str) -> bool:
    """Return whether a raw data set has a folder, such as "labelsTr_clean".

    Raises:
        InputError: If nnUNet_raw is not set.
    """
    return (root_folder(RAW) / dataset / folder).is_dir()


def find_test_images(dataset: str, ending: str) -> dict[str, list[str]]:
    """List the files of each test image of a raw data set, one per channel, by case.

    Raises:
        InputError: If there are no test images, or their names lack the number of the channel.
    """
    folder = _subfolder(dataset, TEST_IMAGES)
    images = create_lists_from_splitted_dataset_folder(str(folder), ending)
    if not images:
        raise InputError(f"{folder} contains no images that end in {ending}")
    return {case_of_image(Path(each[0]), ending): each for each in images}


def _subfolder(dataset: str, folder: str) -> Path:
    path = root_folder(RAW) / dataset / folder
    if not has_folder(dataset, folder):
        raise InputError(f"there is no folder {path}")
    return path
