"""Search for hyper-parameters of a loss on images held out of training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anl_seg.errors import InputError
from anl_seg.experiments.runs.executors.executor import Executor
from anl_seg.experiments.runs.records import DONE, FAILED, RunRecord, read_record
from anl_seg.experiments.runs.sweep import Standing, Watch, run_sweep
from anl_seg.experiments.search.search import Search, grid, rounded
from anl_seg.experiments.search.study import (
    begin_study,
    next_trials,
    open_study,
    read_search,
    tell_metric,
)

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

TPE, GRID = "tpe", "grid"
DEFAULT_TRIALS = 25


@dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: Number of the trial, counted from 0.
        values: Values of the hyper-parameters in the run.
        objective: Value of the metric, a share; None if the run failed or is not done.
        failed: Whether the run failed in all its attempts so far, or the metric is not a number.
        folder: Folder of the run.
        record: Record of the run, if it was started.
    """

    number: int
    values: Mapping[str, float]
    objective: float | None
    failed: bool
    folder: Path
    record: RunRecord | None


def tune(
    root: Path,
    search: Search,
    executor: Executor,
    *,
    trials: int | None = None,
    parallel: int = 1,
    sampler: str = TPE,
    retries: int = 1,
    storage: str | None = None,
    watch: Watch,
) -> list[Trial]:
    """Do the missing trials of a search, `parallel` at a time.

    Unfinished trials of an earlier call are done first: runs that were stopped are resumed, and
    runs that failed are tried again. The next trials depend only on the earlier trials and on the
    seed of the runs.

    Args:
        root: Folder of the study and of the runs.
        search: The search.
        executor: Executor of the runs.
        trials: Total number of trials; by default 25, or the whole grid.
        parallel: Number of trials chosen together.
        sampler: "tpe", the tree-structured Parzen estimator, or "grid", the values of the paper.
        retries: Number of retries of a failed run in this call.
        storage: URL of a database for the study; by default SQLite in `root`.
        watch: Function called with the states of the runs of this call.

    Returns:
        All trials of the study.

    Raises:
        InputError: If `root` contains another search, the grid or the database does not exist, or
            the data set has no labels for the objective.
    """
    points = grid(search.ranges) if sampler == GRID else []
    study = begin_study(root, search, storage)
    for point in points:
        study.enqueue_trial(point, skip_if_exists=True)
    total = trials or (len(study.trials) if sampler == GRID else DEFAULT_TRIALS)
    earlier: list[Standing] = []
    given_up: set[int] = set()

    def watch_all(found: list[Standing]) -> None:
        watch([*earlier, *found])

    while batch := next_trials(root, study, search, total, parallel, given_up):
        runs = {number: search.run(values) for number, values in batch.items()}
        distinct = list({run.id: run for run in runs.values()}.values())
        found = run_sweep(root, distinct, executor, retries=retries, watch=watch_all)
        standing_of = {standing.record.id: standing for standing in found}
        for number, run in runs.items():
            if standing_of[run.id].state == DONE:
                tell_metric(study, number, standing_of[run.id], search.metric)
            else:  # the trial stays open, so that a later call tries it again
                given_up.add(number)
        earlier += found
    return _trials(root, search, study, given_up)


def read_tuning(root: Path, storage: str | None = None) -> tuple[Search, list[Trial]]:
    """Read the search in a folder, and its trials.

    Raises:
        InputError: If there is none, or its study does not exist or cannot be opened.
    """
    search = read_search(root)
    if search is None:
        raise InputError(f"{root} contains no search; give its folder with -o")
    return search, _trials(root, search, open_study(root, search, storage, new=False))


def best(trials: Sequence[Trial]) -> Trial | None:
    """Return the first trial with the highest objective; None if no trial is done.

    Args:
        trials: Trials of a search.

    Returns:
        The trial, or None.

    Examples:
        >>> trials = [
        ...     Trial(number, {"alpha": 5.0}, objective, False, Path(), None)
        ...     for number, objective in enumerate([0.7, 0.9, None])
        ... ]
        >>> best(trials).number
        1
    """
    done = [trial for trial in trials if trial.objective is not None]
    return max(done, key=lambda trial: trial.objective or 0.0, default=None)


def _trials(
    root: Path, search: Search, study: Study, given_up: Collection[int] = ()
) -> list[Trial]:
    known = [trial for trial in study.trials if set(trial.params) == set(search.ranges)]
    return [_trial(root, search, trial, trial.number in given_up) for trial in known]


def _trial(root: Path, search: Search, trial: FrozenTrial, given_up: bool) -> Trial:
    run = search.run(trial.params)
    record = read_record(root / run.id)
    failed_run = record is not None and record.status == FAILED
    return Trial(
        number=trial.number,
        values=rounded(trial.params),
        objective=trial.value,
        failed=given_up or trial.state.name == "FAIL" or (trial.value is None and failed_run),
        folder=root / run.id,
        record=record,
    )
