"""The main job, from bad masks to a Dice report: nnU-Net's default loss and ANL-CE side by side."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import InputError
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.report import Comparison, write_report
from anl_seg.formats.files import write_json, write_text
from anl_seg.noise import NoiseSettings, corrupt_masks
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.settings import NNUNET_LOSS, TrainerSettings

log = logging.getLogger(__name__)

CLEAN_NAME = "Dataset501_ISIC2017"
NOISY_ID, NOISY_NAME = 502, "Dataset502_ISIC2017noisy"
#: What is compared: loss -> name of its plans.
RUNS = {NNUNET_LOSS: "dice_ce", "anl-ce": "anl_ce"}
#: Size of the phantom data set.
N_TRAINING, N_TEST = 48, 16

#: Takes items, a description and, where they have no length, their number; shows how far it is.
Track = Callable[..., Iterator[Any]]


@dataclass(frozen=True)
class DemoSettings:
    """What one demo is; kept beside its results, so that a second call goes on only with the same.

    Attributes:
        data: Folder in the ISIC-2017 layout, or None for the phantom.
        size: Width and height of the images in pixels.
        eta_alpha: Share of the training masks that are corrupted.
        eta_beta: Changed pixels over foreground pixels of a corrupted mask.
        epochs: Epochs of each training.
        iterations: Training steps an epoch.
        seed: Seed of phantom, noise and training.
    """

    data: str | None = None
    size: int = 80
    eta_alpha: float = 0.7
    eta_beta: float = 0.7
    epochs: int = 8
    iterations: int = 40
    seed: int = 1


def run_demo(folder: Path, settings: DemoSettings, device: str, track: Track) -> Path:
    """Do what is not yet done of the demo in `folder`.

    Args:
        folder: Where everything goes: nnU-Net's folders, logs, predictions, report.
        settings: What to run.
        device: "cpu", "cuda" or "mps".
        track: Shows how far a step is.

    Returns:
        The path of the report.

    Raises:
        InputError: If `folder` holds a demo with other settings, or a setting or the data cannot be
            used.
        CommandFailedError: If a command of nnU-Net's fails.
    """
    trainings = {
        loss: TrainerSettings(
            loss, epochs=settings.epochs, iterations=settings.iterations, seed=settings.seed
        )
        for loss in RUNS
    }
    nnunet = NnUNet(folder / "nnunet", device)
    clean, noisy = nnunet.raw / CLEAN_NAME, nnunet.raw / NOISY_NAME

    _claim(folder, settings, begun=clean.exists())
    _once(folder, "data set", partial(_make_clean_dataset, folder, clean, settings, track))
    _once(folder, "noisy masks", partial(_corrupt, clean, noisy, settings, track))
    _once(folder, "planning and preprocessing", partial(_preprocess, nnunet))
    for loss, plans in RUNS.items():
        train = partial(_train, nnunet, plans, trainings[loss], track)
        predict = partial(_predict, nnunet, plans, clean / "imagesTs", folder / plans, track)
        _once(folder, f"training with {loss}", train)
        _once(folder, f"predicting with {loss}", predict)
    return write_report(
        folder / "report",
        Comparison(
            clean=clean,
            noisy=noisy,
            test_predictions={loss: folder / plans for loss, plans in RUNS.items()},
            training_predictions={
                loss: nnunet.trained(NOISY_NAME, plans) / "validation"
                for loss, plans in RUNS.items()
            },
        ),
        asdict(settings) | {"device": device},
    )


def _claim(folder: Path, settings: DemoSettings, begun: bool) -> None:
    """Write down what the demo in `folder` is, or check that it is the same as what was `begun`."""
    path = folder / "demo.json"
    if begun:
        if (found := json.loads(path.read_text(encoding="utf-8"))) != asdict(settings):
            raise InputError(
                f"{folder} holds a demo with other settings: {found}; choose another folder with -o"
            )
    elif folder.exists() and any(folder.iterdir()) and not path.exists():
        raise InputError(f"{folder} is not empty and holds no demo; choose another folder with -o")
    else:
        write_json(path, asdict(settings))


def _once(folder: Path, step: str, work: Callable[[], object]) -> None:
    """Do a step, unless an earlier call did it to the end."""
    mark = folder / "done" / step.replace(" ", "_")
    if mark.exists():
        log.info("%s: already done", step)
        return
    log.info("%s", step)
    start = time.monotonic()
    work()
    seconds = time.monotonic() - start
    write_text(mark, f"{seconds:.1f} s\n")
    log.info("%s: done in %.0f s", step, seconds)


def _make_clean_dataset(folder: Path, clean: Path, settings: DemoSettings, track: Track) -> None:
    if clean.exists():  # it appears whole or not at all
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


def _preprocess(nnunet: NnUNet) -> None:
    nnunet.plan(NOISY_ID)
    nnunet.preprocess(NOISY_ID, "nnUNetPlans")


def _train(nnunet: NnUNet, plans: str, settings: TrainerSettings, track: Track) -> None:
    preprocessed = nnunet.preprocessed / NOISY_NAME
    write_plans(preprocessed, "nnUNetPlans", plans, settings, small=True)
    for _ in track(nnunet.train(NOISY_ID, plans), "epochs", settings.epochs):
        pass


def _predict(nnunet: NnUNet, plans: str, images: Path, predictions: Path, track: Track) -> None:
    cases = nnunet.predict(NOISY_ID, plans, images, predictions)
    for _ in track(cases, "images", len(list(images.iterdir()))):
        pass
