"""One segmentation run: data set, noisy masks, training with nnU-Net, Dice on the test images."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock

from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import CommandFailedError, InputError, named
from anl_seg.evaluation import evaluate_folders, summarize
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.formats.files import write_json
from anl_seg.formats.noise_manifest import JSON_NAME as MANIFEST_NAME
from anl_seg.noise import NoiseSettings, corrupt_masks
from anl_seg.trainers.folders import folder_like
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.settings import TrainerSettings

log = logging.getLogger(__name__)

PHANTOM = "phantom"
#: For no noise at all, since the noise is never 0 in a mask that has any.
ANY_BETA = 0.5
N_TRAINING, N_TEST = 48, 16
CLEAN_ID, CLEAN_NAME = 501, "Dataset501_Clean"
#: Plans of the clean data set's fingerprint, which every noisy copy is trained with.
BASE_PLANS = "cleanPlans"


@dataclass(frozen=True)
class SegmentationSettings:
    """All that the figures of a run depend on.

    Attributes:
        data: "phantom", or a folder in the layout of the ISIC-2017 challenge.
        size: Width and height of the images in pixels.
        eta_alpha: Share of the training masks that are corrupted.
        eta_beta: Changed pixels over foreground pixels of a corrupted mask; 0 where there is none.
        noise_seed: Of the noise, which is the same for runs with other seeds.
        loss: As `TrainerSettings`; "dice+ce" is nnU-Net's own.
        loss_parameters: As there, completed.
        delta: As there.
        dice_weight: As there.
        protocol: As there.
        epochs: As there.
        iterations: As there.
        optimizer: As there.
        precision: As there.
        seed: Of weights, order and augmentation.
        small: Whether the network is shrunk to one that a CPU trains in minutes.
        fold: "all", or the number of the fold that is held out.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: If a value is impossible.
    """

    data: str = PHANTOM
    size: int = 256
    eta_alpha: float = 0.7
    eta_beta: float = 0.7
    noise_seed: int = 1
    loss: str = "anl-ce"
    loss_parameters: Mapping[str, float] = field(default_factory=dict)
    delta: float = 0.0
    dice_weight: float = 0.0
    protocol: str = "isic2017"
    epochs: int | None = None
    iterations: int | None = None
    optimizer: str | None = None
    precision: str = "float32"
    seed: int = 1
    small: bool = False
    fold: str = "all"
    device: str = "auto"

    def __post_init__(self) -> None:
        complete = self.training
        for name in ("loss_parameters", "epochs", "optimizer"):
            object.__setattr__(self, name, getattr(complete, name))
        for name in ("eta_alpha", "eta_beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.eta_alpha == 0:
            object.__setattr__(self, "eta_beta", 0.0)
        if self.fold not in ("all", *"01234"):
            raise InputError(f"fold must be all, or one of 0 to 4, got {self.fold!r}")
        if self.data != PHANTOM:
            object.__setattr__(self, "data", str(Path(self.data).resolve()))

    @property
    def training(self) -> TrainerSettings:
        """What goes into the plans file."""
        names = [setting.name for setting in dataclasses.fields(TrainerSettings)]
        return TrainerSettings(**{name: getattr(self, name) for name in names})

    @property
    def name(self) -> str:
        """For the folder of the run."""
        data = Path(self.data).name
        return f"{data}-{self.eta_alpha:g}-{self.eta_beta:g}-{self.loss}-seed{self.seed}"

    def as_json(self) -> dict[str, Any]:
        """All settings, as JSON values."""
        return dataclasses.asdict(self)


def run_segmentation(settings: SegmentationSettings, folder: Path, shared: Path) -> dict[str, Any]:
    """Do what is missing of a run.

    Args:
        settings: What to do.
        folder: Gets nnU-Net's results, the predictions for the test images, and logs.
        shared: Gets the data sets, which all runs on the same images use together.

    Returns:
        The metrics, and the SHA-256 of the noise manifest: "metrics", "noise_sha256".

    Raises:
        InputError: If the data cannot be used.
        CommandFailedError: If a command of nnU-Net's fails.
    """
    device = _device(settings.device)
    size = f"{settings.size}px"
    source = hashlib.sha256(settings.data.encode()).hexdigest()[:8]
    root = shared / f"{Path(settings.data).name}-{source}-{size}"
    data = NnUNet(root, device)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):  # other runs wait for what this one prepares
        _prepare_clean(settings, data)
        dataset = _prepare_noisy(settings, data)
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
    return {
        "metrics": _metrics(settings, nnunet, dataset, plans, folder),
        "noise_sha256": hashlib.sha256(manifest).hexdigest(),
    }


def _number(dataset: str) -> int:
    """502 of "Dataset502_Noisy"."""
    return int(dataset.removeprefix("Dataset").split("_")[0])


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _prepare_clean(settings: SegmentationSettings, nnunet: NnUNet) -> None:
    """Make the clean data set and plan for it, unless that was done."""
    clean = nnunet.raw / CLEAN_NAME
    if not clean.exists():  # it appears whole or not at all
        log.info("making the clean data set of %s", settings.data)
        if settings.data == PHANTOM:
            _make_phantom(settings.size, clean)
        else:
            isic2017.convert(Path(settings.data), clean, size=settings.size)
    if not (nnunet.preprocessed / CLEAN_NAME / "nnUNetPlans.json").exists():
        log.info("planning")
        nnunet.plan(CLEAN_ID)


def _make_phantom(size: int, clean: Path) -> None:
    with TemporaryDirectory() as temporary:
        source = Path(temporary, PHANTOM)
        phantom.write_challenge_layout(source, n_train=N_TRAINING, n_test=N_TEST, size=size, seed=1)
        isic2017.convert(source, clean, size=size)


def _prepare_noisy(settings: SegmentationSettings, nnunet: NnUNet) -> str:
    """Make and preprocess the noisy copy, unless that was done, and return its name.

    Each noise has a data set of its own; registry.json keeps which.
    """
    noise = {
        "eta_alpha": settings.eta_alpha,
        "eta_beta": settings.eta_beta,
        "seed": settings.noise_seed,
    }
    registry = nnunet.root / "registry.json"
    known = json.loads(registry.read_text(encoding="utf-8")) if registry.exists() else []
    if noise not in known:
        known.append(noise)
        write_json(registry, known)
    number = CLEAN_ID + 1 + known.index(noise)
    name = f"Dataset{number}_Noisy"
    mark = nnunet.preprocessed / name / "prepared.json"
    if mark.exists():
        return name
    log.info("corrupting masks and preprocessing")
    corrupt_masks(
        nnunet.raw / CLEAN_NAME,
        nnunet.raw / name,
        NoiseSettings(settings.eta_alpha, settings.eta_beta or ANY_BETA, settings.noise_seed),
        overwrite=True,
    )
    folder = folder_like(nnunet.preprocessed / CLEAN_NAME, nnunet.raw / name)
    write_plans(
        folder,
        "nnUNetPlans",
        BASE_PLANS,
        TrainerSettings(),
        source_folder=nnunet.preprocessed / CLEAN_NAME,
        overwrite=True,
    )
    nnunet.preprocess(number, BASE_PLANS)
    write_json(mark, noise)
    return name


def _mean_of_last_epochs(training: TrainerSettings, trained: Path) -> float:
    """The mean test Dice over the last epochs of a protocol, each of which must be there."""
    path = trained / "test_dice.json"
    if not path.exists():
        raise CommandFailedError(
            f"{path} is not there; the lines with 'no test Dice' in {trained}/training_log_*.txt "
            "say why"
        )
    curve: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    epochs = int(training.epochs or 0)
    last = [str(epoch) for epoch in range(epochs)][-training.schedule.test_epochs :]
    if missing := [epoch for epoch in last if epoch not in curve]:
        raise CommandFailedError(
            f"{path} lacks the epochs {named(missing)} of the last {len(last)}; remove {trained} "
            "to train anew"
        )
    return statistics.mean(curve[epoch] for epoch in last)


def _metrics(
    settings: SegmentationSettings, nnunet: NnUNet, dataset: str, plans: str, folder: Path
) -> dict[str, float]:
    trained = nnunet.trained(dataset, plans, settings.fold)
    found = {}
    for name, summary in {
        "validation_dice": "summary.json",
        "validation_dice_clean": "summary_clean.json",
    }.items():
        path = trained / "validation" / summary
        if path.exists():
            content = json.loads(path.read_text(encoding="utf-8"))
            found[name] = content["foreground_mean"]["Dice"]
    if settings.training.schedule.test_epochs:
        return {"test_dice": _mean_of_last_epochs(settings.training, trained), **found}
    images, labels = (nnunet.raw / dataset / part for part in ("imagesTs", "labelsTs"))
    if images.is_dir():
        predictions = folder / "predictions"
        for _ in nnunet.predict(_number(dataset), plans, images, predictions, settings.fold):
            pass
        (lesion,) = (
            summary
            for label, summary in summarize(evaluate_folders(predictions, labels)).classes.items()
            if label != 0
        )
        found["test_dice"] = lesion.mean["Dice"]
    return found
