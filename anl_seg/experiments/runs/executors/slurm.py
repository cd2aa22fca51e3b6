"""Runs on a SLURM cluster, through submitit: all that are missing go into one job array."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from anl_seg.errors import CommandFailedError, InputError, named
from anl_seg.formats.files import write_json

if TYPE_CHECKING:
    from submitit import SlurmExecutor as Submitter
    from submitit.core.utils import DelayedSubmission

log = logging.getLogger(__name__)

#: Beside the folders of the runs: what submitit writes, and what was submitted.
FOLDER_NAME = "slurm"
PROGRAMS = ("sbatch", "scancel", "squeue", "srun")
DEFAULT_MINUTES = 240
#: How often a run that its time limit ends is put into the queue again, to go on.
MOST_TIMEOUTS = 100
#: SLURM's administrators do not like to be asked more often.
SQUEUE_SECONDS = 5.0
ANSWER_SECONDS = 60
#: Options of sbatch that are set here.
OURS = ("array", "chdir", "error", "job_name", "open_mode", "output", "requeue", "signal")


def parse_options(texts: Sequence[str]) -> dict[str, str | bool]:
    """Read the long options of sbatch: NAME=VALUE, or NAME for one without a value.

    Returns:
        Name, with underscores, -> value; True where there is none.

    Raises:
        InputError: If a name is missing, or one of those set here, or the time is no number.
    """
    options: dict[str, str | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.lstrip("-").replace("-", "_")
        if not name or (equals and not value):
            raise InputError(f"--slurm takes NAME=VALUE or NAME, got {text!r}")
        if name in OURS:
            raise InputError(f"--slurm {name} cannot be given: anl-seg sets {named(OURS)} itself")
        options[name] = value if equals else True
    minutes = options.get("time", "1")
    if not str(minutes).isdecimal() or int(minutes) == 0:
        raise InputError(f"--slurm time takes whole minutes, got {minutes!r}")
    return options


@dataclass(frozen=True)
class Job:
    """The function that submitit calls on the cluster, in a process of its own.

    Attributes:
        folder: Folder of the run.
        directory: Folder that the sweep was called in; relative paths in settings start there.
    """

    folder: Path
    directory: Path

    def __call__(self) -> None:
        """Do the run. If it fails, the job of SLURM fails too."""
        # Before torch is imported; without it torch and nnU-Net take all processors of the node.
        os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        from anl_seg.experiments.runs import worker

        # It comes before SIGKILL, at scancel and before SLURM itself puts the job into its queue
        # again, which it does only with a job that goes on until then.
        signal.signal(signal.SIGTERM, lambda *_: worker.told_to_end.set())
        os.chdir(self.directory)
        if not worker.work(self.folder):
            sys.exit(1)

    def checkpoint(self) -> DelayedSubmission:
        """Return the job for a requeue: the same one, since runs resume."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)


class SlurmExecutor:
    """Do runs as jobs of SLURM.

    Each submission has a name of its own, and before it is made, a file of this name in
    `root`/slurm that lists its runs. So any process can tell from squeue alone which runs are in
    the queue, also one that is started after another was killed in the middle of a submission.

    Args:
        root: Folder of the runs, which the nodes of the cluster must see too.
        options: Options from `parse_options`.
        parallel: Runs of a submission at a time.

    Raises:
        InputError: If SLURM's programs are not here.
    """

    def __init__(self, root: Path, options: Mapping[str, str | bool], parallel: int) -> None:
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise InputError(
                f"found no {named(missing)} in PATH; run this where jobs are submitted to SLURM, "
                "or omit --executor slurm"
            )
        self._folder = (root / FOLDER_NAME).absolute()
        self._options = dict(options)
        self._parallel = parallel
        self._names: list[str] = []
        self._queued: set[str] | None = None
        self._asked = float("-inf")

    def start(self, folders: Sequence[Path]) -> None:
        """Submit the runs in `folders` that are not in the queue.

        Raises:
            CommandFailedError: If SLURM does not take them.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock"):  # against the same by another process
            queued = _queued(self._folder)
            new = [folder for folder in folders if folder.name not in queued]
            if new:
                self._submit(new)
            self._queued = queued | {folder.name for folder in new}
            self._asked = time.monotonic()

    def pending(self, folders: Sequence[Path]) -> set[Path]:
        """Return those of `folders` that are queued or running, whoever submitted them.

        While SLURM's controller does not answer, as when it is started anew, they stay what they
        were.

        Raises:
            CommandFailedError: If it does not answer the first time.
        """
        if time.monotonic() - self._asked >= SQUEUE_SECONDS:
            try:
                self._queued = _queued(self._folder)
            except CommandFailedError as error:
                if self._queued is None:
                    raise
                log.warning("%s; asking again", error)
            self._asked = time.monotonic()
        return {folder for folder in folders if folder.name in (self._queued or ())}

    def stop(self) -> None:
        """Cancel what was submitted here."""
        for name in self._names:
            subprocess.run(["scancel", f"--name={name}"], check=False, timeout=ANSWER_SECONDS)

    def _submit(self, folders: Sequence[Path]) -> None:
        from submitit.core.utils import FailedJobError

        name = f"anl-seg-{uuid.uuid4().hex[:12]}"
        write_json(self._folder / f"{name}.json", [folder.name for folder in folders])
        self._names.append(name)
        directory = Path.cwd()
        jobs = [Job(folder.absolute(), directory) for folder in folders]
        try:
            self._submission(name).submit_array(jobs)
        except FailedJobError as error:
            raise CommandFailedError(f"SLURM does not take the jobs: {error}") from error

    def _submission(self, name: str) -> Submitter:
        from submitit import SlurmExecutor as Submitter

        options = dict(self._options)
        minutes = int(options.pop("time", DEFAULT_MINUTES))
        cores = options.get("cpus_per_task")
        executor = Submitter(self._folder, max_num_timeout=MOST_TIMEOUTS)
        executor.update_parameters(
            job_name=name,
            time=minutes,
            array_parallelism=self._parallel,
            # Since 22.05, srun no longer takes it from sbatch.
            srun_args=[f"--cpus-per-task={cores}"] if cores else [],
            # Python's path begins with the folder that it starts in: not with a checkout of ours.
            additional_parameters={"requeue": True, "chdir": self._folder, **options},
        )
        return executor


def in_queue(root: Path) -> set[Path]:
    """Return the runs in `root` that are queued or running; none if SLURM cannot be asked here."""
    folder = root / FOLDER_NAME
    if not folder.is_dir():
        return set()
    try:
        return {root / name for name in _queued(folder)}
    except (CommandFailedError, FileNotFoundError) as error:
        log.warning("%s; what is in SLURM's queue is not shown as such", error)
        return set()


def _queued(folder: Path) -> set[str]:
    """Ask for the runs that are in the queue or running, of all submissions listed in `folder`."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%K %j"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailedError(f"squeue gave no answer in {ANSWER_SECONDS} s") from error
    except subprocess.CalledProcessError as error:
        raise CommandFailedError(f"squeue failed: {error.stderr.strip()}") from error
    found = set()
    for line in asked.stdout.splitlines():
        index, _, name = line.partition(" ")
        if name.startswith("anl-seg-") and (path := folder / f"{name}.json").exists():
            found.add(_submitted(path)[int(index) if index.isdecimal() else 0])  # N/A: no array
    return found


@functools.cache
def _submitted(path: Path) -> list[str]:
    names: list[str] = json.loads(path.read_text(encoding="utf-8"))
    return names
