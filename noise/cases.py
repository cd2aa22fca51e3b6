"""One case of a noisy data set: read its mask, corrupt it, write it, record it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.formats import noise_manifest as manifest
from anl_seg.formats.files import copy_file
from anl_seg.formats.masks import are_grey, grey_message
from anl_seg.noise.label_maps import confusion, distort_labels
from anl_seg.noise.mask_files import MaskImage, read_mask, write_mask
from anl_seg.noise.masks import NoiseRecord, draw
from anl_seg.noise.measures import UNCHANGED, UNKNOWN
from anl_seg.noise.plan import Task
from anl_seg.noise.selection import generator
from anl_seg.noise.settings import NoiseSettings


@dataclass(frozen=True)
class Case:
    """The result for one mask.

    Attributes:
        image: The clean mask.
        noisy: The noisy labels.
        records: Record of each class. For an empty mask, one record of class 0. Empty for a clean
            case.
        skipped: Whether a policy omits the case.
    """

    image: MaskImage
    noisy: NDArray[Any]
    records: dict[int, NoiseRecord]
    skipped: bool

    @property
    def corrupted(self) -> bool:
        """Whether any class took its noise."""
        return any(not record.situation for record in self.records.values())


def problem(
    source: Path,
    settings: NoiseSettings,
    declared: frozenset[int] | None,
    ignore_label: int | None,
    file: Path,
) -> str:
    """Explain in one line why a mask cannot be used; return "" if it can.

    Args:
        source: The clean masks.
        settings: Settings of the run.
        declared: Labels declared by an nnU-Net data set; None for a plain folder.
        ignore_label: Label that stays untouched.
        file: The mask, relative to `source`.
    """
    try:
        image = read_mask(source / file, ignore_label, settings.threshold)
    except InputError as error:
        return str(error)
    found = ", ".join(map(str, image.classes[:8])) + (", …" if len(image.classes) > 8 else "")
    if declared is not None:
        if image.coded_255 and 255 not in declared:
            return f"{image.path}: contains 0 and 255, but dataset.json declares other labels"
        if are_grey(file, set(image.classes) - declared):
            return (
                f"{image.path}: contains grey values, probably from resizing with interpolation; "
                "nnU-Net cannot train on it, so make the data set again, for example with "
                "anl-seg convert --threshold 128"
            )
        if unknown := set(image.classes) - declared - {1 if image.coded_255 else 0}:
            return f"{image.path}: contains labels {sorted(unknown)}, not declared in dataset.json"
    elif are_grey(file, image.classes):
        return grey_message(image.path, image.classes)
    if settings.millimetres and image.spacing_mm is None:
        return (
            f"{image.path}: has no pixel spacing; omit --mm to count in pixels, or put nnU-Net's "
            'JSON with "spacing" beside each TIFF'
        )
    if settings.method.binary_2d and (image.labels.ndim != 2 or len(image.classes) > 1):
        return (
            f"{image.path}: {image.labels.ndim}D with labels {found}; "
            f"--method {settings.method.name} accepts binary 2D masks only"
        )
    return ""


def write_case(
    source: Path, target: Path, settings: NoiseSettings, ignore_label: int | None, task: Task
) -> manifest.Entry:
    """Write the mask of one case, noisy if it can take its noise, and return its record."""
    case = _corrupt(source, settings, ignore_label, task)
    if case.skipped:
        (target / task.file).unlink(missing_ok=True)  # a stopped run may have left it
    elif case.corrupted or case.image.thresholded:
        write_mask(target / task.file, case.noisy, case.image)
    else:
        copy_file(source / task.file, target / task.file)
    noisy_hash = "" if case.skipped else manifest.sha256(target / task.file)
    return _entry(case, task, settings, (manifest.sha256(source / task.file), noisy_hash))


def rehearse_case(
    source: Path, settings: NoiseSettings, ignore_label: int | None, task: Task
) -> manifest.Entry:
    """Return the record that `write_case` would return, without hashes, and write nothing."""
    return _entry(_corrupt(source, settings, ignore_label, task), task, settings, ("", ""))


def _corrupt(source: Path, settings: NoiseSettings, ignore_label: int | None, task: Task) -> Case:
    image = read_mask(source / task.file, ignore_label, settings.threshold)
    noisy, records = _distort(image, task, settings, ignore_label)
    skipped = any(settings.policy(each.situation) == "skip" for each in records.values())
    return Case(image, noisy, records, skipped)


def _distort(
    image: MaskImage, task: Task, settings: NoiseSettings, ignore_label: int | None
) -> tuple[NDArray[Any], dict[int, NoiseRecord]]:
    """Return the noisy labels and a record per class (of class 0 if empty; none if clean)."""
    method, eta_beta = settings.method, settings.eta_beta
    if task.kind is None:
        return image.labels, {}
    if not image.classes:
        reason = "the mask is empty"
        return image.labels, {
            0: NoiseRecord(task.kind, method.name, eta_beta, *UNKNOWN, {}, "empty", reason)
        }
    drawn = {
        label: task.drawn
        if task.drawn is not None
        else draw(task.kind, generator(settings.seed, task.case, str(label)), image.labels.ndim)
        for label in image.classes
    }
    return distort_labels(
        image.labels,
        task.kind,
        eta_beta,
        drawn,
        method,
        spacing_mm=image.spacing_mm if settings.millimetres else None,
        ignore_label=ignore_label,
    )


def _entry(
    case: Case, task: Task, settings: NoiseSettings, hashes: tuple[str, str]
) -> manifest.Entry:
    """Build the manifest's entry of a case: its rows and its confusion of labels."""
    labels: list[int] | list[None] = case.image.classes or [None]
    rows = [
        _row(task, label, case.records.get(label or 0), case.skipped, settings, hashes)
        for label in labels
    ]
    table = {} if case.skipped else confusion(case.image.labels, case.noisy)
    return manifest.Entry(rows, [(a, b, n) for (a, b), n in sorted(table.items())])


def _row(
    task: Task,
    label: int | None,
    record: NoiseRecord | None,
    skipped: bool,
    settings: NoiseSettings,
    hashes: tuple[str, str],
) -> manifest.Row:
    unmeasured = UNKNOWN if label is None else UNCHANGED
    kind = manifest.CLEAN if record is None or record.situation else record.kind
    return manifest.Row(
        case=task.case,
        label=label,
        file=task.file.as_posix(),
        kind=manifest.SKIPPED if skipped else kind,
        method=settings.method.name,
        seed=settings.seed,
        requested=settings.eta_beta if record else None,
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
