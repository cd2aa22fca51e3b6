"""Execution of runs on a SLURM cluster with submitit: all missing runs become one job array."""

from __future__ import annotations

import functools
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
from anl_seg.experiments.runs.executors.executor import ExecutorOptions
from anl_seg.extras import require
from anl_seg.formats.files import write_json
from anl_seg.formats.text import read_json

if TYPE_CHECKING:
    from submitit import SlurmExecutor as Submitter
    from submitit.core.utils import DelayedSubmission

log = logging.getLogger(__name__)

#: Folder of submitit's files and of the lists of submitted runs, beside the folders of the runs.
FOLDER_NAME = "slurm"
PROGRAMS = ("sbatch", "scancel", "squeue", "srun")
DEFAULT_MINUTES = 240
#: How often a run that reached its time limit is requeued to continue.
MOST_TIMEOUTS = 100
#: Shortest time between questions to SLURM, to spare its controller.
SQUEUE_SECONDS = 5.0
ANSWER_SECONDS = 60
#: Options of sbatch that only this module may set.
OURS = ("array", "chdir", "error", "job_name", "open_mode", "output", "requeue", "signal")


def make(root: Path, options: ExecutorOptions) -> SlurmExecutor:
    """Create the executor of the runs in a folder, which the nodes of the cluster can access.

    Raises:
        InputError: If options are for another executor, a value is invalid, or submitit or
            SLURM's programs are missing.
    """
    require("submitit", "--executor slurm")
    if options.gpus is not None:
        raise InputError("--gpus needs --executor local; for SLURM use --slurm gpus=1")
    return SlurmExecutor(root, parse_options(options.slurm), parallel=options.workers)


def parse_options(texts: Sequence[str]) -> dict[str, str | bool]:
    """Parse long options of sbatch: NAME=VALUE, or NAME for an option without a value.

    Returns:
        Values by name (with underscores); True for an option without a value.

    Raises:
        InputError: If a name is missing or in `OURS`, or the time is not a number.
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
    """The function that submitit calls on the cluster, in a new process.

    Attributes:
        folder: Folder of the run.
        directory: Working directory of the sweep, to which paths in settings are relative.
    """

    folder: Path
    directory: Path

    def __call__(self) -> None:
        """Do the run. If it fails, the job of SLURM fails too."""
        # Set before torch is imported. Without it torch and nnU-Net use all processors of the node.
        os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        from anl_seg.experiments.runs import worker

        # SLURM sends this signal before SIGKILL, at scancel, and before it requeues the job itself.
        # It requeues only a job that continues until then.
        signal.signal(signal.SIGTERM, lambda *_: worker.told_to_end.set())
        os.chdir(self.directory)
        if not worker.work(self.folder):
            sys.exit(1)

    def checkpoint(self) -> DelayedSubmission:
        """Return the job for a requeue. It is the same job, because runs resume."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(self)


class SlurmExecutor:
    """Executor of runs as jobs of SLURM.

    Each submission has its own name. Before it is made, a file of this name in `root`/slurm lists
    its runs. So any process can tell from squeue alone which runs are in the queue, even if another
    process was killed in the middle of a submission.

    Args:
        root: Folder of the runs, which the nodes of the cluster must be able to access.
        options: Options from `parse_options`.
        parallel: Number of runs of a submission at a time.

    Raises:
        InputError: If SLURM's programs are missing.
    """

    runs_here = False

    def __init__(self, root: Path, options: Mapping[str, str | bool], parallel: int) -> None:
        if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise InputError(
                f"found no {named(missing)} in PATH; run this on a login node of SLURM, "
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
            CommandFailedError: If SLURM does not accept them.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock"):  # another process may submit the same runs
            queued = _queued(self._folder)
            new = [folder for folder in folders if folder.name not in queued]
            if new:
                self._submit(new)
            self._queued = queued | {folder.name for folder in new}
            self._asked = time.monotonic()

    def pending(self, folders: Sequence[Path]) -> set[Path]:
        """Return the folders whose runs are queued or running, whoever submitted them.

        While SLURM's controller does not answer, for example during a restart, the last answer is
        returned.

        Raises:
            CommandFailedError: If SLURM does not answer the first time.
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
        """Cancel the jobs that this executor submitted."""
        for name in self._names:
            command = ["scancel", f"--name={name}"]
            try:
                subprocess.run(command, check=False, timeout=ANSWER_SECONDS)
            except (subprocess.TimeoutExpired, OSError) as error:
                log.warning("%s; cancel the jobs yourself: %s", error, " ".join(command))

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
            raise CommandFailedError(f"SLURM did not accept the jobs: {error}") from error

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
            # Since SLURM 22.05, srun no longer inherits this from sbatch.
            srun_args=[f"--cpus-per-task={cores}"] if cores else [],
            # Python's path begins with its working directory, which must not be our checkout.
            additional_parameters={"requeue": True, "chdir": self._folder, **options},
        )
        return executor


def in_queue(root: Path) -> set[Path]:
    """Return the runs in `root` that are queued or running; none if SLURM does not answer."""
    folder = root / FOLDER_NAME
    if not folder.is_dir():
        return set()
    try:
        return {root / name for name in _queued(folder)}
    except (CommandFailedError, FileNotFoundError) as error:
        log.warning("%s; the states of runs in SLURM's queue may be wrong", error)
        return set()


def _queued(folder: Path) -> set[str]:
    """Ask squeue for the queued and running runs of all submissions listed in `folder`."""
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
    names: list[str] = read_json(path)
    return names
