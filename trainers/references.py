"""Masks that nnU-Net does not train on: finding them in the raw data set, comparing with them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.utilities.json_export import recursive_fix_for_json_export
from nnunetv2.utilities.utils import create_lists_from_splitted_dataset_folder

from anl_seg.errors import InputError


def find_masks(dataset: str, folder: str, cases: Collection[str], ending: str) -> dict[str, Path]:
    """Find the masks of all `cases` in a folder of the raw data set of that name.

    Raises:
        InputError: If a mask, the folder or nnUNet_raw is missing.
    """
    base = _raw_folder(dataset, folder)
    masks = {case: base / f"{case}{ending}" for case in cases}
    missing = [mask.name for mask in masks.values() if not mask.is_file()]
    if missing:
        raise InputError(
            f"{base} lacks {len(missing)} of the {len(masks)} masks, the first {missing[0]}"
        )
    return masks


def find_test_images(dataset: str, ending: str) -> dict[str, list[str]]:
    """List the files of each test image of the raw data set, one a channel, by case.

    Raises:
        InputError: If there are none.
    """
    folder = _raw_folder(dataset, "imagesTs")
    images = create_lists_from_splitted_dataset_folder(str(folder), ending)
    if not images:
        raise InputError(f"{folder} holds no images that end in {ending}")
    return {Path(each[0]).name.removesuffix(f"_0000{ending}"): each for each in images}


def _raw_folder(dataset: str, folder: str) -> Path:
    raw = os.environ.get("nnUNet_raw")
    if not raw:
        raise InputError("the variable nnUNet_raw is not set")
    path = Path(raw, dataset, folder)
    if not path.is_dir():
        raise InputError(f"there is no folder {path}")
    return path


def compare(
    predictions: Path,
    references: Mapping[str, Path],
    output: Path,
    labels: Any,  # noqa: ANN401 (nnU-Net carries no types)
    reader: Any,  # noqa: ANN401
) -> float:
    """Write a summary like nnU-Net's of predictions against references of the same file names.

    Args:
        predictions: The folder of the predicted masks.
        references: Masks by case.
        output: The summary.
        labels: nnU-Net's label manager.
        reader: nnU-Net's reader of the masks.

    Returns:
        The mean over cases, then over foreground classes, of Dice.
    """
    classes = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    cases = []
    for reference in references.values():
        prediction = str(predictions / reference.name)
        cases.append(
            compute_metrics(str(reference), prediction, reader, classes, labels.ignore_label)
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # a class that no case has
        means = {
            label: {
                name: float(np.nanmean([case["metrics"][label][name] for case in cases]))
                for name in cases[0]["metrics"][label]
            }
            for label in classes
        }
    dice = float(np.mean([mean["Dice"] for mean in means.values()]))
    for case in cases:
        recursive_fix_for_json_export(case)
    result = {"metric_per_case": cases, "mean": means, "foreground_mean": {"Dice": dice}}
    save_summary_json(result, str(output))
    return dice
