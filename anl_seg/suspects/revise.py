"""A new raw data set of nnU-Net from an old one and a person's decisions on its masks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from anl_seg.errors import InputError, named
from anl_seg.formats.files import copy_file, link_file, write_json, write_text
from anl_seg.formats.folders import atomic_folder
from anl_seg.formats.grids import check_geometry
from anl_seg.formats.images import write_image
from anl_seg.formats.masks import Labels, find_masks, read_labels_and_geometry
from anl_seg.formats.nnunet import (
    CLEAN_LABELS,
    DATASET_JSON,
    IMAGES,
    LABELS,
    SPLITS,
    TEST_IMAGES,
    TEST_LABELS,
)
from anl_seg.formats.text import read_json
from anl_seg.progress import Track, untracked
from anl_seg.suspects.cases import CaseFiles
from anl_seg.suspects.classes import Classes, declared_classes
from anl_seg.suspects.decisions import UNSURE, WRONG
from anl_seg.suspects.examine import dataset_files

DROP, IGNORE, PREDICT, CORRECT = "drop", "ignore", "predict", "correct"
#: Action -> what the manifest says of the cases that it changed.
DONE = {DROP: "dropped", IGNORE: "ignored", PREDICT: "predicted", CORRECT: "corrected"}
#: The given masks of all cases, in the new data set; nnU-Net ignores the name.
GIVEN = "labelsTr_given"
MANIFEST = "revision"
#: Folders whose files belong to training cases.
TRAINING_FOLDERS = (IMAGES, LABELS, CLEAN_LABELS)
#: Folders that are carried over whole.
TEST_FOLDERS = (TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True)
class Revised:
    """The change of one case.

    Attributes:
        case: Its name.
        decision: "fine", "wrong", "unsure", or "" if there was none.
        action: "kept", "dropped", "ignored", "predicted" or "corrected".
        changed_pixels: Pixels whose label is new.
        foreground_pixels: Foreground of the given mask.
    """

    case: str
    decision: str
    action: str
    changed_pixels: int
    foreground_pixels: int


@dataclass(frozen=True)
class Revision:
    """A data set to revise, and how.

    Attributes:
        source: The raw data set.
        target: The new raw data set.
        decisions: Case -> "fine", "wrong" or "unsure".
        action: A key of `DONE`.
        masks: Folder of the predicted masks (for "ignore" and "predict") or of the corrected ones.
    """

    source: Path
    target: Path
    decisions: Mapping[str, str]
    action: str
    masks: Path | None = None


def revise(
    revision: Revision, splits: Sequence[Mapping[str, list[str]]] = (), track: Track = untracked
) -> list[Revised]:
    """Write the new data set: whole, or not at all.

    Dropping and ignoring act on masks that are wrong or unsure. Predictions replace masks that are
    wrong. Corrected masks replace those that are wrong, and unsure ones for which there is a file.

    Args:
        revision: The decisions and the action.
        splits: nnU-Net's folds of the source; the new data set gets them without dropped cases.
        track: Shows the cases done.

    Returns:
        The change of each case.

    Raises:
        InputError: If the target exists or nnU-Net would not find it, a mask is missing or does not
            fit, or a fold would be left without cases.
    """
    check_target(revision.source, revision.target)
    files = dataset_files(revision.source)
    chosen = _chosen(revision)
    classes = declared_classes(revision.source / DATASET_JSON)
    content = read_json(revision.source / DATASET_JSON)
    if revision.action == IGNORE and classes.ignore_label is None:
        content, classes = _with_ignore_label(content, classes)
    new_masks = _new_masks(revision, chosen, files)
    dropped = chosen if revision.action == DROP else frozenset()
    if len(dropped) == len(files):
        raise InputError("--as drop leaves no case; mark fewer cases, or use --as ignore")
    kept_splits = _without(splits, dropped)
    content["numTraining"] = len(files) - len(dropped)
    with atomic_folder(revision.target) as folder:
        _carry(revision.source, folder, frozenset(files), dropped, str(content["file_ending"]))
        done = []
        for case in track(sorted(files), "revising"):
            label = files[case].label
            copy_file(label, folder / GIVEN / label.name)
            done.append(_revise_case(revision, case, label, new_masks.get(case), classes, folder))
        write_json(folder / DATASET_JSON, content)
        if kept_splits:
            write_json(folder / SPLITS, kept_splits)
        _write_manifest(folder, revision, done)
    return done


def check_target(source: Path, target: Path) -> None:
    """Check that the new data set can be written where nnU-Net finds it.

    Raises:
        InputError: If the source is missing, or the target exists or has a wrong name or id.
    """
    if not source.is_dir():
        raise InputError(f"{source}: no such folder; give a raw data set of nnU-Net")
    if target.exists():
        raise InputError(f"{target} exists; give a new folder, nothing is overwritten")
    named_well = re.fullmatch(r"Dataset(\d{3})_[A-Za-z0-9_-]+", target.name)
    if not named_well:
        raise InputError(
            f"{target.name}: nnU-Net does not find a data set of this name; "
            "call it DatasetXXX_NAME, such as Dataset511_Revised"
        )
    others = sorted(target.parent.glob(f"Dataset{named_well[1]}_*"))
    if others:
        raise InputError(f"{others[0]} already has the id {named_well[1]}; give another id")


def _chosen(revision: Revision) -> frozenset[str]:
    """Return the cases that are changed."""
    suspicious = (WRONG,) if revision.action == PREDICT else (WRONG, UNSURE)
    chosen = {case for case, decision in revision.decisions.items() if decision in suspicious}
    if not chosen:
        words = " or ".join(suspicious)
        raise InputError(f"--decisions marks no case as {words}, so there is nothing to revise")
    return frozenset(chosen)


def _new_masks(
    revision: Revision, chosen: Collection[str], cases: Mapping[str, CaseFiles]
) -> dict[str, Path]:
    """Map each case that is changed to the file of its predicted or corrected mask."""
    if revision.action == DROP:
        return {}
    if revision.masks is None:
        raise InputError(f"--as {revision.action} needs the predicted masks; give --report")
    found = find_masks(revision.masks)
    needed = {
        case
        for case in chosen
        if revision.action in (IGNORE, PREDICT) or revision.decisions[case] == WRONG
    }
    if missing := sorted(needed - set(found)):
        cure = "run anl-seg suspects again"
        if revision.action == CORRECT:
            cure = f"save each corrected mask under its name in {LABELS}"
        raise InputError(
            f"{revision.masks}: no mask for {len(missing)} of {len(needed)} cases: "
            f"{named([cases[case].label.name for case in missing])}; {cure}, or mark these cases "
            "otherwise"
        )
    if unknown := sorted(set(found) - set(cases)):
        raise InputError(
            f"{revision.masks}: {len(unknown)} masks are of cases that the data set lacks: "
            f"{named(unknown)}; are they of another data set?"
        )
    return {case: found[case] for case in chosen if case in found}


def _with_ignore_label(
    content: Mapping[str, Any], classes: Classes
) -> tuple[dict[str, Any], Classes]:
    """Declare an ignore label, which nnU-Net wants to be the highest."""
    ignore = max(classes.allowed) + 1
    declared = {**content, "labels": {**content["labels"], "ignore": ignore}}
    return declared, Classes(classes.names, classes.regions, ignore, classes.order)


def _without(
    splits: Sequence[Mapping[str, list[str]]], dropped: frozenset[str]
) -> list[dict[str, list[str]]]:
    """Return the folds without dropped cases."""
    kept = [
        {part: [case for case in cases if case not in dropped] for part, cases in fold.items()}
        for fold in splits
    ]
    for number, fold in enumerate(kept):
        for part, cases in fold.items():
            if not cases and splits[number][part]:
                raise InputError(
                    f"--as drop leaves fold {number} without {part} cases; mark fewer cases, or "
                    "use --as ignore"
                )
    return kept


def _carry(
    source: Path, folder: Path, cases: frozenset[str], dropped: frozenset[str], ending: str
) -> None:
    """Carry over the files of the cases that stay, and of the test cases.

    Images are linked. Masks and descriptions are copied, because people edit them.
    """
    for name in (*TRAINING_FOLDERS, *TEST_FOLDERS):
        for path in sorted((source / name).glob("*")):
            case = _case_of(path, cases, ending)
            stays = name in TEST_FOLDERS or (case and case not in dropped)
            if path.is_file() and stays:
                is_image = name in (IMAGES, TEST_IMAGES) and path.name.endswith(ending)
                carry = link_file if is_image else copy_file
                carry(path, folder / name / path.name)


def _case_of(path: Path, cases: frozenset[str], ending: str) -> str:
    """Return the case that a file of a training folder belongs to, or ""."""
    for end in (ending, ".json"):  # nnU-Net keeps the spacing of a TIFF in a JSON file
        name = path.name.removesuffix(end)
        if name == path.name:
            continue
        for candidate in (name, re.sub(r"_\d{4}$", "", name)):
            if candidate in cases:
                return candidate
    return ""


def _revise_case(
    revision: Revision,
    case: str,
    label: Path,
    new_mask: Path | None,
    classes: Classes,
    folder: Path,
) -> Revised:
    decision = revision.decisions.get(case, "")
    given, geometry = read_labels_and_geometry(label)
    foreground = int(np.count_nonzero(given))
    chosen = decision in (WRONG, UNSURE)
    if chosen and revision.action == DROP:
        return Revised(case, decision, DONE[DROP], 0, foreground)
    if new_mask is None:
        return Revised(case, decision, "kept", 0, foreground)
    found, found_geometry = read_labels_and_geometry(new_mask)
    _check_mask(new_mask, found, label, given, classes)
    check_geometry(new_mask, found_geometry, "the given mask", label, geometry)
    revised = found
    if revision.action == IGNORE and classes.ignore_label is not None:
        doubtful = np.where(given == found, given, classes.ignore_label)
        revised = doubtful.astype(np.uint8 if doubtful.max() < 256 else np.uint16)
    write_image(folder / LABELS / label.name, revised, like=label)
    action = DONE[revision.action]
    return Revised(case, decision, action, int(np.count_nonzero(revised != given)), foreground)


def _check_mask(path: Path, found: Labels, label: Path, given: Labels, classes: Classes) -> None:
    if found.shape != given.shape:
        raise InputError(
            f"{path}: has shape {found.shape}, the given mask {label} {given.shape}; "
            "save the new mask on the grid of the given one"
        )
    unknown = sorted(set(np.unique(found).tolist()) - classes.allowed)
    if unknown:
        raise InputError(
            f"{path}: holds the labels [{named(list(map(str, unknown)))}], expected "
            f"{sorted(classes.allowed)}; save the new mask with the label values of the data "
            "set, such as 1 instead of 255"
        )


def _write_manifest(folder: Path, revision: Revision, done: Sequence[Revised]) -> None:
    table = io.StringIO()
    names = [field.name for field in fields(Revised)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(each) for each in done)
    write_text(folder / f"{MANIFEST}.csv", table.getvalue())
    actions = [each.action for each in done]
    content = {
        "source": revision.source.name,
        "action": revision.action,
        "masks": None if revision.masks is None else str(revision.masks),
        "cases": {action: actions.count(action) for action in sorted(set(actions))},
        "given_masks": GIVEN,
    }
    write_json(folder / f"{MANIFEST}.json", content)
