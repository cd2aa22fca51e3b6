"""Process that does one run: it locks the folder, updates the record and writes the log."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import sys
import threading
import time
import traceback
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from anl_seg.errors import InputError
from anl_seg.experiments.kinds import find_kind
from anl_seg.experiments.runs import records
from anl_seg.provenance import git_state, versions

PACKAGES = ("anl-seg", "nnunetv2", "numpy", "torch", "torchvision")
#: Set when this process is told to end. A later failure is then a stop, not an error.
told_to_end = threading.Event()


def work(folder: Path) -> bool:
    """Do the run of the record in `folder`, unless it is done or another process is doing it.

    Output and errors go to log.txt.

    Returns:
        False if the run failed here.
    """
    with records.locked(folder) as mine:
        record = records.read_record(folder)
        assert record is not None  # the caller has written it
        if not mine or record.status == records.DONE:
            return True
        _log_to(folder / records.LOG_NAME)
        requeued = record.status == records.RUNNING and "SLURM_RESTART_COUNT" in os.environ
        record = dataclasses.replace(
            record,
            status=records.RUNNING,
            attempts=record.attempts + 1,
            stops=record.stops + requeued,
            error=None,
            started=_now(),
            ended=None,
            host=platform.node(),
            job=_job(),
            versions=versions(*PACKAGES),
            git=git_state(),
        )
        records.write_record(folder, record)
        start = time.monotonic()
        # Ctrl-C and a requeue by submitit raise exceptions that are not caught here.
        outcome: dict[str, Any] = {"status": records.STOPPED, "stops": record.stops + 1}
        try:
            outcome = {
                "status": records.DONE,
                **asdict(find_kind(record.kind).run(record.settings, folder)),
            }
        except Exception as error:
            if isinstance(error, InputError):
                print(error, file=sys.stderr)  # the user can mend it; a traceback would hide it
            else:
                traceback.print_exc()
            if not told_to_end.is_set():
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                outcome = {"status": records.FAILED, "error": reason}
        finally:
            seconds = round((record.seconds or 0.0) + time.monotonic() - start, 1)
            ended = dataclasses.replace(record, **outcome, ended=_now(), seconds=seconds)
            records.write_record(folder, ended)
        return ended.status == records.DONE


def _log_to(path: Path) -> None:
    """Append all output of this process and its children to a file."""
    with path.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("anl_seg").setLevel(logging.INFO)
    print(f"--- {_now()} on {platform.node()}, {torch.get_num_threads()} threads", flush=True)


def _job() -> str | None:
    """Return the SLURM job of this process, such as "12", or "12_3" in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is not None:
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
