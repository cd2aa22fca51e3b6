"""One run, from its settings to its folder: data, noise, training, records and resuming."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anl_seg.classification import run_files, training
from anl_seg.classification.batches import Batches
from anl_seg.classification.distributed import Ranks, wait_for_all
from anl_seg.classification.inputs import make_batches, noisy_labels
from anl_seg.classification.models import create
from anl_seg.classification.plots import draw_accuracies, draw_marginals
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.classification.run_files import Epoch
from anl_seg.classification.settings import (
    ClassificationSettings,
    device_of,
    preset_of,
    protocol_of,
)
from anl_seg.classification.validation import VALIDATION, VALIDATION_CLEAN, hold_out
from anl_seg.datasets.classification import ImageArrays, load
from anl_seg.errors import InputError, named
from anl_seg.extras import require
from anl_seg.formats.files import RUN_NAME, write_json
from anl_seg.losses import Preset
from anl_seg.noise import labels as label_noise
from anl_seg.noise.labels import NoisyLabels
from anl_seg.progress import Track, untracked
from anl_seg.provenance import versions

#: Fields of run.json that the numbers of a run depend on.
PACKAGES = ("anl-seg", "numpy", "torch", "torchvision")

#: Number of small images, over all epochs, from which a training on CUDA is compiled. Compiling
#: takes about 20 s, once per network and machine.
COMPILED_FROM = 2_000_000


@dataclass(frozen=True)
class Result:
    """The result of a run. Accuracies are shares.

    Attributes:
        last: Test accuracy after the last epoch, which the paper's tables report.
        best: Highest test accuracy of all epochs. It is chosen on the test set, so it is biased.
        best_epoch: First epoch with the highest test accuracy, counted from 1.
        further: Accuracy after the last epoch on other sets of the data set, by name, and on the
            held-out images: "validation" and, against the correct labels, "validation_clean".
        images_per_second: Speed of training, including evaluation, since the run was last started;
            None if nothing was left to do.
    """

    last: float
    best: float
    best_epoch: int
    further: dict[str, float]
    images_per_second: float | None


def run(
    settings: ClassificationSettings,
    folder: Path,
    *,
    overwrite: bool = False,
    compiled: bool | None = None,
    workers: int | None = None,
    ranks: Ranks | None = None,
    track: Track = untracked,
    report: Callable[[Epoch], None] | None = None,
) -> Result:
    """Train with the settings, and write everything into `folder`.

    If the folder contains a stopped run with the same settings, the run continues after its last
    epoch. On a CPU with the same number of threads, the numbers are those of an uninterrupted run.
    A finished run is not trained again.

    Args:
        settings: Settings of the run.
        folder: Folder for run.json, log.jsonl, labels.npz, checkpoint.pt, tensorboard/,
            marginals.json, accuracies.png, marginals.png and, if the loss has a normalised negative
            part, gradients.jsonl.
        overwrite: Whether the files of a run in `folder` are deleted first.
        compiled: Whether to use `torch.compile`; by default on CUDA, if the images are files or all
            epochs together have at least two million. Small images train on CUDA in a CUDA graph.
        workers: Number of processes that read image files; by default one per processor, at most 8.
        ranks: Rank of this process among several, which all make the call.
        track: Wrapper of the epochs that shows progress.
        report: Function called after each epoch.

    Returns:
        Accuracies after the last epoch and of the best one.

    Raises:
        InputError: If the settings are impossible, data or tensorboardX are missing, or the folder
            contains something else. Then nothing is written.

    Examples:
        >>> import tempfile
        >>> settings = ClassificationSettings("digits", "ce", epochs=1, batch_size=500)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run(settings, Path(folder, "run")).best_epoch
        1
    """
    ranks = ranks or Ranks()
    protocol = protocol_of(settings)
    preset = preset_of(settings, protocol)
    device = device_of(settings, ranks.local_rank)
    data = load(protocol.dataset, settings.data)
    all_labels = noisy_labels(settings, data)
    data, noisy = hold_out(data, all_labels, settings.validation, settings.seed)
    about = _describe(settings, protocol, preset, all_labels, device)
    recorded = None if overwrite else _recorded(folder, about)
    if recorded is not None and recorded["result"]:
        return Result(**recorded["result"])

    require("tensorboardX", "a classification run")
    on_gpu, small = device.type == "cuda", isinstance(data, ImageArrays)
    if compiled is None:
        compiled = _worth_compiling(device, small, protocol.epochs * len(noisy.labels))
    with _torch_state(device, compiled=compiled):
        torch.manual_seed(settings.seed)
        batches = make_batches(
            data, noisy, protocol, seed=settings.seed, device=device, ranks=ranks, workers=workers
        )
        learner = training.make_learner(
            create(protocol.model, len(data.classes), batches.shape),
            settings.loss,
            preset,
            protocol,
            device=device,
            precision=settings.precision,
            compiled=compiled,
            graphed=on_gpu and small,
            ranks=ranks,
        )
        if ranks.is_first:
            if overwrite:
                run_files.clear(folder)
            run_files.write_run(folder, {**about, "result": None})
            label_noise.save(all_labels, folder / run_files.LABELS_NAME)
        wait_for_all()
        log = run_files.load_checkpoint(folder, learner)
        done, start = len(log), time.perf_counter()
        for epoch in _epochs(learner, batches, protocol, settings, folder, log, ranks, track):
            if report is not None:
                report(epoch)
        images = (len(log) - done) * len(noisy.labels)
        result = _result(learner, batches, log, images / (time.perf_counter() - start))
        predicted = training.mean_probabilities(learner, batches.plain("train"))
    if ranks.is_first:
        _write_figures(folder, settings.name, log, data.classes, noisy, predicted.tolist())
        run_files.write_run(folder, {**about, "result": asdict(result)})
    return result


def _epochs(
    learner: training.Learner,
    batches: Batches,
    protocol: ClassificationProtocol,
    settings: ClassificationSettings,
    folder: Path,
    log: list[Epoch],
    ranks: Ranks,
    track: Track,
) -> Iterator[Epoch]:
    """Train the epochs that `log` lacks, append them to it, and report them on the first rank.

    Each epoch is saved in the folder before the next begins.
    """
    todo = range(len(log), protocol.epochs)
    if not ranks.is_first:
        log += [_train(learner, batches, protocol, settings.seed, number) for number in todo]
        return
    with run_files.open_events(folder, len(log)) as events:
        for number in track(todo, settings.name):
            log.append(_train(learner, batches, protocol, settings.seed, number))
            run_files.save_epoch(folder, learner, log, events)
            yield log[-1]


def _worth_compiling(device: torch.device, small: bool, images: int) -> bool:
    can_compile = device.type == "cuda" and find_spec("triton") is not None  # not on Windows
    return can_compile and (not small or images >= COMPILED_FROM)


@contextmanager
def _torch_state(device: torch.device, *, compiled: bool) -> Iterator[None]:
    """Let cuDNN choose the fastest algorithms, and restore torch's state afterwards.

    torch compiles a function at most eight times in a process, and each run has a network of its
    own. So what a run has compiled is dropped.
    """
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        if compiled:
            torch.compiler.reset()


def _train(
    learner: training.Learner,
    batches: Batches,
    protocol: ClassificationProtocol,
    seed: int,
    number: int,
) -> Epoch:
    """Train one epoch and evaluate it.

    Raises:
        InputError: If the loss is not finite.
    """
    rate = training.set_learning_rate(learner, protocol, number)
    scores = training.train_epoch(learner, batches, seed, number)
    if not math.isfinite(scores.loss):
        raise InputError(
            f"the loss is {scores.loss} in epoch {number + 1} at learning rate {rate:g}; "
            "use a smaller learning_rate"
        )
    shares = {
        part: training.accuracy(learner, batches.plain(part))
        for part in ("test", VALIDATION, VALIDATION_CLEAN)
        if part in batches.parts
    }
    return Epoch(
        epoch=number + 1,
        test_accuracy=shares["test"],
        clean_accuracy=scores.clean_accuracy,
        mislabelled_accuracy=scores.mislabelled_accuracy,
        loss=scores.loss,
        lr=rate,
        gradients=scores.gradients,
        validation_accuracy=shares.get(VALIDATION),
        validation_accuracy_clean=shares.get(VALIDATION_CLEAN),
    )


def _result(
    learner: training.Learner, batches: Batches, log: list[Epoch], images_per_second: float
) -> Result:
    best = max(log, key=lambda epoch: epoch.test_accuracy)
    return Result(
        last=log[-1].test_accuracy,
        best=best.test_accuracy,
        best_epoch=best.epoch,
        further={
            part: training.accuracy(learner, batches.plain(part))
            for part in batches.parts
            if part not in ("train", "test")
        },
        images_per_second=round(images_per_second, 1) or None,
    )


def _describe(
    settings: ClassificationSettings,
    protocol: ClassificationProtocol,
    preset: Preset,
    noisy: NoisyLabels,
    device: torch.device,
) -> dict[str, Any]:
    """Return the content of run.json without the result."""
    row = asdict(replace(protocol, presets={}))
    del row["presets"]  # the preset in use is under "loss"
    schedule = {"rule": type(protocol.schedule).__name__.lower(), **row["schedule"]}
    return {
        "settings": settings.as_json(),
        "protocol": {**row, "schedule": schedule},
        "loss": {
            "name": settings.loss,
            "hyper_parameters": dict(preset.hyper_parameters),
            "delta": preset.delta,
            "l2": preset.l2,
            "jacobian": preset.jacobian,
            "source": preset.source,
        },
        "labels": {
            "kind": noisy.kind,
            "eta": noisy.eta,
            "seed": noisy.seed,
            "draw": noisy.draw,
            "images": len(noisy.labels),
            "rate": noisy.rate,
            "sha256": noisy.sha256,
        },
        "device": str(device),
        "threads": torch.get_num_threads(),
        "versions": versions(*PACKAGES),
    }


def _recorded(folder: Path, about: dict[str, Any]) -> dict[str, Any] | None:
    """Read the folder's run.json if it belongs to the same run; None if the folder has no run.

    Raises:
        InputError: If it belongs to another run, or files of a run exist without a run.json.
    """
    recorded = run_files.read_run(folder)
    if recorded is None:
        if strange := run_files.written(folder):
            raise InputError(
                f"{folder} contains {named([path.name for path in strange])}, but no "
                f"{RUN_NAME}; choose another folder, or add --overwrite"
            )
        return None
    asked = json.loads(json.dumps(about))
    for part in ("settings", "protocol", "loss", "labels"):
        old, new = recorded.get(part, {}), asked[part]
        different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if different:
            changes = [f"{key} was {old.get(key)}, now {new.get(key)}" for key in different]
            raise InputError(
                f"{folder} contains another run ({named(changes)}); choose another folder, or "
                "add --overwrite"
            )
    return recorded


def _write_figures(
    folder: Path,
    title: str,
    log: list[Epoch],
    classes: tuple[str, ...],
    noisy: NoisyLabels,
    predicted: list[float],
) -> None:
    """Draw Fig. 2 and Fig. 3, and write the numbers of Fig. 2."""
    clean, given = (
        np.bincount(labels, minlength=len(classes)) / len(labels)
        for labels in (noisy.clean, noisy.labels)
    )
    rows = {
        "clean labels": clean.tolist(),
        "given labels": given.tolist(),
        "predicted": predicted,
    }
    write_json(folder / run_files.MARGINALS_NAME, {"classes": classes, **rows})
    draw_marginals(classes, rows, title, folder / run_files.MARGINALS_FIGURE_NAME)
    draw_accuracies(log, title, folder / run_files.ACCURACIES_FIGURE_NAME)
