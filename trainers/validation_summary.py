"""Summary like nnU-Net's own, for masks that nnU-Net does not know."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.evaluation.evaluate_predictions import compute_metrics, save_summary_json
from nnunetv2.utilities.json_export import recursive_fix_for_json_export


def write_summary(
    predictions: Path,
    references: Mapping[str, Path],
    output: Path,
    labels: Any,  # noqa: ANN401 (nnU-Net carries no types)
    reader: Any,  # noqa: ANN401
) -> float:
    """Compare predictions with references of the same file names, and write nnU-Net's summary.

    Args:
        predictions: Folder of the predicted masks.
        references: Reference masks by case.
        output: The summary file.
        labels: nnU-Net's label manager.
        reader: nnU-Net's reader of the masks.

    Returns:
        Mean Dice over cases, then over foreground classes.
    """
    classes = labels.foreground_regions if labels.has_regions else labels.foreground_labels
    cases = []
    for reference in references.values():
        prediction = str(predictions / reference.name)
        cases.append(
            compute_metrics(str(reference), prediction, reader, classes, labels.ignore_label)
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice")  # a class in no case
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
