"""The account of a noisy data set: what was asked and achieved, object by object, as CSV and JSON.

While a run goes on, the JSON file says `"complete": false` and a journal takes one line for each
case that is done, so that a killed run can be resumed; at the end the journal goes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.files import write_json, write_text
from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.masks import KINDS

JSON_NAME = "noise_manifest.json"
CSV_NAME = "noise_manifest.csv"
JOURNAL_NAME = "noise_manifest.partial.jsonl"
SCHEMA = "anl-seg noise manifest"
SCHEMA_VERSION = 2
#: An object is off its level if what was achieved differs from what was asked by more than that.
TOLERANCE = 0.01
#: What `Row.kind` says besides the kinds of noise.
CLEAN, SKIPPED = "clean", "skipped"


@dataclass(frozen=True)
class Row:
    """One object of the manifest: a case, or one class of a case.

    Attributes:
        case: Name of the case.
        label: The class, 1 in a binary mask; None where the mask is empty.
        file: The mask, relative to the manifest.
        kind: What the object suffered: a name of `KINDS`, "clean", or "skipped" with its case.
        method: "corrected" or "published".
        seed: Of the run.
        requested: eta_beta asked for; None where the case was not chosen.
        achieved: Changed pixels over foreground pixels; None for an empty mask, as the next three.
        dice: Overlap of the noisy with the clean mask.
        area_change: Growth of the foreground over the foreground.
        hd95: 95th percentile of the surface distances, in mm if the run counts in millimetres, else
            in pixels.
        situation: A name of `SITUATIONS` where a chosen object could not take its noise.
        reason: The same in words.
        parameters: Of the noise, drawn and found.
        sha256_clean: Of the clean mask's file.
        sha256_noisy: Of the noisy mask's file; empty if it was skipped.
    """

    case: str
    label: int | None
    file: str
    kind: str
    method: str
    seed: int
    requested: float | None
    achieved: float | None
    dice: float | None
    area_change: float | None
    hd95: float | None
    situation: str
    reason: str
    parameters: Mapping[str, Any]
    sha256_clean: str
    sha256_noisy: str


@dataclass(frozen=True)
class Entry:
    """What the journal says of one case.

    Attributes:
        rows: Its objects, one at least.
        confusion: (clean label, noisy label, pixels) wherever there are any.
    """

    rows: list[Row]
    confusion: list[tuple[int, int, int]]

    @property
    def case(self) -> str:
        """The name of the case."""
        return self.rows[0].case


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def begin(folder: Path, settings: Mapping[str, Any]) -> dict[str, Entry]:
    """Note in `folder` that a run began, or find out how far the same run came before a kill.

    Returns:
        The cases that the journal holds, if the unfinished run in `folder` is the same; the caller
        must still check their files.
    """
    entries = []
    if can_resume(folder, settings):
        entries = _read_journal(folder)
        for half_written in folder.rglob(".partial-*"):  # of `anl_seg.formats.files`
            half_written.unlink()
    write_json(folder / JSON_NAME, _head(settings, complete=False))
    write_text(folder / JOURNAL_NAME, "".join(map(_line, entries)))
    return {entry.case: entry for entry in entries}


def can_resume(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether `folder` holds the beginning of the same run, by the same versions."""
    path = folder / JSON_NAME
    if not path.is_file():
        return False
    head = json.loads(json.dumps(_head(settings, complete=False)))
    return bool(json.loads(path.read_text(encoding="utf-8")) == head)


def note(folder: Path, entry: Entry) -> None:
    """Add a case that is done to the journal."""
    with (folder / JOURNAL_NAME).open("a", encoding="utf-8") as stream:
        stream.write(_line(entry))


