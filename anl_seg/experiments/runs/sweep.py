"""Sweeps: many runs in one folder, of which an executor does the missing ones."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anl_seg.errors import CommandFailedError, InputError, listed, named
from anl_seg.experiments.kinds import KINDS, find_kind
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.executors import in_queue
from anl_seg.experiments.runs.executors.executor import Executor
from anl_seg.experiments.runs.records import DONE, QUEUED, RUNNING, WAITING, RunRecord
from anl_seg.experiments.runs.run import Run, make_run
from anl_seg.extras import require
from anl_seg.formats.text import read_yaml

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
#: Seconds to wait after the first refused submission. The wait doubles with each further one.
REFUSED_SECONDS, LONGEST_REFUSED_SECONDS = 10.0, 600.0
#: Refused submissions in a row after which no more are made, about 20 minutes.
MOST_REFUSALS = 8
KEYS = ("kind", "base", "grid", "runs")


@dataclass(frozen=True)
class Standing:
    """The state of one run of a sweep.

    Attributes:
        folder: Folder of the run.
        state: "waiting", "queued", "running", "stopped", "done" or "failed".
        record: Record of the run.
    """

    folder: Path
    state: str
    record: RunRecord


Watch = Callable[[list[Standing]], None]


def read_sweep(path: Path) -> list[Run]:
    """Read a YAML file and expand it to runs.

    The keys of the file are:

    - `kind`: "classification" or "segmentation";
    - `base`: settings of all runs;
    - `grid`: lists of values to combine (a mapping as value sets several settings at once);
    - `runs`: settings of single runs.

    Args:
        path: The YAML file.

    Returns:
        The runs, each once.

    Raises:
        InputError: If the file has another form, a setting is impossible, or a run occurs twice.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "sweep.yaml")
        ...     _ = path.write_text("grid: {loss: [ce, anl-ce], seed: [1, 2]}")
        ...     [run.name for run in read_sweep(path)][:2]
        ['digits-clean-ce-seed1', 'digits-clean-ce-seed2']
    """
    content = read_yaml(path)
    if not isinstance(content, dict) or (unknown := set(content) - set(KEYS)):
        found = sorted(map(str, unknown)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"{path} must have the keys {', '.join(KEYS)}, got {found}")
    if not content.get("grid") and not content.get("runs"):
        raise InputError(f"{path} has neither a grid nor runs")
    try:
        _check_forms(content)
        return expand(**content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_forms(content: Mapping[str, Any]) -> None:
    if not isinstance(content.get("kind", ""), str):
        raise InputError(f"kind must be {' or '.join(KINDS)}, got {content['kind']!r}")
    for key in ("base", "grid"):
        if not isinstance(content.get(key) or {}, dict):
            raise InputError(f"{key} must contain names with values, got {content[key]!r}")
    if wrong := [key for key in _keys(content) if not isinstance(key, str)]:
        raise InputError(
            f"names must be text, got {named([repr(key) for key in wrong])}; put names such as "
            "yes, no, on and off in quotes, because YAML reads them as true and false"
        )
    runs = content.get("runs") or []
    if not isinstance(runs, list) or not all(isinstance(settings, dict) for settings in runs):
        raise InputError(f"runs must be a list of names with values, got {runs!r}")


def _keys(content: object) -> Iterator[object]:
    """Yield the keys of all mappings in the content of a YAML file."""
    if isinstance(content, dict):
        yield from content
    if isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from _keys(part)


def expand(
    kind: str = "classification",
    base: Mapping[str, Any] | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    runs: Sequence[Mapping[str, Any]] | None = None,
) -> list[Run]:
    """Create the runs of a sweep. The arguments are the keys of its YAML file.

    Raises:
        InputError: If a setting is impossible, or a run occurs twice.
    """
    axes = []
    for name, values in (grid or {}).items():
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise InputError(
                f"the axis {name} of the grid must be a list of values, got {values!r}"
            )
        axes.append([value if isinstance(value, dict) else {name: value} for value in values])
    points: list[dict[str, Any]] = [
        {key: value for part in point for key, value in part.items()}
        for point in (itertools.product(*axes) if axes else [])
    ]
    made: dict[str, Run] = {}
    problems = []
    for settings in [*points, *(runs or [])]:
        try:
            run = make_run(kind, _merged(base or {}, settings))
        except InputError as error:
            problems.append(f"{settings}: {error}")
            continue
        if run.id in made:
            problems.append(f"{settings} gives the run {run.id} a second time")
        made[run.id] = run
    if problems:
        raise InputError(listed(problems))
    return list(made.values())


def run_sweep(
    root: Path, runs: Sequence[Run], executor: Executor, *, retries: int = 1, watch: Watch
) -> list[Standing]:
    """Do the missing runs: resume started ones, and skip finished ones.

    Several calls on one folder share the work. A run that fails or crashes is tried again `retries`
    times. A run that is stopped, cancelled or preempted is resumed any number of times. A run whose
    folder is deleted meanwhile is done again.

    If the executor refuses further runs, the call submits them again later, `MOST_REFUSALS` times.

    Args:
        root: Folder of the runs. Each run has a subfolder named after its id.
        runs: Runs to do.
        executor: Executor of the runs.
        retries: Number of retries of a failed run.
        watch: Function called every second with the states of the runs.

    Returns:
        States of the runs at the end.

    Raises:
        InputError: If a record in the folder cannot be read, or data or a package are missing.
        CommandFailedError: If the executor does not accept the first runs.
    """
    wanted = {root / run.id: run for run in runs}
    before = {folder: _add(folder, run) for folder, run in wanted.items()}
    begun = Counter[Path]()
    refusals = _Refusals()

    def tries(folder: Path, record: RunRecord) -> int:
        """Count attempts since this call began, except stops. Unrecorded crashes count too."""
        attempts = record.attempts - before[folder].attempts
        return max(begun[folder], attempts) - (record.stops - before[folder].stops)

    try:
        while True:
            # The order matters: a run that ends in between still counts as underway.
            found = standings(wanted, executor.pending(list(wanted)))
            if lost := set(wanted) - {each.folder for each in found}:
                log.warning("deleted during the sweep, so done again: %s", _names(lost))
                for folder in lost:
                    before[folder] = _add(folder, wanted[folder])
                    del begun[folder]  # if it was begun
                continue
            watch(found)
            free = [each for each in found if each.state not in (DONE, RUNNING, QUEUED)]
            todo = [each.folder for each in free if tries(each.folder, each.record) <= retries]
            if todo and refusals.may_try:
                if not begun:
                    _check_needs(free, files=executor.runs_here)
                try:
                    executor.start(todo)
                except CommandFailedError as error:
                    if not begun:
                        raise
                    seconds = refusals.add()
                    log.warning("%s; started runs continue, next try in %.0f s", error, seconds)
                else:
                    begun.update(todo)
                    refusals = _Refusals()
            elif (not todo or refusals.are_too_many) and all(
                each.state == DONE or each in free for each in found
            ):
                return found
            time.sleep(POLL_SECONDS)
    except BaseException:
        executor.stop()
        raise


@dataclass
class _Refusals:
    """Submissions refused in a row. Before the next one there is a wait, longer each time."""

    number: int = 0
    until: float = 0.0

    def add(self) -> float:
        """Count a refusal, and return the seconds to wait."""
        seconds = min(REFUSED_SECONDS * 2.0**self.number, LONGEST_REFUSED_SECONDS)
        self.number += 1
        self.until = time.monotonic() + seconds
        return seconds

    @property
    def are_too_many(self) -> bool:
        return self.number >= MOST_REFUSALS

    @property
    def may_try(self) -> bool:
        return not self.are_too_many and time.monotonic() >= self.until


def _check_needs(todo: Iterable[Standing], *, files: bool) -> None:
    """Check that the packages of runs, and their files if wanted, exist on this machine."""
    problems: dict[str, None] = {}
    for standing in todo:
        kind = find_kind(standing.record.kind)
        if kind.module:
            require(kind.module, f"a {standing.record.kind} run")
        inputs = kind.inputs(standing.record.settings, standing.folder) if files else {}
        problems |= dict.fromkeys(
            f"{path} does not exist; correct the setting {name}"
            for name, path in inputs.items()
            if not path.exists()
        )
    if problems:
        raise InputError(listed(list(problems)))


def standings_of(root: Path, runs: Sequence[Run]) -> list[Standing]:
    """Return the states of runs in a folder without changing it.

    Raises:
        InputError: If a record cannot be read.
    """
    found = []
    for run in runs:
        new = RunRecord(run.id, run.kind, dict(run.settings)), WAITING
        record, state = records.look(root / run.id) or new
        found.append(Standing(root / run.id, state, record))
    return found


def standings(folders: Iterable[Path], underway: Iterable[Path] = ()) -> list[Standing]:
    """Return the states of the runs in `folders`; runs `underway` but not running are "queued".

    Raises:
        InputError: If a record cannot be read.
    """
    underway = set(underway)
    found = []
    for folder in folders:
        if (seen := records.look(folder)) is not None:
            record, state = seen
            queued = folder in underway and state not in (RUNNING, DONE)
            found.append(Standing(folder, QUEUED if queued else state, record))
    return found


def standings_below(root: Path) -> list[Standing]:
    """Return the states of all runs below a folder, in the order of their folders.

    Raises:
        InputError: If there are none, or a record cannot be read.
    """
    folders = records.find_folders(root)
    parents = {folder.parent for folder in folders}  # each has a queue of its own
    found = standings(folders, set[Path]().union(*map(in_queue, parents)))
    if not found:
        raise InputError(f"{root} contains no runs; give their folder with --runs")
    return found


def failures(found: Sequence[Standing]) -> str:
    """Describe each failed run: folder, error and the end of its log; "" if none failed."""
    return "\n".join(
        f"{standing.folder}: {standing.record.error or standing.state}, "
        f"{standing.record.attempts} attempts; the end of {records.LOG_NAME}:\n"
        + "\n".join(f"    {line}" for line in records.log_tail(standing.folder).splitlines())
        for standing in found
        if standing.state != DONE
    )


def _add(folder: Path, run: Run) -> RunRecord:
    """Create the folder and record of a run, and return the record.

    An unfinished run takes a new device or path from `run`, unless another process is doing it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with records.locked(folder, wait=0) as mine:
        known = records.read_record(folder)
        record = known or RunRecord(run.id, run.kind, {})
        if mine and (known is None or known.status != DONE):
            records.write_record(folder, replace(record, settings=dict(run.settings)))
    return record


def _names(folders: Iterable[Path]) -> str:
    return named(sorted(folder.name for folder in folders))


def _merged(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings into those of `base`, and hyper-parameters one by one."""
    return {
        **base,
        **{
            name: {**base[name], **value}
            if isinstance(value, dict) and isinstance(base.get(name), dict)
            else value
            for name, value in settings.items()
        },
    }
