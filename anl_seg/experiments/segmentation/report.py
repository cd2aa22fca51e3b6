"""Trainings side by side on one page: Dice per case and mean, and pictures of the masks."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from anl_seg.evaluation import Evaluation, dice, evaluate_folders, iou, summarize, write_results
from anl_seg.evaluation.foreground import case_mean, defined_mean
from anl_seg.experiments.segmentation.pictures import Row, draw_rows
from anl_seg.formats.files import atomic_path, write_text
from anl_seg.formats.noise_manifest import JSON_NAME
from anl_seg.noise import KINDS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """Where the images and masks of a comparison lie.

    Attributes:
        clean: Raw data set with the clean labels.
        noisy: Raw data set with the noisy training labels and the noise manifest.
        test_predictions: Loss -> folder of predictions for the test images.
        training_predictions: Loss -> folder of predictions for the training images.
    """

    clean: Path
    noisy: Path
    test_predictions: Mapping[str, Path]
    training_predictions: Mapping[str, Path]


def write_report(folder: Path, comparison: Comparison, settings: Mapping[str, Any]) -> Path:
    """Score every training on the clean test labels and write one self-contained page.

    Args:
        folder: Gets report.html, its pictures as PNG files, and for every training a folder with
            nnU-Net's summary.json and a CSV of the cases.
        comparison: Where the images and masks lie.
        settings: What was run, printed on the page.

    Returns:
        The path of report.html.

    Raises:
        InputError: If a prediction is missing or cannot be read.
    """
    evaluations = {}
    for loss, predictions in comparison.test_predictions.items():
        evaluations[loss] = evaluate_folders(predictions, comparison.clean / "labelsTs")
        write_results(summarize(evaluations[loss]), folder / predictions.name)
    case_dice = {
        loss: {case.case: case_mean(case, "Dice") for case in evaluation.cases}
        for loss, evaluation in evaluations.items()
    }
    for loss, scores in case_dice.items():
        log.info(
            "%s: mean Dice %.3f on %d test images", loss, defined_mean(scores.values()), len(scores)
        )
    manifest = json.loads((comparison.noisy / JSON_NAME).read_text(encoding="utf-8"))
    pictures = {
        "training.png": draw_rows(_training_rows(comparison, manifest)),
        "test.png": draw_rows(_test_rows(comparison, case_dice)),
    }
    encoded = {}
    for name, figure in pictures.items():
        with atomic_path(folder / name) as partial:
            figure.savefig(partial, dpi=110)
        encoded[name] = base64.b64encode((folder / name).read_bytes()).decode()
    page = Environment(
        loader=PackageLoader("anl_seg.experiments.segmentation", "."),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
    ).get_template("report.html.jinja")
    context = {
        "settings": {key: value for key, value in settings.items() if value is not None},
        "versions": {name: version(name) for name in ("anl-seg", "nnunetv2", "torch", "numpy")},
        "noise": manifest["summary"],
        "losses": list(evaluations),
        "figures": {loss: _figures(evaluation) for loss, evaluation in evaluations.items()},
        "cases": {
            case: [scores[case] for scores in case_dice.values()]
            for case in next(iter(case_dice.values()))
        },
        "pictures": encoded,
    }
    write_text(folder / "report.html", page.render(context))
    return folder / "report.html"


def _figures(evaluation: Evaluation) -> dict[str, float]:
    """Mean and pooled figures of the one foreground class, the lesion."""
    (summary,) = (s for label, s in summarize(evaluation).classes.items() if label != 0)
    return {
        "mean Dice": summary.mean["Dice"],
        "mean IoU": summary.mean["IoU"],
        "pooled Dice": dice(summary.pooled),
        "pooled IoU": iou(summary.pooled),
        "cases": summary.n_scored,
    }


def _training_rows(comparison: Comparison, manifest: Mapping[str, Any]) -> list[Row]:
    """One training case of every kind of noise: what was taught, and what was learnt from it."""
    masks = {
        "clean mask": comparison.clean / "labelsTr",
        "noisy mask": comparison.noisy / "labelsTr",
        **comparison.training_predictions,
    }
    rows = []
    for kind in KINDS:
        case = next((row["case"] for row in manifest["cases"] if row["kind"] == kind), None)
        if case is not None:
            rows.append(_row(f"{kind}: {case}", comparison.clean / "imagesTr", case, masks))
    return rows


def _test_rows(comparison: Comparison, case_dice: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The worst, the median and the best test case by mean Dice over the trainings."""
    means = {
        case: defined_mean(scores[case] for scores in case_dice.values())
        for case in next(iter(case_dice.values()))
    }
    ranked = sorted(means, key=lambda case: (means[case], case))
    chosen = {"worst": ranked[0], "median": ranked[len(ranked) // 2], "best": ranked[-1]}
    masks = {"clean mask": comparison.clean / "labelsTs", **comparison.test_predictions}
    images = comparison.clean / "imagesTs"
    return [_row(f"{rank}: {case}", images, case, masks) for rank, case in chosen.items()]


def _row(title: str, images: Path, case: str, masks: Mapping[str, Path]) -> Row:
    return Row(
        title=title,
        image=images / f"{case}_0000.png",
        masks={name: folder / f"{case}.png" for name, folder in masks.items()},
    )
