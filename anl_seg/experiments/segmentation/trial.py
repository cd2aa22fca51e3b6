"""A small trial on a user's own data: nnU-Net's own loss and our default, on the same folds."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from anl_seg.errors import CommandFailedError, InputError, named
from anl_seg.evaluation.compare import Method, MethodComparison, compare
from anl_seg.evaluation.folders import evaluate_folders
from anl_seg.experiments.segmentation.nnunet_commands import NnUNet
from anl_seg.experiments.segmentation.steps import (
    COMPARED_METHODS,
    OURS,
    claim,
    fast_precision,
    is_done,
    mark_done,
    once,
    plans_name,
    precision_of_network,
    trainings,
)
from anl_seg.experiments.segmentation.trial_report import Advice, Trial
from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import (
    CLEAN_LABELS,
    DATASET_JSON,
    FINGERPRINT,
    IMAGES,
    LABELS,
    PLANS,
    PREPROCESSED,
    RAW,
    SPLITS,
    find_dataset,
)
from anl_seg.formats.text import read_json
from anl_seg.progress import Track
from anl_seg.suspects.cases import CaseFiles
from anl_seg.suspects.classes import Classes, declared_classes
from anl_seg.suspects.examine import dataset_files
from anl_seg.suspects.ranking import Ranking
from anl_seg.suspects.report import write_report
from anl_seg.trainers.corrected_labels import CORRECTED_LABELS
from anl_seg.trainers.out_of_fold import held_out_cases
from anl_seg.trainers.plans import choose, missing_images, read_plans, write_plans
from anl_seg.trainers.settings import TrainerSettings
from anl_seg.trainers.shrinking import coarsen, shrink
from anl_seg.trainers.timing import Timing

log = logging.getLogger(__name__)

#: Name of the small plans that both trainings of the trial share.
TRIAL_PLANS = "trialPlans"
#: Largest side of the patch, for 2D and 3D. In 2D it is half of that of `--small`. A trial on five
#: folds then takes a quarter of an hour on one CPU core.
TRIAL_PATCH = {2: 64, 3: 64}
#: nnU-Net's own number of folds, if the data set has no folds yet.
FOLDS = 5
#: With fewer training cases no outcome of the trial could be told from chance.
FEWEST_CASES = 10
#: Folder of the gallery of masks.
SUSPECTS = "suspects"
TIMING = "timing.json"


@dataclass(frozen=True)
class AdviceSettings:
    """Settings of a trial, kept beside its results: a second call goes on only with the same.

    Attributes:
        dataset: Id or name of the data set.
        configuration: Configuration of the plans, such as "2d".
        plans: The plans that the user would train with.
        folds: Folds of the trial; all folds if there are none.
        epochs: Epochs of each training.
        iterations: Training steps in an epoch.
        seed: Seed of all trainings, and of the intervals.
    """

    dataset: str
    configuration: str = "2d"
    plans: str = PLANS
    folds: tuple[int, ...] = ()
    epochs: int = 15
    iterations: int = 50
    seed: int = 1


@dataclass(frozen=True)
class Source:
    """The user's data set, which the trial only reads.

    Attributes:
        raw: Its folder in nnUNet_raw.
        preprocessed: Its folder in nnUNet_preprocessed.
        configuration: The planned configuration.
        cases: Training cases by name.
        folds: Folds of the trial.
    """

    raw: Path
    preprocessed: Path
    configuration: dict[str, Any]
    cases: dict[str, CaseFiles]
    folds: tuple[int, ...]

    @property
    def number(self) -> int:
        """Id of the data set: 510 for "Dataset510_Own"."""
        return int(self.raw.name.removeprefix("Dataset").split("_")[0])


def advise(
    folder: Path,
    settings: AdviceSettings,
    device: str,
    *,
    num_processes: int,
    track: Track,
) -> Advice:
    """Do what is missing of a trial in a folder.

    nnU-Net's own folders stay as they are: the trial has its own below `folder`.

    Args:
        folder: Gets nnU-Net's folders, logs and the gallery of suspicious masks.
        settings: Data set and length of the trainings.
        device: "cpu", "cuda" or "mps".
        num_processes: Processes that preprocess, measure and draw.
        track: Shows the progress of a step.

    Returns:
        All that the trial found.

    Raises:
        InputError: If the data set is missing, not planned or too small, a setting is impossible,
            or `folder` holds a trial with other settings.
        CommandFailedError: If a command of nnU-Net's fails.
    """
    precision = fast_precision(device)
    methods = trainings(settings.epochs, settings.iterations, settings.seed, precision)
    source = find_source(settings)
    nnunet = NnUNet(
        folder / "nnunet", device, configuration=settings.configuration, workers=num_processes
    )
    state = {**asdict(settings), "folds": list(source.folds), "dataset": source.raw.name}
    state |= {"precision": precision, "masks": _state_of(source.raw / LABELS)}
    claim(folder, "advise", state, begun=nnunet.preprocessed.exists(), what="trial")
    once(folder, "plans", partial(_prepare, source, nnunet, settings.plans, methods))
    once(folder, "preprocessing", partial(nnunet.preprocess, source.number, TRIAL_PLANS))
    once(folder, "timing", partial(_time, folder, source, nnunet, settings.plans))
    _train_all(folder, source, nnunet, settings.epochs, track)
    return _conclude(folder, source, nnunet, settings, num_processes, track)


def find_source(settings: AdviceSettings) -> Source:
    """Find the data set of a trial and check that it can be used.

    Raises:
        InputError: If it is missing, not planned, not preprocessed or too small, or has no such
            configuration or fold, or the configuration is a cascade or inherits its network.
    """
    raw = find_dataset(settings.dataset, RAW)
    preprocessed = find_dataset(raw.name, PREPROCESSED)
    plans = read_plans(preprocessed / f"{settings.plans}.json")
    chosen = choose(plans, [settings.configuration])
    configuration = chosen[settings.configuration]
    if "previous_stage" in configuration:
        raise InputError(
            f"-c {settings.configuration} is a cascade, which needs predictions of another "
            "network; choose the configuration before it, such as -c 3d_lowres"
        )
    if "inherits_from" in configuration:
        parent = configuration["inherits_from"]
        raise InputError(
            f"-c {settings.configuration} inherits its network from {parent}; choose -c {parent} "
            "for the trial"
        )
    if missing_images(preprocessed, chosen):
        raise InputError(
            f"{preprocessed} holds no images for -c {settings.configuration} yet; run "
            f"nnUNetv2_preprocess -d {settings.dataset} -plans_name {settings.plans} "
            f"-c {settings.configuration}"
        )
    cases = dataset_files(raw)
    if len(cases) < FEWEST_CASES:
        raise InputError(
            f"{raw} has {len(cases)} training cases, and the trial needs at least {FEWEST_CASES}; "
            "with fewer no difference could be told from chance"
        )
    folds = _folds(preprocessed / SPLITS, settings.folds)
    return Source(raw, preprocessed, configuration, cases, folds)


def _folds(splits: Path, asked: Sequence[int]) -> tuple[int, ...]:
    """Return the folds asked for, or all that the data set has."""
    known = range(len(read_json(splits)) if splits.exists() else FOLDS)
    if unknown := sorted({str(fold) for fold in asked if fold not in known}):
        raise InputError(f"-f {named(unknown)}: the data set has the folds 0 to {len(known) - 1}")
    return tuple(sorted(set(asked))) or tuple(known)


def _state_of(folder: Path) -> str:
    """Hash names, sizes and times of the masks: a trial does not go on with other ones."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    lines = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}\n" for path in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


