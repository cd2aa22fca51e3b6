"""Corrupt a folder of masks or an nnU-Net raw data set into a new folder of the same layout."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, listed
from anl_seg.formats import noise_manifest as manifest
from anl_seg.formats.files import atomic_path, write_json
from anl_seg.formats.masks import are_grey, grey_message
from anl_seg.noise import published
from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.label_maps import apply_labels, confusion
from anl_seg.noise.layout import CLEAN_LABELS, DATASET_JSON, Layout, read_layout, side_cars
from anl_seg.noise.mask_files import MaskImage, read_mask, write_mask
from anl_seg.noise.masks import METHODS, PAPER_KINDS, Record, check_eta_beta, draw, find_kind
from anl_seg.noise.measures import UNCHANGED, UNKNOWN
from anl_seg.noise.selection import check_eta_alpha, choose, generator
from anl_seg.noise.summary import summarise
from anl_seg.noise.workers import run, workers
from anl_seg.progress import Track, untracked

#: What becomes of a case whose mask cannot take its noise: it stays with its clean mask, it is left
#: out of the noisy set, or the run fails.
POLICIES = ("keep", "skip", "fail")


@dataclass(frozen=True)
class Settings:
    """What was asked for; checked on creation.

    Raises:
        InputError: If a value is out of range.
    """

    eta_alpha: float
    eta_beta: float
    seed: int
    method: str = "corrected"
    kinds: tuple[str, ...] = PAPER_KINDS
    millimetres: bool = False
    ignore_label: int | None = None
    policies: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        check_eta_alpha(self.eta_alpha)
        check_eta_beta(self.eta_beta)
        if not self.kinds:
            raise InputError(f"kinds must name at least one of {', '.join(METHODS['corrected'])}")
        for kind in self.kinds:
            find_kind(kind, self.method)
        if self.method == "published" and self.millimetres:
            raise InputError("the published method counts pixels, not millimetres")
        if self.method == "published" and set(self.kinds) != set(PAPER_KINDS):
            raise InputError(f"the published method draws from all of {', '.join(PAPER_KINDS)}")
        for situation, policy in self.policies.items():
            if situation not in SITUATIONS or policy not in POLICIES:
                raise InputError(
                    f"policy {situation}={policy} is unknown; "
                    f"give one of {', '.join(SITUATIONS)} = one of {', '.join(POLICIES)}"
                )

    def policy(self, situation: str) -> str:
        """What to do in a situation."""
        return self.policies.get(situation, "keep")


@dataclass(frozen=True)
class Task:
    """One case: where its mask is, where it goes, and the noise it gets.

    Attributes:
        case: Its name.
        file: Its mask, relative to source and target.
        kind: A name of `KINDS`; None if it stays clean.
        drawn: What the published method drew for it; None to draw from its own generators.
    """

    case: str
    file: Path
    kind: str | None
    drawn: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        source: The clean masks.
        layout: What the source holds.
        settings: What was asked for.
        tasks: One a case, sorted by its name.
    """

    source: Path
    layout: Layout
    settings: Settings
    tasks: tuple[Task, ...]


def plan_masks(source: Path, settings: Settings) -> Plan:
    """Decide which masks of `source` get which noise; reads no mask and writes nothing.

    Raises:
        InputError: If `source` holds no masks, an incomplete data set, or noisy masks.
    """
    for sign in (manifest.JSON_NAME, CLEAN_LABELS):
        if (source / sign).exists():
            raise InputError(
                f"{source}: holds {sign}, so it is noisy already; give the clean masks"
            )
    layout = read_layout(source)
    cases = sorted(layout.masks)
    if settings.method == "published":
        noise = published.draw_set(cases, settings.eta_alpha, settings.seed)
        tasks = [Task(case, layout.masks[case], *noise.get(case, (None, None))) for case in cases]
    else:
        kinds = choose(cases, settings.eta_alpha, settings.seed, settings.kinds)
        tasks = [Task(case, layout.masks[case], kinds.get(case)) for case in cases]
    return Plan(source, layout, settings, tuple(tasks))


