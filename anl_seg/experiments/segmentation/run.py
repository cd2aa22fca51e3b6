"""One segmentation run: data set, noisy masks, training with nnU-Net, Dice on the test images."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import logging
import re
import statistics
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
from filelock import FileLock

from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import CommandFailedError, InputError, named
from anl_seg.evaluation import Evaluation, evaluate_folders, summarize
from anl_seg.experiments.outcome import Outcome
from anl_seg.experiments.parsing import convert
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import (
    DATASET_JSON,
    IMAGES,
    LABELS,
    PLANS,
    TEST_IMAGES,
    TEST_LABELS,
)
from anl_seg.formats.noise_manifest import JSON_NAME as MANIFEST_NAME
from anl_seg.formats.text import read_json
from anl_seg.noise import PAPER_KINDS, NoiseSettings, corrupt_masks, find_method
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.preprocessed_folder import folder_like
from anl_seg.trainers.settings import TrainerSettings

log = logging.getLogger(__name__)

PHANTOM = "phantom"
#: Value of eta_beta if no mask has noise. It is never 0 in a noisy mask.
ANY_BETA = 0.5
N_TRAINING, N_TEST = 48, 16
#: Settings of the training that differ from the trainer's own defaults.
TRAINING: Mapping[str, Any] = MappingProxyType({"protocol": "isic2017", "seed": 1})
CLEAN_ID, CLEAN_NAME = 501, "Dataset501_Clean"
#: Plans from the clean data set's fingerprint. Every noisy copy is trained with them.
BASE_PLANS = "cleanPlans"


@dataclass(frozen=True)
class SegmentationSettings:
    """All settings that the results of a segmentation run depend on.

    Attributes:
        data: "phantom", or a folder in the layout of the ISIC-2017 challenge.
        size: Width and height of the images in pixels.
        n_training: Number of training pairs to use, drawn at random, or None for all.
        subset_seed: Seed of the draw of training pairs.
        eta_alpha: Share of the training masks that are corrupted.
        eta_beta: Changed pixels over foreground pixels of a corrupted mask; 0 without noise.
        noise_seed: Seed of the noise. It does not depend on the seed of the training.
        noise_method: "corrected", or "published" for the generator behind the paper's Table VI.
        noise_kinds: Kinds of noise to draw from, by name; all of the paper's by default.
        training: Loss, schedule and seed, as written into the plans file.
        small: Whether to shrink the network so that a CPU trains it in minutes.
        fold: "all", or the number of the held-out fold.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: If a value is impossible.
    """

    data: str = PHANTOM
    size: int = 256
    n_training: int | None = None
    subset_seed: int = 1
    eta_alpha: float = 0.7
    eta_beta: float = 0.7
    noise_seed: int = 1
    noise_method: str = "corrected"
    noise_kinds: tuple[str, ...] = PAPER_KINDS
    training: TrainerSettings = field(default_factory=lambda: TrainerSettings(**TRAINING))
    small: bool = False
    fold: str = "all"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("eta_alpha", "eta_beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        if self.n_training is not None and self.n_training < 1:
            raise InputError(f"n_training must be at least 1, got {self.n_training}")
        if self.eta_alpha == 0:
            object.__setattr__(self, "eta_beta", 0.0)
        if self.fold not in ("all", *"01234"):
            raise InputError(f"fold must be all, or one of 0 to 4, got {self.fold!r}")
        if self.data != PHANTOM:
            object.__setattr__(self, "data", str(Path(self.data).resolve()))
        _ = self.noise  # creating it checks the method and the kinds

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SegmentationSettings:
        """Create settings from JSON values, in which settings of the training are not nested.

        Args:
            values: Values by name. Missing ones take their defaults.

        Raises:
            InputError: If a name is unknown or a value impossible.

        Examples:
            >>> SegmentationSettings.from_json({"loss": "ce", "size": 64}).training.loss
            'ce'
        """
        hints = typing.get_type_hints(TrainerSettings) | typing.get_type_hints(cls)
        del hints["training"]
        given = convert(hints, values)
        own = {name: given.pop(name) for name in list(given) if name in OWN_NAMES}
        return cls(**own, training=TrainerSettings(**{**TRAINING, **given}))

    @property
    def noise(self) -> NoiseSettings:
        """Settings of the noise."""
        return NoiseSettings(
            eta_alpha=self.eta_alpha,
            eta_beta=self.eta_beta or ANY_BETA,
            seed=self.noise_seed,
            method=find_method(self.noise_method),
            kinds=self.noise_kinds,
        )

    @property
    def name(self) -> str:
        """Name for the folder of the run."""
        data = Path(self.data).name
        training = self.training
        return f"{data}-{self.eta_alpha:g}-{self.eta_beta:g}-{training.loss}-seed{training.seed}"

    def as_json(self) -> dict[str, Any]:
        """Return all settings as JSON values, with settings of the training not nested."""
        values = dataclasses.asdict(self)
        values["noise_kinds"] = list(self.noise_kinds)
        training: dict[str, Any] = values.pop("training")
        return {**values, **training}


#: Settings of a run that are not settings of its training.
OWN_NAMES = tuple(
    each.name for each in dataclasses.fields(SegmentationSettings) if each.name != "training"
)
#: Names of all settings of a run in JSON and YAML.
NAMES = (*OWN_NAMES, *(each.name for each in dataclasses.fields(TrainerSettings)))


#: Settings that always count in the id of a run. Others were added later and count only if used.
ALWAYS_IN_ID = (
    *("data", "size", "eta_alpha", "eta_beta", "noise_seed", "small", "fold", "device"),
    *("loss", "loss_parameters", "delta", "dice_weight", "protocol", "epochs", "iterations"),
    *("optimizer", "precision", "seed"),
)
#: Values with which a later setting counts as not used.
UNUSED: Mapping[str, Any] = MappingProxyType(
    {"subset_seed": 1, "noise_method": "corrected", "noise_kinds": list(PAPER_KINDS)}
)


def identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce the settings of a run to those in its id, so that new settings keep old ids.

    Args:
        settings: All settings, as JSON values.

    Returns:
        The settings that count. A later setting does not count if it is off or has its value in
        `UNUSED`.
    """
    return {
        name: value
        for name, value in settings.items()
        if name in ALWAYS_IN_ID or (value and value != UNUSED.get(name))
    }


