"""Manifest of a noisy data set, as JSON and CSV: settings, and the noise of each object.

During a run the JSON file says `"complete": false`, and a journal gets one line for each finished
case, so that a killed run can be resumed. At the end the journal is deleted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.files import write_json, write_text
from anl_seg.formats.text import read_json, read_text

JSON_NAME = "noise_manifest.json"
CSV_NAME = "noise_manifest.csv"
JOURNAL_NAME = "noise_manifest.partial.jsonl"
SCHEMA = "anl-seg noise manifest"
SCHEMA_VERSION = 2
#: Values of `Row.kind` other than kinds of noise: left unchanged, or left out of the noisy set.
CLEAN, SKIPPED = "clean", "skipped"


@dataclass(frozen=True)
class Row:
    """One object of the manifest: a case, or one class of a case.

    Attributes:
        case: Name of the case.
        label: The class, 1 in a binary mask; None for an empty mask.
        file: The mask, relative to the manifest.
        kind: A name of `KINDS`, "clean", or "skipped" if the case was left out.
        method: "corrected" or "published".
        seed: Seed of the run.
        requested: Requested eta_beta; None if the case was not chosen.
        achieved: Changed pixels over foreground pixels; None for an empty mask.
        dice: Overlap of the noisy with the clean mask; None for an empty mask.
        area_change: Growth of the foreground over the foreground; None for an empty mask.
        hd95: 95th percentile of the surface distances, in mm if the run uses millimetres, otherwise
            in pixels; None for an empty mask.
        situation: A name of `SITUATIONS` if a chosen object could not take its noise.
        reason: The situation in words.
        parameters: Parameters of the noise, drawn and found.
        sha256_clean: SHA-256 of the clean mask's file.
        sha256_noisy: SHA-256 of the noisy mask's file; "" if the case was skipped.
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
class NoisyMask:
    """One mask: the kind of its noise, or "clean", and its noisy file."""

    kind: str
    file: Path


@dataclass(frozen=True)
class Entry:
    """The journal's entry of one case.

    Attributes:
        rows: Rows of its objects, at least one.
        confusion: Triples (clean label, noisy label, number of pixels) with at least one pixel.
    """

    rows: list[Row]
    confusion: list[tuple[int, int, int]]

    @property
    def case(self) -> str:
        """Name of the case."""
        return self.rows[0].case


def sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def begin(folder: Path, settings: Mapping[str, Any]) -> dict[str, Entry]:
    """Start the manifest of a run in `folder`, or read the progress of the same unfinished run.

    Returns:
        Entries in the journal by case, if `folder` contains the same unfinished run. The caller
        must still check their files.
    """
    entries = []
    if can_resume(folder, settings):
        entries = _read_journal(folder)
        for half_written in folder.rglob(".partial-*"):  # from `atomic_path`
            half_written.unlink()
    write_json(folder / JSON_NAME, _head(settings, complete=False))
    write_text(folder / JOURNAL_NAME, "".join(map(_line, entries)))
    return {entry.case: entry for entry in entries}


def can_resume(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Return whether `folder` contains the beginning of the same run, by the same versions."""
    path = folder / JSON_NAME
    if not path.is_file():
        return False
    head = json.loads(json.dumps(_head(settings, complete=False)))
    return bool(read_json(path) == head)


def note(folder: Path, entry: Entry) -> None:
    """Add a finished case to the journal."""
    with (folder / JOURNAL_NAME).open("a", encoding="utf-8") as stream:
        stream.write(_line(entry))


def finish(
    folder: Path,
    settings: Mapping[str, Any],
    entries: Sequence[Entry],
    summary: Mapping[str, Any],
    left_out: Sequence[str],
) -> dict[str, Any]:
    """Write the complete manifest, CSV first, and return the content of its JSON file.

    Args:
        folder: Folder of the noisy masks or data set.
        settings: Settings of the run.
        entries: Entries of all cases.
        summary: Counts and means over the cases (`anl_seg.noise.summary`).
        left_out: Files of the source that are not in `folder`.
    """
    rows = [row for entry in entries for row in entry.rows]
    write_text(folder / CSV_NAME, _csv(rows))
    content = {
        **_head(settings, complete=True),
        "summary": dict(summary),
        "left_out": list(left_out),
        "cases": [asdict(row) for row in rows],
    }
    write_json(folder / JSON_NAME, content)
    (folder / JOURNAL_NAME).unlink()
    return content


def read(folder: Path) -> dict[str, Any]:
    """Read the JSON manifest of a finished run.

    Raises:
        InputError: If there is none, the run was not finished, or the schema is another.
    """
    path = folder / JSON_NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a folder that `anl-seg noise` wrote")
    try:
        content: dict[str, Any] = read_json(path)
        schema = content["schema"], content["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: is not a noise manifest ({error!r})") from error
    if schema != (SCHEMA, SCHEMA_VERSION):
        raise InputError(
            f"{path}: is a {schema[0]} of version {schema[1]}, expected version {SCHEMA_VERSION}; "
            "run `anl-seg noise` again"
        )
    if not content["complete"]:
        raise InputError(f"{path}: the run was not finished; run the same command again")
    return content


def read_noisy_masks(path: Path) -> dict[str, NoisyMask]:
    """Read the kind of noise of each mask, by case.

    Args:
        path: `noise_manifest.json` or `noise_manifest.csv`, or the folder of the first.

    Raises:
        InputError: If the file is not a manifest, or its run was not finished.
    """
    if path.is_dir():
        path = path / JSON_NAME
    try:
        masks = _masks(_rows(path), path.parent)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: is not a noise manifest ({error}); give the noise_manifest.json or .csv that "
            "anl-seg noise wrote"
        ) from error
    if not masks:
        raise InputError(f"{path}: contains no cases; run anl-seg noise again until it finishes")
    return masks


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix == ".csv":
        return csv.DictReader(io.StringIO(read_text(path, names=True), newline=""))
    rows: list[Mapping[str, Any]] = read_json(path).get("cases", [])
    return rows


def _masks(rows: Iterable[Mapping[str, Any]], folder: Path) -> dict[str, NoisyMask]:
    """Merge the rows of each case, one per class, into one mask with all their kinds."""
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


def _head(settings: Mapping[str, Any], complete: bool) -> dict[str, Any]:
    packages = (
        "anl-seg",
        "numpy",
        "opencv-python-headless",
        "pillow",
        "scikit-image",
        "scipy",
        "SimpleITK",
    )
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
    if not journal.is_file():  # killed before the first case, or `overwrite` deleted it
        return []
    for line in journal.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # killed in the middle of the last line
            break
        rows = [Row(**row) for row in content["rows"]]
        entries.append(Entry(rows, [(a, b, n) for a, b, n in content["confusion"]]))
    return entries


def _csv(rows: Sequence[Row]) -> str:
    """Format one line per object, with a column for each parameter after the fixed columns."""
    lines = [{**asdict(row), **row.parameters} for row in rows]
    columns = dict.fromkeys(name for line in lines for name in line if name != "parameters")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