def finish(
    folder: Path,
    settings: Mapping[str, Any],
    entries: Sequence[Entry],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """Write the whole manifest, CSV first, and return what its JSON file holds.

    Args:
        folder: Where the noisy masks or the noisy data set lie.
        settings: What was asked for.
        entries: The cases.
        left_out: Files of the source that are not in `folder`.
    """
    rows = [row for entry in entries for row in entry.rows]
    write_text(folder / CSV_NAME, _csv(rows))
    content = {
        **_head(settings, complete=True),
        "summary": summarise(entries),
        "left_out": list(left_out),
        "cases": [asdict(row) for row in rows],
    }
    write_json(folder / JSON_NAME, content)
    (folder / JOURNAL_NAME).unlink()
    return content


def read(folder: Path) -> dict[str, Any]:
    """Read the JSON manifest of a finished run.

    Raises:
        InputError: If there is none, the run was not finished, or its schema is another.
    """
    path = folder / JSON_NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a folder that `anl-seg noise` wrote")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"], content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is no noise manifest ({error!r})") from error
    if schema != (SCHEMA, SCHEMA_VERSION):
        raise InputError(
            f"{path}: is a {schema[0]} of version {schema[1]}, expected version {SCHEMA_VERSION}; "
            "make the noisy masks anew"
        )
    if not content["complete"]:
        raise InputError(f"{path}: the run was not finished; give the same command again")
    return content


def summarise(entries: Sequence[Entry]) -> dict[str, Any]:
    """Count cases and objects, average what was achieved, and add up the confusion."""
    rows = [row for entry in entries for row in entry.rows]
    corrupted = [row for row in rows if row.kind in KINDS]
    noisy_cases = {row.case for row in corrupted}
    chosen = {row.case for row in rows if row.requested is not None}
    skipped = {row.case for row in rows if row.kind == SKIPPED}
    kept = len(entries) - len(skipped)
    situations = Counter(row.situation for row in rows if row.situation)
    return {
        "cases": len(entries),
        "chosen": len(chosen),
        "corrupted": len(noisy_cases),
        "left_clean": len(chosen - noisy_cases - skipped),
        "skipped": len(skipped),
        "off_level": sum(
            abs((row.achieved or 0) - (row.requested or 0)) > TOLERANCE for row in corrupted
        ),
        "vanished": sum(row.area_change == -1 for row in corrupted),
        "situations": {name: situations[name] for name in SITUATIONS},
        "eta_alpha": len(noisy_cases) / kept if kept else 0.0,
        "eta_beta": _spread(corrupted),
        "kinds": {
            kind: _spread([row for row in corrupted if row.kind == kind])
            for kind in KINDS
            if kind in {row.kind for row in corrupted}
        },
        "confusion": _confusion(entries),
    }


def _head(settings: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    packages = ("anl-seg", "numpy", "pillow", "scikit-image", "scipy", "SimpleITK")
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "complete": complete,
        "settings": dict(settings),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
    }


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"


def _read_journal(folder: Path) -> list[Entry]:
    entries = []
    journal = folder / JOURNAL_NAME
    if not journal.is_file():  # the kill came before the first case, or `overwrite` took it
        return []
    for line in journal.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # the kill came in the middle of the last line
            break
        rows = [Row(**row) for row in content["rows"]]
        entries.append(Entry(rows, [(a, b, n) for a, b, n in content["confusion"]]))
    return entries


def _spread(rows: Sequence[Row]) -> dict[str, float | None]:
    """Count rows and give the mean, smallest and largest achieved eta_beta; None without rows."""
    achieved = [row.achieved for row in rows if row.achieved is not None]
    return {
        "cases": len(achieved),
        "mean": fmean(achieved) if achieved else None,
        "min": min(achieved, default=None),
        "max": max(achieved, default=None),
    }


def _confusion(entries: Iterable[Entry]) -> dict[str, Any]:
    """Pixels by clean label (rows) and noisy label (columns), over all cases that are there."""
    total: Counter[tuple[int, int]] = Counter()
    for entry in entries:
        for before, after, pixels in entry.confusion:
            total[before, after] += pixels
    labels = sorted({label for pair in total for label in pair})
    return {"labels": labels, "pixels": [[total[a, b] for b in labels] for a in labels]}


def _csv(rows: Sequence[Row]) -> str:
    """One line an object; every parameter that occurs has a column of its own after the rest."""
    lines = [{**asdict(row), **row.parameters} for row in rows]
    columns = dict.fromkeys(name for line in lines for name in line if name != "parameters")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