def run_segmentation(settings: SegmentationSettings, folder: Path, shared: Path) -> Outcome:
    """Do the missing steps of a run.

    Args:
        settings: Settings of the run.
        folder: Folder for nnU-Net's results, the predictions for the test images, and logs.
        shared: Folder for the data sets, shared by all runs on the same images.

    Returns:
        Metrics of the run, and the SHA-256 of its noise manifest.

    Raises:
        InputError: If the data cannot be used.
        CommandFailedError: If a command of nnU-Net fails.
    """
    data = NnUNet(shared / _data_name(settings), _device(settings.device))
    data.root.mkdir(parents=True, exist_ok=True)
    with FileLock(data.root / ".lock"):  # other runs wait until this one has prepared the data
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
    return Outcome(
        metrics=_metrics(settings, nnunet, dataset, plans, folder),
        noise_sha256=hashlib.sha256(manifest).hexdigest(),
    )


def _data_name(settings: SegmentationSettings) -> str:
    """Return the name of the folder of all data sets from the same images."""
    source = hashlib.sha256(settings.data.encode()).hexdigest()[:8]
    name = f"{Path(settings.data).name}-{source}-{settings.size}px"
    if settings.n_training is not None:
        name += f"-{settings.n_training}of-seed{settings.subset_seed}"
    return name


def _number(dataset: str) -> int:
    """Return 502 for "Dataset502_Noisy"."""
    return int(dataset.removeprefix("Dataset").split("_")[0])