# Steps


def _prepare(
    source: Source, nnunet: NnUNet, plans: str, methods: dict[str, TrainerSettings]
) -> None:
    """Link the data set into the folders of the trial, and write the small plans."""
    folder = nnunet.preprocessed / source.raw.name
    shutil.rmtree(folder, ignore_errors=True)  # an interrupted call may have left files behind
    folder.mkdir(parents=True)
    nnunet.raw.mkdir(parents=True, exist_ok=True)
    _link(nnunet.raw / source.raw.name, source.raw)
    images = source.configuration["data_identifier"]
    _link(folder / images, source.preprocessed / images)
    shutil.copy(source.raw / DATASET_JSON, folder)
    for name in (FINGERPRINT, SPLITS, f"{plans}.json"):
        if (source.preprocessed / name).exists():
            shutil.copy(source.preprocessed / name, folder)
    path = write_plans(
        folder,
        plans,
        TRIAL_PLANS,
        TrainerSettings(),
        configurations=[nnunet.configuration],
        small=True,
    )
    small = read_plans(path)
    configuration = small["configurations"][nnunet.configuration]
    shrink(configuration, TRIAL_PATCH)
    coarsen(configuration, source.configuration["patch_size"])
    configuration["data_identifier"] = f"{TRIAL_PLANS}_{nnunet.configuration}"
    write_json(path, small)
    for method, training in methods.items():
        write_plans(folder, TRIAL_PLANS, plans_name(method), training)


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve(), target_is_directory=True)


