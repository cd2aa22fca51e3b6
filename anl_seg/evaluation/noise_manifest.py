"""Read which masks were made noisy, and how, from the manifest that `anl-seg noise` writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError

#: Kind of a mask that was left as it is, and of one that was left out of the noisy data set.
CLEAN, SKIPPED = "clean", "skipped"


@dataclass(frozen=True)
class NoisyMask:
    """What became of one mask: the kind of its noise, or "clean", and its noisy file."""

    kind: str
    file: Path


def read_noise_manifest(path: Path) -> dict[str, NoisyMask]:
    """Map case name to noisy mask.

    Args:
        path: `noise_manifest.json` or `noise_manifest.csv`, or the folder that holds the first.

    Raises:
        InputError: If it is no such manifest, or of a run that did not end.
    """
    if path.is_dir():
        path = path / "noise_manifest.json"
    try:
        text = path.read_text(encoding="utf-8")
        masks = _masks(_rows(path, text), path.parent)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is no noise manifest ({error}); give the noise_manifest.json or .csv that "
            "anl-seg noise wrote"
        ) from error
    if not masks:
        raise InputError(f"{path}: holds no cases; run anl-seg noise again, to its end")
    return masks


def _rows(path: Path, text: str) -> Iterable[Mapping[str, Any]]:
    if path.suffix == ".csv":
        return csv.DictReader(text.splitlines())
    rows: list[Mapping[str, Any]] = json.loads(text).get("cases", [])
    return rows


def _masks(rows: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, NoisyMask]:
    """One mask a case, with the kinds of all its rows, of which every class has its own."""
    masks: dict[str, NoisyMask] = {}
    for row in rows:
        if row["kind"] == SKIPPED:
            continue
        kinds = {row["kind"]}
        if row["case"] in masks:
            kinds |= set(masks[row["case"]].kind.split("+"))
        kind = "+".join(sorted(kinds - {CLEAN})) or CLEAN
        masks[row["case"]] = NoisyMask(kind, folder / row["file"])
    return masks