def _device(asked: str) -> str:
    """Resolve the requested device, which may be "auto", to "cpu", "cuda" or "mps"."""
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _prepare_clean(settings: SegmentationSettings, nnunet: NnUNet) -> None:
    """Create the clean data set and its plans, unless they exist."""
    clean = nnunet.raw / CLEAN_NAME
    if not clean.exists():
        log.info("creating the clean data set from %s", settings.data)
        clean.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=nnunet.root) as temporary:
            made = Path(temporary, CLEAN_NAME)
            _convert(settings, Path(temporary), made)
            if settings.n_training is not None:
                keep_random_cases(made, settings.n_training, settings.subset_seed)
            made.rename(clean)  # atomic
    if not (nnunet.preprocessed / CLEAN_NAME / f"{PLANS}.json").exists():
        log.info("planning")
        nnunet.plan(CLEAN_ID)


def _convert(settings: SegmentationSettings, temporary: Path, clean: Path) -> None:
    """Create an nnU-Net raw data set from all images of the phantom or of a folder."""
    source = Path(settings.data)
    if settings.data == PHANTOM:
        source = temporary / PHANTOM
        phantom.write_challenge_layout(
            source, n_train=N_TRAINING, n_test=N_TEST, size=settings.size, seed=1
        )
    isic2017.convert(source, clean, size=settings.size)


def keep_random_cases(dataset: Path, n: int, seed: int) -> None:
    """Delete all but `n` random training cases of an nnU-Net raw data set.

    The draw depends only on the names of the cases and the seed.

    Args:
        dataset: Folder of the data set.
        n: Number of training cases to keep.
        seed: Seed of the draw.

    Raises:
        InputError: If the data set has fewer training cases.
    """
    masks = sorted((dataset / LABELS).iterdir())
    if n > len(masks):
        raise InputError(
            f"n_training is {n}, but the data have {len(masks)} training pairs; lower n_training"
        )
    kept = set(np.random.default_rng(seed).choice(len(masks), n, replace=False).tolist())
    for place, mask in enumerate(masks):
        if place not in kept:
            mask.unlink()
            for channel in (dataset / IMAGES).glob(f"{glob.escape(mask.stem)}_????{mask.suffix}"):
                channel.unlink()
    about = dataset / DATASET_JSON
    write_json(about, read_json(about) | {"numTraining": n})


def _prepare_noisy(settings: SegmentationSettings, nnunet: NnUNet) -> str:
    """Create and preprocess the noisy copy, unless it exists, and return its name.

    Each noise has its own data set, recorded in registry.json.
    """
    noise: dict[str, Any] = {
        "eta_alpha": settings.eta_alpha,
        "eta_beta": settings.eta_beta,
        "seed": settings.noise_seed,
    }
    if settings.noise_method != "corrected":
        noise["method"] = settings.noise_method
    if settings.noise_kinds != PAPER_KINDS:
        noise["kinds"] = list(settings.noise_kinds)
    registry = nnunet.root / "registry.json"
    known = read_json(registry) if registry.exists() else []
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
        settings.noise,
        overwrite=True,
    )
    folder = folder_like(nnunet.preprocessed / CLEAN_NAME, nnunet.raw / name)
    write_plans(
        folder,
        PLANS,
        BASE_PLANS,
        TrainerSettings(),
        source_folder=nnunet.preprocessed / CLEAN_NAME,
        overwrite=True,
    )
    nnunet.preprocess(number, BASE_PLANS)
    write_json(mark, noise)
    return name


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
    """Compute the Dice of validation images, and predict and score the test images.

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
    if settings.training.schedule.test_epochs:
        found["test_dice"] = _mean_of_last_epochs(settings.training, trained)
    return found


def _test_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Return the mean Dice and the mean ratio of areas of the only foreground class."""
    (label,) = (label for label in evaluation.labels.names if label != 0)
    counts = [case.counts[label] for case in evaluation.cases]
    areas = [(each.tp + each.fp) / (each.tp + each.fn) for each in counts if each.tp + each.fn]
    found = {"test_dice": summarize(evaluation).classes[label].mean["Dice"]}
    return found | ({"test_area": statistics.mean(areas)} if areas else {})