def _time(folder: Path, source: Source, nnunet: NnUNet, plans: str) -> None:
    """Measure steps of the user's own plans. If they fail, keep the reason for the report."""
    try:
        found: dict[str, Any] = dict(nnunet.time_steps(source.number, plans, str(source.folds[0])))
    except CommandFailedError as error:
        log.warning("%s", error)
        found = {"failed": str(error).splitlines()[0]}
    write_json(folder / TIMING, found)


def _train_all(folder: Path, source: Source, nnunet: NnUNet, epochs: int, track: Track) -> None:
    """Do the trainings that are not done yet, and show the progress of all together."""
    pending = [
        (fold, method)
        for fold in source.folds
        for method in COMPARED_METHODS
        if not is_done(folder, _training_step(method, fold))
    ]
    if not pending:
        log.info("training: already done")
        return
    log.info("training: %d networks, each for %d epochs", len(pending), epochs)
    for _ in track(_epochs(folder, source, nnunet, pending), "epochs", len(pending) * epochs):
        pass


def _epochs(
    folder: Path, source: Source, nnunet: NnUNet, pending: Sequence[tuple[int, str]]
) -> Iterator[int]:
    for fold, method in pending:
        start = time.monotonic()
        yield from nnunet.train(
            source.number, plans_name(method), str(fold), softmax=method == OURS, short=True
        )
        mark_done(folder, _training_step(method, fold), time.monotonic() - start)


def _training_step(method: str, fold: int) -> str:
    return f"training with {method} fold {fold}"


# Results


def _conclude(
    folder: Path,
    source: Source,
    nnunet: NnUNet,
    settings: AdviceSettings,
    num_processes: int,
    track: Track,
) -> Advice:
    """Compare the predictions of the held-out cases, and judge the masks by them."""
    compared = partial(_compare, source, nnunet, settings.seed, num_processes)
    clean = source.raw / CLEAN_LABELS
    ranking = _judge(folder / SUSPECTS, source, nnunet, num_processes, track)
    model = nnunet.model(source.raw.name, plans_name(OURS))
    small = read_plans(nnunet.preprocessed / source.raw.name / f"{TRIAL_PLANS}.json")
    timing = read_json(folder / TIMING)
    return Advice(
        trial=Trial(
            dataset=source.raw.name,
            plans=settings.plans,
            configuration=settings.configuration,
            folds=source.folds,
            epochs=settings.epochs,
            iterations=settings.iterations,
            seed=settings.seed,
            device=nnunet.device,
            precision=precision_of_network(fast_precision(nnunet.device), nnunet.device),
            planned_patch=tuple(source.configuration["patch_size"]),
            patch=tuple(small["configurations"][settings.configuration]["patch_size"]),
            corrected=sum(
                (model / f"fold_{fold}" / CORRECTED_LABELS).exists() for fold in source.folds
            ),
        ),
        given=compared(source.raw / LABELS),
        clean=compared(clean) if clean.is_dir() else None,
        estimate=ranking.estimate,
        timing=timing["failed"] if "failed" in timing else Timing(**timing),
        images=source.raw / IMAGES,
    )


def _compare(
    source: Source, nnunet: NnUNet, seed: int, num_processes: int, references: Path
) -> MethodComparison:
    """Compare both methods on the held-out cases of all folds."""
    methods = []
    for method in COMPARED_METHODS:
        folders = [
            nnunet.trained(source.raw.name, plans_name(method), str(fold)) / "validation"
            for fold in source.folds
        ]
        evaluations = (
            evaluate_folders(each, references, only_predicted=True, num_processes=num_processes)
            for each in folders
        )
        methods.append(Method(method, tuple(evaluations)))
    return compare(methods, seed=seed)


def _judge(
    output: Path, source: Source, nnunet: NnUNet, num_processes: int, track: Track
) -> Ranking:
    """Rank the given masks by the network that did not see them, and write the gallery."""
    classes: Classes = declared_classes(source.raw / DATASET_JSON)
    held_out = held_out_cases(
        nnunet.model(source.raw.name, plans_name(OURS)),
        nnunet.preprocessed / source.raw.name / SPLITS,
        [str(fold) for fold in source.folds],
        list(source.cases),
    )
    if missing := [each.case for each in held_out if each.file is None]:
        raise CommandFailedError(
            f"nnU-Net wrote no probabilities of {named(missing)}; delete {output.parent} and start "
            "again"
        )
    files = [
        replace(source.cases[each.case], prediction=each.file, fold=each.fold)
        for each in held_out
        if each.file is not None
    ]
    judged = {each.case for each in files}
    reasons = {case: "its fold was not trained" for case in source.cases if case not in judged}
    ranking, _ = write_report(
        files,
        classes,
        output,
        {"title": f"{source.raw.name}, judged by a small trial", "model": OURS},
        reasons,
        num_processes=num_processes,
        track=track,
    )
    return ranking
