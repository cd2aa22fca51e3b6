"""The record of a run in its folder: its settings, its state and its results."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anl_seg.errors import InputError
from anl_seg.formats.files import write_json

SCHEMA = 1
RECORD_NAME = "record.json"
LOG_NAME = "log.txt"
LOCK_NAME = ".lock"
#: Seconds to wait for a lock. A process that only tests whether it is free holds it for less.
LOCK_SECONDS = 5.0

WAITING, QUEUED, RUNNING, STOPPED = "waiting", "queued", "running", "stopped"
DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class RunRecord:
    """The content of record.json.

    Attributes:
        id: Id of the run, and name of its folder.
        kind: "classification" or "segmentation".
        settings: All settings of the run.
        status: "waiting", "running", "stopped", "done" or "failed".
        attempts: Number of attempts.
        stops: Number of attempts stopped by Ctrl-C, or cancelled, preempted or requeued by SLURM.
            They do not count as failures.
        error: First line of the error, if the run failed.
        started: Start of the last attempt, in UTC, ISO 8601.
        ended: End of the last attempt, in UTC, ISO 8601.
        seconds: Seconds of all ended attempts together, because a run resumes. The time of an
            attempt that was killed is unknown and not included.
        host: Name of the machine.
        job: Job of SLURM, if any.
        versions: Versions of the packages that the numbers depend on.
        git: Commit of the checkout that ran, and whether files were changed.
        noise_sha256: Hash of the noisy class labels, or of the manifest of the noisy masks.
        metrics: Shares in [0, 1] by name, such as test_accuracy after the last epoch, test_dice.
        schema: Version of the format of record.json.
    """

    id: str
    kind: str
    settings: dict[str, Any]
    status: str = WAITING
    attempts: int = 0
    stops: int = 0
    error: str | None = None
    started: str | None = None
    ended: str | None = None
    seconds: float | None = None
    host: str | None = None
    job: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    git: dict[str, Any] | None = None
    noise_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def elapsed(self) -> float:
        """Seconds of all attempts up to now, if the last one is still running."""
        ended = self.seconds or 0.0
        if self.started is None:
            return ended
        start = datetime.fromisoformat(self.started)
        return ended + (datetime.now(timezone.utc) - start).total_seconds()


def write_record(folder: Path, record: RunRecord) -> None:
    """Write record.json."""
    write_json(folder / RECORD_NAME, dataclasses.asdict(record))


def read_record(folder: Path) -> RunRecord | None:
    """Read record.json; None if it does not exist.

    Raises:
        InputError: If it is broken, or has another schema.
    """
    path = folder / RECORD_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); delete it to start again") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise InputError(
            f"{path} has schema {found}, but this version of anl-seg reads {SCHEMA}; use another "
            "folder, or the version that wrote it"
        )
    try:
        return RunRecord(**content)
    except TypeError as error:
        raise InputError(f"{path} is not a record of a run: {error}") from error


def find_folders(root: Path) -> list[Path]:
    """Return the folders below `root` that contain a record, in order."""
    return sorted(path.parent for path in root.rglob(RECORD_NAME))


def look(folder: Path) -> tuple[RunRecord, str] | None:
    """Read a record and the state of its run; None if there is no record.

    The state is the recorded one, except that a "running" run whose process has ended is "stopped".

    Raises:
        InputError: If the record is broken, or has another schema.
    """
    record = read_record(folder)
    if record is None:
        return None
    if record.status != RUNNING:
        return record, record.status
    with locked(folder, wait=0) as mine:
        if not mine:
            return record, RUNNING
        record = read_record(folder) or record  # it may have ended in the meantime
    return record, STOPPED if record.status == RUNNING else record.status


@contextmanager
def locked(folder: Path, wait: float = LOCK_SECONDS) -> Iterator[bool]:
    """Lock a run's folder, and yield whether the lock was acquired within `wait` seconds.

    The operating system releases the lock when the process that holds it ends.
    """
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def log_tail(folder: Path, lines: int = 10) -> str:
    """Return the last lines of the log of a run."""
    path = folder / LOG_NAME
    if not path.exists():
        return "(no log)"
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