def corrupt_masks(
    source: Path,
    target: Path,
    *,
    eta_alpha: float,
    eta_beta: float,
    seed: int = 0,
    method: str = "corrected",
    kinds: Sequence[str] = PAPER_KINDS,
    millimetres: bool = False,
    ignore_label: int | None = None,
    policies: Mapping[str, str] | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    track: Track = untracked,
) -> dict[str, Any]:
    """Corrupt a share of the masks in `source` and write them all, with a manifest, to `target`.

    A folder of masks gives a folder of masks under the same names. An nnU-Net raw data set (a
    folder with a `dataset.json`) gives a complete raw data set: `labelsTr` is noisy,
    `labelsTr_clean` holds the clean labels, the images are hard links where the file system can,
    everything else is copied. Masks that are not chosen are copied byte for byte. Nothing is
    deleted, and nothing is written before every mask has been read once. A run that was killed goes
    on where it was when the same is asked again.

    Args:
        source: Folder of masks or label maps (0 and 255 counts as binary), or nnU-Net raw data set.
        target: The folder to make; must be empty or absent, or hold the beginning of the same run,
            unless `overwrite`.
        eta_alpha: Share of the n masks to corrupt, in [0, 1]: `round(eta_alpha * n)` are chosen.
        eta_beta: Changed pixels over foreground pixels in each class of them, in (0, 1).
        seed: With the names of case and class all that decides on the noise.
        method: "corrected", or "published" for the generator behind the paper's tables (binary 2D
            masks; its seed is 0).
        kinds: Kinds of noise to draw from, names of `KINDS`.
        millimetres: Measure erosion, dilation and displacement in mm by the spacing of the files.
        ignore_label: Label that stays untouched; an nnU-Net data set declares its own.
        policies: What to do (one of `POLICIES`) in a situation (one of `SITUATIONS`) in which a
            mask cannot take its noise; "keep" where nothing is said.
        jobs: Processes to work with.
        overwrite: Replace files of the same name in a `target` that is not empty.
        track: Shows progress.

    Returns:
        What `noise_manifest.json` holds: settings, versions, summary and cases.

    Raises:
        InputError: If an argument or a file of `source` cannot be used, or a policy says fail;
            counts such files and names the first.
        OSError: If `target` cannot be written.
    """
    if jobs < 1:
        raise InputError(f"jobs must be at least 1, got {jobs}")
    settings = Settings(
        eta_alpha,
        eta_beta,
        seed,
        method,
        tuple(kinds),
        millimetres,
        ignore_label,
        dict(policies or {}),
    )
    _check_apart(source, target)
    plan = plan_masks(source, settings)
    asked = asdict(settings) | {"kinds": list(settings.kinds)}
    resumes = not overwrite and manifest.can_resume(target, asked)
    if not resumes:
        _check_target(target, overwrite)
    with workers(jobs) as pool:
        _check_masks(plan, pool, track)
        if overwrite:
            (target / manifest.JOURNAL_NAME).unlink(missing_ok=True)
        done = {
            case: entry
            for case, entry in manifest.begin(target, asked).items()
            if _is_as_written(source, target, entry)
        }
        todo = [task for task in plan.tasks if task.case not in done]
        work = partial(_corrupt_case, source, target, plan.layout, settings)
        for entry in run(work, todo, pool, track, "corrupting masks"):
            manifest.note(target, entry)
            done[entry.case] = entry
    entries = [done[task.case] for task in plan.tasks]
    _check_failures(entries, settings)
    _carry_over(plan, target, entries)
    left_out = [str(file) for file in plan.layout.left_out]
    return manifest.finish(target, asked, entries, summarise(entries), left_out)


def _corrupt_case(
    source: Path, target: Path, layout: Layout, settings: Settings, task: Task
) -> manifest.Entry:
    """Write the mask of one case, noisy if it can be, and account for it."""
    image = read_mask(source / task.file, _ignored(layout, settings))
    noisy, records = _corrupt_image(image, task, layout, settings)
    skipped = any(settings.policy(each.situation) == "skip" for each in records.values())
    corrupted = any(not record.situation for record in records.values())
    if skipped:
        (target / task.file).unlink(missing_ok=True)  # of a run that went another way
    elif corrupted:
        write_mask(target / task.file, noisy, image)
    else:
        _copy(source / task.file, target / task.file)
    hashes = (
        manifest.sha256(source / task.file),
        "" if skipped else manifest.sha256(target / task.file),
    )
    labels: list[int] | list[None] = image.classes or [None]
    rows = [
        _row(task, label, records.get(label or 0), skipped, settings, hashes) for label in labels
    ]
    table = {} if skipped else confusion(image.labels, noisy)
    return manifest.Entry(rows, [(a, b, n) for (a, b), n in sorted(table.items())])


def _corrupt_image(
    image: MaskImage, task: Task, layout: Layout, settings: Settings
) -> tuple[Any, dict[int, Record]]:
    """The noisy labels, and a record of each class (of 0 if the mask is empty); none if clean."""
    if task.kind is None:
        return image.labels, {}
    if not image.classes:
        reason = "the mask is empty"
        empty = Record(task.kind, settings.method, settings.eta_beta, *UNKNOWN, {}, "empty", reason)
        return image.labels, {0: empty}
    drawn = {
        label: task.drawn
        if task.drawn is not None
        else draw(task.kind, generator(settings.seed, task.case, str(label)), image.labels.ndim)
        for label in image.classes
    }
    return apply_labels(
        image.labels,
        task.kind,
        settings.eta_beta,
        drawn,
        settings.method,
        spacing_mm=image.spacing_mm if settings.millimetres else None,
        ignore_label=_ignored(layout, settings),
    )


