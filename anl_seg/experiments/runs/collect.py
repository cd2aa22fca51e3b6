"""Collection of a tree of runs as rows: identity, state, settings, metrics, provenance."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.formats.files import RUN_NAME


def collect(root: Path) -> list[dict[str, Any]]:
    """Read all runs below a folder: runs with a record, and single runs of `anl-seg classify`.

    Args:
        root: Folder of the runs.

    Returns:
        One row per run, in the order of their folders. Columns are called like the settings and
        hyper-parameters. Metrics are shares in [0, 1].

    Raises:
        InputError: If there are no runs, or a file is broken.

    Examples:
        >>> import tempfile
        >>> from anl_seg.experiments.runs.run import make_run
        >>> run = make_run("classification", {"loss": "ce"})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Path(folder, run.id).mkdir()
        ...     record = records.RunRecord(run.id, run.kind, dict(run.settings))
        ...     records.write_record(Path(folder, run.id), record)
        ...     [(row["loss"], row["state"]) for row in collect(Path(folder))]
        [('ce', 'waiting')]
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give the folder of the runs")
    rows = []
    for folder in sorted({path.parent for path in root.rglob("*.json")}):
        if (seen := records.look(folder)) is not None:
            rows.append(_of_record(folder.relative_to(root), *seen))
        elif (path := folder / RUN_NAME).exists():
            rows.append(_of_classify(root, path))
    if not rows:
        raise InputError(f"{root} contains no runs")
    return rows


def write_csv(rows: Sequence[Mapping[str, Any]], file: TextIO) -> None:
    """Write rows as CSV, with every column that any of them has, in the order of first use."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _of_record(folder: Path, record: records.RunRecord, state: str) -> dict[str, Any]:
    return {
        "run": record.id,
        "folder": str(folder),
        "kind": record.kind,
        "state": state,
        **_flat(record.settings),
        **record.metrics,
        "attempts": record.attempts,
        "stops": record.stops,
        "error": record.error,
        "started": record.started,
        "seconds": record.seconds,
        "host": record.host,
        "job": record.job,
        "noise_sha256": record.noise_sha256,
        "commit": (record.git or {}).get("commit"),
        "commit_changed": (record.git or {}).get("changed"),
        **{f"version_{name}": version for name, version in record.versions.items()},
    }


def _of_classify(root: Path, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        result = content["result"] or {}
        return {
            "run": path.parent.name,
            "folder": str(path.parent.relative_to(root)),
            "kind": "classification",
            "state": records.DONE if result else records.STOPPED,
            **_flat(content["settings"]),
            "test_accuracy": result.get("last"),
            "best_test_accuracy": result.get("best"),
            "noise_sha256": content["labels"]["sha256"],
            **{f"version_{name}": version for name, version in content["versions"].items()},
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a run of `anl-seg classify`: {error!r}") from error


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten the mappings among settings, such as hyper-parameters."""
    row: dict[str, Any] = {}
    for key, value in settings.items():
        row |= value if isinstance(value, Mapping) else {key: value}
    return row
