"""Demo from bad masks to a report: nnU-Net's own loss and our default side by side."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import InputError
from anl_seg.evaluation.conclusions import conclude
from anl_seg.evaluation.reports.comparison import compare_folders
from anl_seg.evaluation.reports.plots import Plot, curves
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.steps import (
    COMPARED_METHODS,
    OURS,
    claim,
    fast_precision,
    once,
    plans_name,
    precision_of_network,
    trainings,
)
from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import LABELS, PLANS, SPLITS, TEST_IMAGES, TEST_LABELS
from anl_seg.formats.noise_manifest import JSON_NAME as MANIFEST_NAME
from anl_seg.formats.text import read_json
from anl_seg.noise import NoiseSettings, corrupt_masks
from anl_seg.processes import processors
from anl_seg.progress import Track
from anl_seg.trainers.corrected_labels import CORRECTED_LABELS
from anl_seg.trainers.memorisation import CURVE
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.settings import TrainerSettings

log = logging.getLogger(__name__)

CLEAN_NAME = "Dataset501_ISIC2017"
NOISY_ID, NOISY_NAME = 502, "Dataset502_ISIC2017noisy"
#: Fold to train, the only one.
FOLD = "0"
#: Note in the report of a demo on the phantom, whose files look like real ones.
DRAWN = "the images are drawn by a program, and their cases are named as those of ISIC-2017"
#: Size of the phantom data set. Half of the training images are for validation.
N_TRAINING, N_TEST = 80, 48
#: Most images for validation. Their noisy masks show when the network starts to memorise: with few
#: of them, a fall of their Dice could be chance, and our trainer would correct nothing.
MOST_VALIDATION = 40


@dataclass(frozen=True)
class DemoSettings:
    """Settings of a demo, stored beside its results. A demo resumes only with the same settings.

    Attributes:
        data: Folder in the layout of ISIC-2017, or None for the phantom.
        size: Width and height of the images in pixels.
        eta_alpha: Share of the training masks that are corrupted.
        eta_beta: Changed pixels over foreground pixels of a corrupted mask.
        epochs: Epochs of each training.
        iterations: Training steps per epoch.
        seed: Seed of phantom, noise and training.
    """

    data: str | None = None
    size: int = 64
    eta_alpha: float = 0.7
    eta_beta: float = 0.7
    epochs: int = 30
    iterations: int = 40
    seed: int = 1


def run_demo(folder: Path, settings: DemoSettings, device: str, track: Track) -> Path:
    """Do the missing steps of the demo in a folder.

    Args:
        folder: Folder for nnU-Net's folders, logs, predictions and the report.
        settings: Data, noise and length of the trainings.
        device: "cpu", "cuda" or "mps".
        track: Function that shows the progress of a step.

    Returns:
        Path of the report.

    Raises:
        InputError: If `folder` contains a demo with other settings, or a setting or the data cannot
            be used.
        CommandFailedError: If a command of nnU-Net fails.
    """
    precision = fast_precision(device)
    methods = trainings(settings.epochs, settings.iterations, settings.seed, precision)
    nnunet = NnUNet(folder / "nnunet", device)
    clean, noisy = nnunet.raw / CLEAN_NAME, nnunet.raw / NOISY_NAME

    claim(folder, "demo", asdict(settings), begun=clean.exists(), what="demo", paths=["data"])
    once(folder, "data set", partial(_make_clean_dataset, folder, clean, settings, track))
    once(folder, "noisy masks", partial(_corrupt, clean, noisy, settings, track))
    once(folder, "planning and preprocessing", partial(_preprocess, nnunet, settings.seed))
    for name, training in methods.items():
        plans = plans_name(name)
        train = partial(_train, nnunet, plans, training, track)
        predict = partial(_predict, nnunet, plans, clean / TEST_IMAGES, folder / plans, track)
        once(folder, f"training with {name}", train)
        once(folder, f"predicting with {name}", predict)
    return _report(folder, nnunet, settings, precision, track)


def _report(
    folder: Path, nnunet: NnUNet, settings: DemoSettings, precision: str, track: Track
) -> Path:
    """Compare the predictions for the clean test images, and log the conclusion."""
    clean = nnunet.raw / CLEAN_NAME
    about_correction = _about_correction(nnunet)
    noise = read_json(nnunet.raw / NOISY_NAME / MANIFEST_NAME)["summary"]
    comparison = compare_folders(
        {name: [folder / plans_name(name)] for name in COMPARED_METHODS},
        clean / TEST_LABELS,
        folder / "report",
        images=clean / TEST_IMAGES,
        notes=[
            f"the images are from {settings.data}" if settings.data else DRAWN,
            f"{noise['corrupted']} of {noise['cases']} training masks were corrupted",
            about_correction,
            ", ".join(f"{name} {value}" for name, value in asdict(settings).items() if value)
            + f", {precision_of_network(precision, nnunet.device)} on {nnunet.device}",
        ],
        plots=_memorisation_plots(
            {
                name: nnunet.trained(NOISY_NAME, plans_name(name), FOLD) / CURVE
                for name in COMPARED_METHODS
            }
        ),
        num_processes=processors(),
        track=track,
    )
    for line in (about_correction, *conclude(comparison).lines):
        log.info("%s", line)
    return folder / "report" / "comparison.html"


def _memorisation_plots(files: Mapping[str, Path]) -> list[Plot]:
    """Draw how well each training fits the clean labels, and how many wrong pixels it learns.

    Args:
        files: File of the curve that the trainer wrote, by method.
    """
    points = {
        name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for name, path in files.items()
    }

    def values(key: str) -> dict[str, NDArray[np.float64]]:
        return {name: np.array([p[key] for p in rows], float) for name, rows in points.items()}

    return [
        curves(
            "Memorisation of wrong pixels",
            values("memorised"),
            "share of wrong pixels",
            caption="Share of the mislabelled training pixels that the network predicts with their "
            "wrong label. A rising curve means that it learns the noise.",
        ),
        curves(
            "Fit of the clean training labels",
            values("dice_clean"),
            "Dice",
            caption="Dice of the training patches with the clean labels, not used in training.",
        ),
    ]


def _about_correction(nnunet: NnUNet) -> str:
    """Say whether our trainer has corrected its labels."""
    if (nnunet.trained(NOISY_NAME, plans_name(OURS), FOLD) / CORRECTED_LABELS).is_dir():
        return f"{OURS} corrected the training labels once its validation was past its peak"
    return f"{OURS} corrected no label, so it differs from nnU-Net in averaged weights only"


def _make_clean_dataset(folder: Path, clean: Path, settings: DemoSettings, track: Track) -> None:
    if clean.exists():  # it is created atomically
        return
    if settings.data is not None:
        source = Path(settings.data)
        if not (source / isic2017.TEST_IMAGES).is_dir():
            raise InputError(
                f"{source} has no {isic2017.TEST_IMAGES}, but the demo compares on test images"
            )
        isic2017.convert(source, clean, size=settings.size, track=track)
        return
    with TemporaryDirectory(dir=folder) as temporary:
        source = Path(temporary, "phantom")
        phantom.write_challenge_layout(
            source,
            n_train=N_TRAINING,
            n_test=N_TEST,
            size=settings.size,
            seed=settings.seed,
        )
        isic2017.convert(source, clean, size=settings.size, track=track)


def _corrupt(clean: Path, noisy: Path, settings: DemoSettings, track: Track) -> None:
    noise = NoiseSettings(settings.eta_alpha, settings.eta_beta, settings.seed)
    # An interrupted call may have left files behind.
    corrupt_masks(clean, noisy, noise, overwrite=True, track=track)


def _preprocess(nnunet: NnUNet, seed: int) -> None:
    nnunet.plan(NOISY_ID)
    nnunet.preprocess(NOISY_ID, PLANS)
    masks = (nnunet.raw / NOISY_NAME / LABELS).iterdir()
    fold = _halves(sorted(path.stem for path in masks), seed)
    write_json(nnunet.preprocessed / NOISY_NAME / SPLITS, [fold])


def _halves(cases: list[str], seed: int) -> dict[str, list[str]]:
    """Draw a fold: half of the cases are for validation, at most `MOST_VALIDATION`."""
    shuffled = np.random.default_rng(seed).permutation(cases).tolist()
    n = min(MOST_VALIDATION, len(cases) // 2)
    return {"train": sorted(shuffled[n:]), "val": sorted(shuffled[:n])}


def _train(nnunet: NnUNet, plans: str, settings: TrainerSettings, track: Track) -> None:
    preprocessed = nnunet.preprocessed / NOISY_NAME
    write_plans(preprocessed, PLANS, plans, settings, small=True)
    for _ in track(nnunet.train(NOISY_ID, plans, FOLD, short=True), "epochs", settings.epochs):
        pass


def _predict(nnunet: NnUNet, plans: str, images: Path, predictions: Path, track: Track) -> None:
    cases = nnunet.predict(NOISY_ID, plans, images, predictions, FOLD)
    for _ in track(cases, "images", len(list(images.iterdir()))):
        pass
