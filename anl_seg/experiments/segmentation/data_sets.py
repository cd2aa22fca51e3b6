"""The clean and the noisy data sets of segmentation runs, prepared once for all runs on them."""

from __future__ import annotations

import glob
import hashlib
import itertools
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from anl_seg.datasets import isic2017, phantom
from anl_seg.errors import InputError
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.settings import PHANTOM, SegmentationSettings
from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import DATASET_JSON, IMAGES, LABELS, PLANS, RAW
from anl_seg.formats.text import read_json
from anl_seg.noise import PAPER_KINDS, corrupt_masks
from anl_seg.trainers.plans import write_plans
from anl_seg.trainers.preprocessed_folder import folder_like
from anl_seg.trainers.settings import TrainerSettings

log = logging.getLogger(__name__)

N_TRAINING, N_TEST = 48, 16
CLEAN_ID, CLEAN_NAME = 501, "Dataset501_Clean"
#: File in a prepared noisy data set, with its noise. It is written last.
PREPARED = "prepared.json"
#: Plans from the clean data set's fingerprint. Every noisy copy is trained with them.
BASE_PLANS = "cleanPlans"


def data_name(settings: SegmentationSettings) -> str:
    """Return the name of the folder of all data sets from the same images."""
    source = hashlib.sha256(settings.data.encode()).hexdigest()[:8]
    name = f"{Path(settings.data).name}-{source}-{settings.size}px"
    if settings.n_training is not None:
        name += f"-{settings.n_training}of-seed{settings.subset_seed}"
    return name


def has_clean(settings: SegmentationSettings, shared: Path) -> bool:
    """Return whether `prepare_clean` has made the data set, which replaces the folder of images.

    Args:
        settings: Settings of a run.
        shared: Folder of the data sets of all runs.
    """
    return (shared / data_name(settings) / RAW / CLEAN_NAME).exists()


def prepare_clean(settings: SegmentationSettings, nnunet: NnUNet) -> None:
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


def prepare_noisy(settings: SegmentationSettings, nnunet: NnUNet) -> str:
    """Create and preprocess the noisy copy, unless it exists, and return its name.

    Each noise has its own data set, whose file prepared.json names it.
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
    marks = sorted(nnunet.preprocessed.glob(f"Dataset*_Noisy/{PREPARED}"))
    for mark in marks:
        if read_json(mark) == noise:
            return mark.parent.name
    taken = {mark.parent.name for mark in marks}
    number = next(n for n in itertools.count(CLEAN_ID + 1) if f"Dataset{n}_Noisy" not in taken)
    name = f"Dataset{number}_Noisy"
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
    write_json(folder / PREPARED, noise)
    return name
