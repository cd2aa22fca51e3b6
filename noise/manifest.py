"""The account of a noisy data set: what was asked and achieved, case by case, as CSV and JSON."""

from __future__ import annotations

import csv
import hashlib
import io
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from anl_seg.files import write_json, write_text
from anl_seg.noise.masks import KINDS

JSON_NAME = "noise_manifest.json"
CSV_NAME = "noise_manifest.csv"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Row:
    """One case of the manifest.

    Attributes:
        case: Name of the case.
        file: The mask, relative to the manifest.
        kind: What the mask suffered: a name of `KINDS`, or "clean".
        requested: eta_beta asked for; None where the case was not chosen.
        achieved: Changed pixels over foreground pixels; None for an empty mask, as the next two.
        dice: Overlap of the noisy with the clean mask.
        area_change: Growth of the foreground over the foreground.
        reason: Why a chosen case was left clean; empty otherwise.
        parameters: Of the noise, drawn and found.
        sha256_clean: Of the clean mask's file.
        sha256_noisy: Of the noisy mask's file.
    """

    case: str
    file: str
    kind: str
    requested: float | None
    achieved: float | None
    dice: float | None
    area_change: float | None
    reason: str
    parameters: Mapping[str, Any]
    sha256_clean: str
    sha256_noisy: str


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def begin(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note in `folder` that a run began: until it ends, its manifest says `"complete": false`."""
    write_json(folder / JSON_NAME, _head(settings, complete=False))


def finish(
    folder: Path, settings: Mapping[str, Any], rows: Sequence[Row], left_out: Sequence[str]
) -> dict[str, Any]:
    """Write the whole manifest, CSV first, and return what its JSON file holds.

    Args:
        folder: Where the noisy masks or the noisy data set lie.
        settings: What was asked for.
        rows: The cases.
        left_out: Files of the source that are not in `folder`.
    """
    write_text(folder / CSV_NAME, _csv(rows))
    content = {
        **_head(settings, complete=True),
        "summary": summarise(rows),
        "left_out": list(left_out),
        "cases": [asdict(row) for row in rows],
    }
    write_json(folder / JSON_NAME, content)
    return content


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Count the cases and average what was achieved, over all corrupted cases and for each kind."""
    corrupted = [row for row in rows if row.kind != "clean"]
    by_kind = {kind: [row for row in corrupted if row.kind == kind] for kind in KINDS}
    return {
        "cases": len(rows),
        "chosen": sum(row.requested is not None for row in rows),
        "corrupted": len(corrupted),
        "left_clean": sum(bool(row.reason) for row in rows),
        "eta_alpha": len(corrupted) / len(rows),
        "eta_beta": _spread(corrupted),
        "kinds": {kind: _spread(those) for kind, those in by_kind.items()},
    }


def _head(settings: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    packages = ("anl-seg", "numpy", "pillow", "scipy", "SimpleITK")
    return {
        "schema": "anl-seg noise manifest",
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
    }


def _spread(rows: Sequence[Row]) -> dict[str, float | None]:
    """Count rows and give the mean, smallest and largest achieved eta_beta; None without rows."""
    achieved = [row.achieved for row in rows if row.achieved is not None]
    return {
        "cases": len(achieved),
        "mean": fmean(achieved) if achieved else None,
        "min": min(achieved, default=None),
        "max": max(achieved, default=None),
    }


def _csv(rows: Sequence[Row]) -> str:
    """One line a case; every parameter that occurs has a column of its own after the rest."""
    lines = [{**asdict(row), **row.parameters} for row in rows]
    columns = dict.fromkeys(name for line in lines for name in line if name != "parameters")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