def _row(
    task: Task,
    label: int | None,
    record: Record | None,
    skipped: bool,
    settings: Settings,
    hashes: tuple[str, str],
) -> manifest.Row:
    unmeasured = UNKNOWN if label is None else UNCHANGED
    kind = manifest.CLEAN if record is None or record.situation else record.kind
    return manifest.Row(
        case=task.case,
        label=label,
        file=task.file.as_posix(),
        kind=manifest.SKIPPED if skipped else kind,
        method=settings.method,
        seed=settings.seed,
        requested=record.requested if record else None,
        achieved=record.achieved if record else unmeasured.achieved,
        dice=record.dice if record else unmeasured.dice,
        area_change=record.area_change if record else unmeasured.area_change,
        hd95=record.hd95 if record else unmeasured.hd95,
        situation=record.situation if record else "",
        reason=f"{record.kind}: {record.reason}" if record and record.reason else "",
        parameters=record.parameters if record else {},
        sha256_clean=hashes[0],
        sha256_noisy=hashes[1],
    )


def _ignored(layout: Layout, settings: Settings) -> int | None:
    return layout.ignore_label if settings.ignore_label is None else settings.ignore_label


def _is_as_written(source: Path, target: Path, entry: manifest.Entry) -> bool:
    """Whether the files of a case in the journal are those it saw; a skipped one has no noisy."""
    row = entry.rows[0]
    path = target / row.file
    clean = source / row.file
    if not clean.is_file() or manifest.sha256(clean) != row.sha256_clean:
        return False
    if not row.sha256_noisy:
        return not path.exists()
    return path.is_file() and manifest.sha256(path) == row.sha256_noisy


def _check_apart(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise InputError(f"{target}: source and destination must lie apart; choose another folder")


def _check_target(target: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; choose a folder that is new or empty")
    if not target.is_dir() or overwrite or not any(target.iterdir()):
        return
    if (target / manifest.JOURNAL_NAME).exists():
        raise InputError(
            f"{target}: holds an unfinished run with other settings or versions; choose another "
            "folder, or add --overwrite to begin anew"
        )
    raise InputError(
        f"{target}: is not empty; choose another folder, or add --overwrite "
        "to replace files of the same name (nothing is deleted)"
    )


def _check_masks(plan: Plan, pool: ProcessPoolExecutor | None, track: Track) -> None:
    """Read every mask once, so that all that is wrong is known before anything is written."""
    work = partial(_problem, plan.source, plan.layout, plan.settings)
    files = [task.file for task in plan.tasks]
    problems = [problem for problem in run(work, files, pool, track, "checking masks") if problem]
    if problems:
        raise InputError(listed(problems, f"of {len(files)} masks cannot be used"))


def _problem(source: Path, layout: Layout, settings: Settings, file: Path) -> str:
    """What is wrong with a mask, in a line; empty if nothing is."""
    try:
        image = read_mask(source / file, _ignored(layout, settings))
    except InputError as error:
        return str(error)
    found = ", ".join(map(str, image.classes[:8])) + (", …" if len(image.classes) > 8 else "")
    if layout.labels is not None:
        if image.coded_255 and 255 not in layout.labels:
            return f"{image.path}: holds 0 and 255, but its data set declares other labels"
        if unknown := set(image.classes) - layout.labels - {1 if image.coded_255 else 0}:
            return f"{image.path}: holds the labels {sorted(unknown)}, not declared in dataset.json"
    elif are_grey(image.classes):
        return grey_message(image.path, image.classes)
    if settings.millimetres and image.spacing_mm is None:
        return (
            f"{image.path}: does not say how large its pixels are; omit --mm to count in pixels, "
            'or put nnU-Net\'s JSON with "spacing" beside each TIFF'
        )
    if settings.method == "published" and (image.labels.ndim != 2 or len(image.classes) > 1):
        return (
            f"{image.path}: {image.labels.ndim}D with the labels {found}; "
            "the published method is for binary 2D masks"
        )
    return ""


def _check_failures(entries: Sequence[manifest.Entry], settings: Settings) -> None:
    failures = [
        f"{row.file}: {row.reason}"
        for entry in entries
        for row in entry.rows
        if row.situation and settings.policy(row.situation) == "fail"
    ]
    if failures:
        raise InputError(listed(failures, "masks cannot take their noise, and the policy is fail"))


def _carry_over(plan: Plan, target: Path, entries: Sequence[manifest.Entry]) -> None:
    """Bring everything over that goes with the noisy masks: images, clean labels, descriptions."""
    layout, source = plan.layout, plan.source
    if not layout.is_dataset:
        for file in layout.copies:
            _copy(source / file, target / file)
        return
    kept = [entry.case for entry in entries if entry.rows[0].kind != manifest.SKIPPED]
    for case in kept:
        for file in layout.images[case]:
            _link(source / file, target / file)
        mask = layout.masks[case]
        for file in (mask, *filter(layout.copies.__contains__, side_cars(mask))):
            _copy(source / file, target / CLEAN_LABELS / file.name)
    for file in layout.links:
        _link(source / file, target / file)
    for file in layout.copies:
        _copy(source / file, target / file)
    if len(kept) < len(entries):
        content = json.loads((source / DATASET_JSON).read_text(encoding="utf-8"))
        write_json(target / DATASET_JSON, content | {"numTraining": len(kept)})


def _link(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy where that cannot be."""
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:  # other file system, no permission, or `target` exists
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as partial_file:
        shutil.copyfile(source, partial_file)
