"""Preprocessed folders of data sets with plans and folds of another data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, named
from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import DATASET_JSON, FINGERPRINT, LABELS, SPLITS, read_splits
from anl_seg.formats.text import read_json


def folder_like(source: Path, raw: Path) -> Path:
    """Prepare the preprocessed folder of a raw data set for plans of another data set, `source`.

    The folder gets the files that nnU-Net expects beside plans: the data set's own `dataset.json`,
    and the source's fingerprint and splits, so that folds have the same cases.

    Args:
        source: Folder of the other data set in nnUNet_preprocessed.
        raw: The raw data set, such as a noisy copy of the source.

    Raises:
        InputError: If the data sets differ in channels, labels or file ending, or in their splits.
    """
    folder = source.parent / raw.name
    if folder == source:
        raise InputError(f"--from names {raw.name} itself; omit --from")
    there, here = (read_object(path / DATASET_JSON) for path in (source, raw))
    for key in ("channel_names", "labels", "file_ending"):
        if key not in here:
            raise InputError(f"{raw / DATASET_JSON} has no {key}; add it as nnU-Net v2 expects it")
        if there.get(key) != here[key]:
            raise InputError(
                f"{raw / DATASET_JSON} has the {key} {here[key]}, {source / DATASET_JSON} "
                f"{there.get(key)}; plans can only be taken from a data set of the same images"
            )
    if (source / SPLITS).exists():
        splits = read_splits(source / SPLITS)
        _check_splits(splits, source, folder, raw / LABELS, here["file_ending"])
        write_json(folder / SPLITS, splits)
    write_json(folder / DATASET_JSON, here)
    if not (folder / FINGERPRINT).exists():
        write_json(folder / FINGERPRINT, read_object(source / FINGERPRINT))
    return folder


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file with an object.

    Raises:
        InputError: If it is not JSON, or not an object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must contain a JSON object, got {type(content).__name__}")
    return content


def _check_splits(splits: list[Any], source: Path, folder: Path, labels: Path, ending: str) -> None:
    """Check that a data set has all cases of the splits of `source`, and no other splits."""
    cases = sorted({case for split in splits for part in split.values() for case in part})
    missing = [case for case in cases if not (labels / f"{case}{ending}").exists()]
    if missing:
        raise InputError(
            f"{labels} lacks {len(missing)} of the {len(cases)} cases in {source / SPLITS}: "
            f"{named(missing)}; add them, so that the folds of both data sets are the same"
        )
    if (folder / SPLITS).exists() and read_splits(folder / SPLITS) != splits:
        raise InputError(
            f"{folder / SPLITS} differs from {source / SPLITS}: folds would not have the same "
            "cases; delete the former if no training needs it, and plan again"
        )
