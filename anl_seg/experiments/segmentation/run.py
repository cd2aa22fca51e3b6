"""One segmentation run: data sets, training with nnU-Net, Dice on the test images."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
import statistics
from pathlib import Path

from filelock import FileLock

from anl_seg.devices import choose_device
from anl_seg.errors import CommandFailedError, named
from anl_seg.evaluation import Evaluation, evaluate_folders, summarize
from anl_seg.experiments.outcome import Outcome
from anl_seg.experiments.segmentation.data_sets import (
    BASE_PLANS,
    data_name,
    prepare_clean,
    prepare_noisy,
)
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.settings import SegmentationSettings
from anl_seg.formats.nnunet import TEST_IMAGES, TEST_LABELS
from anl_seg.formats.noise_manifest import JSON_NAME as MANIFEST_NAME
from anl_seg.formats.text import read_json
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.settings import TrainerSettings

log = logging.getLogger(__name__)


def run_segmentation(settings: SegmentationSettings, folder: Path, shared: Path) -> Outcome:
    """Do the missing steps of a run.

    Args:
        settings: Settings of the run.
        folder: Folder for nnU-Net's results, the predictions for the test images, and logs.
        shared: Folder for the data sets, shared by all runs on the same images.

    Returns:
        Metrics of the run, and the SHA-256 of its noise manifest.

    Raises:
        InputError: If the data cannot be used, or this machine does not have the device.
        CommandFailedError: If a command of nnU-Net fails.
    """
    device = choose_device(None if settings.device == "auto" else settings.device)
    data = NnUNet(shared / data_name(settings), device)
    data.root.mkdir(parents=True, exist_ok=True)
    with FileLock(data.root / ".lock"):  # other runs wait until this one has prepared the data
        prepare_clean(settings, data)
        dataset = prepare_noisy(settings, data)
    nnunet = dataclasses.replace(data, output=folder)
    plans = re.sub("_+", "_", f"plans_{folder.name}".replace("+", "_").replace("*", "_star"))
    write_plans(
        data.preprocessed / dataset,
        BASE_PLANS,
        plans,
        settings.training,
        small=settings.small,
        overwrite=True,
    )
    log.info("training")
    for epoch in nnunet.train(_number(dataset), plans, settings.fold):
        log.info("epoch %d", epoch)
    manifest = (data.raw / dataset / MANIFEST_NAME).read_bytes()
    return Outcome(
        metrics=_metrics(settings, nnunet, dataset, plans, folder),
        noise_sha256=hashlib.sha256(manifest).hexdigest(),
    )


def _number(dataset: str) -> int:
    """Return 502 for "Dataset502_Noisy"."""
    return int(dataset.removeprefix("Dataset").split("_")[0])


def _mean_of_last_epochs(training: TrainerSettings, trained: Path) -> float:
    """Return the mean test Dice over the last epochs of a protocol; all of them must exist."""
    path = trained / "test_dice.json"
    if not path.exists():
        raise CommandFailedError(
            f"{path} does not exist; the lines with 'no test Dice' in {trained}/training_log_*.txt "
            "say why"
        )
    curve: dict[str, float] = read_json(path)
    epochs = int(training.epochs or 0)
    last = [str(epoch) for epoch in range(epochs)][-training.schedule.test_epochs :]
    if missing := [epoch for epoch in last if epoch not in curve]:
        raise CommandFailedError(
            f"{path} lacks the epochs {named(missing)} of the last {len(last)}; delete {trained} "
            "to train again"
        )
    return statistics.mean(curve[epoch] for epoch in last)


def _metrics(
    settings: SegmentationSettings, nnunet: NnUNet, dataset: str, plans: str, folder: Path
) -> dict[str, float]:
    """Compute the Dice of validation images, and predict and score the test images, if any.

    `test_dice` is the mean over the last epochs if the protocol tests them, otherwise the Dice of
    the final network. `test_area` is the mean over the images of predicted over reference area.
    """
    trained = nnunet.trained(dataset, plans, settings.fold)
    found: dict[str, float] = {}
    for name, summary in {
        "validation_dice": "summary.json",
        "validation_dice_clean": "summary_clean.json",
    }.items():
        path = trained / "validation" / summary
        if path.exists():
            found[name] = read_json(path)["foreground_mean"]["Dice"]
    images, labels = (nnunet.raw / dataset / part for part in (TEST_IMAGES, TEST_LABELS))
    if images.is_dir():
        predictions = folder / "predictions"
        for _ in nnunet.predict(_number(dataset), plans, images, predictions, settings.fold):
            pass
        found |= _test_metrics(evaluate_folders(predictions, labels))
    if images.is_dir() and settings.training.schedule.test_epochs:
        found["test_dice"] = _mean_of_last_epochs(settings.training, trained)
    return found


def _test_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the mean Dice and the mean ratio of areas of the only foreground class."""
    (label,) = (label for label in evaluation.labels.names if label != 0)
    counts = [case.counts[label] for case in evaluation.cases]
    areas = [(each.tp + each.fp) / (each.tp + each.fn) for each in counts if each.tp + each.fn]
    found = {"test_dice": summarize(evaluation).classes[label].mean["Dice"]}
    return found | ({"test_area": statistics.mean(areas)} if areas else {})
