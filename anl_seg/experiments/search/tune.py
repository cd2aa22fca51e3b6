"""Search for hyper-parameters of a loss on images held out of training."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from anl_seg import losses
from anl_seg.errors import InputError, named
from anl_seg.experiments.kinds import GIVEN, find_kind, nest_parameters
from anl_seg.experiments.runs.executors.executor import Executor
from anl_seg.experiments.runs.records import DONE, FAILED, RunRecord, read_record
from anl_seg.experiments.runs.run import NOT_IN_ID, Run, make_run
from anl_seg.experiments.runs.sweep import Standing, Watch, run_sweep
from anl_seg.extras import require
from anl_seg.formats.files import write_json
from anl_seg.trainers.settings import NNUNET_LOSS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

SEARCH_NAME = "search.json"
STUDY_NAME = "study.db"
LOCK_NAME = ".tune.lock"
TPE, GRID = "tpe", "grid"
DEFAULT_TRIALS = 25

Range = tuple[float, float]
#: Hyper-parameters to search by default, if the loss has them.
BY_DEFAULT = ("alpha", "beta", "lambda_")
#: Default ranges, on a logarithmic scale. They include all values that the paper uses or tries.
RANGES: Mapping[str, Range] = MappingProxyType(
    {"alpha": (0.1, 50.0), "beta": (0.1, 50.0), "lambda_": (0.01, 10.0), "delta": (1e-7, 1e-3)}
)
#: Values that the paper tries: alpha and beta in Appendix D-A, delta in section VI-C.
GRIDS: Mapping[str, Sequence[float]] = MappingProxyType(
    {
        "alpha": (0.1, 0.5, 1.0, 5.0, 10.0),
        "beta": (0.1, 0.5, 1.0, 5.0, 10.0),
        "delta": (1e-7, 5e-7, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4),
    }
)


@dataclass(frozen=True)
class Search:
    """A search for hyper-parameters, created by `make_search`.

    Attributes:
        kind: Kind of the runs, a key of `KINDS`.
        settings: Settings of all runs, including fixed hyper-parameters.
        ranges: Lowest and highest value of each hyper-parameter.
        metric: Metric of the held-out images that the search maximises.
    """

    kind: str
    settings: Mapping[str, Any]
    ranges: Mapping[str, Range]
    metric: str

    def run(self, values: Mapping[str, float]) -> Run:
        """Create the run of a trial, with values rounded to three digits.

        Raises:
            InputError: If a setting or a value is impossible.
        """
        return make_run(
            self.kind, nest_parameters(self.kind, {**self.settings, **_rounded(values)})
        )


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


def parse_ranges(texts: Iterable[str]) -> dict[str, Range]:
    """Parse `NAME` and `NAME=LOW:HIGH` texts. A name alone gets its default range.

    Raises:
        InputError: If a text is neither, or a range is empty or reaches 0.
    """
    ranges = {}
    for text in texts:
        name, _, ends = text.partition("=")
        name = _own_name(name)
        if not ends:
            if name not in RANGES:
                raise InputError(f"--range {text} needs its ends: {text}=LOW:HIGH")
            ranges[name] = RANGES[name]
            continue
        try:
            low, high = map(float, ends.split(":"))
        except ValueError as error:
            raise InputError(f"--range takes NAME or NAME=LOW:HIGH, got {text!r}") from error
        if not 0 < low < high < math.inf:
            raise InputError(f"--range {text}: the scale is logarithmic, so 0 < LOW < HIGH")
        ranges[name] = low, high
    return ranges


def make_search(
    kind: str,
    settings: Mapping[str, Any],
    ranges: Mapping[str, Range] | None = None,
    objective: str = GIVEN,
) -> Search:
    """Complete and check a search.

    Args:
        kind: "classification" or "segmentation".
        settings: Settings of the runs, and fixed hyper-parameters of the loss. By default a fifth
            of a classifier's training images is held out (`validation`), or fold 0 of a
            segmentation (`fold`).
        ranges: Ranges of the hyper-parameters to search. They override or extend the default: those
            in `BY_DEFAULT` that the loss has, with their `RANGES`.
        objective: Labels that held-out images are compared with, "given" or "clean".

    Returns:
        The search.

    Raises:
        InputError: If something is unknown or impossible, nothing is left to search, or no images
            are held out.

    Examples:
        >>> search = make_search("classification", {"protocol": "digits", "loss": "anl-ce"})
        >>> search.metric, sorted(search.ranges)
        ('validation_accuracy', ['alpha', 'beta'])
    """
    row = find_kind(kind)
    if objective not in row.objectives:
        choices = named(list(row.objectives))
        raise InputError(f"unknown objective {objective!r}; choose one of {choices}")
    held_out = row.held_out
    settings = {held_out.setting: held_out.default, "loss": "anl-ce"} | {
        _own_name(name): value for name, value in settings.items()
    }
    settings["loss"] = losses.canonical_name(settings["loss"], also=[NNUNET_LOSS])
    if settings[held_out.setting] == held_out.nothing:
        raise InputError(
            f"{held_out.setting} is {held_out.nothing}, so no images are held out for the search"
        )
    sought = _sought(settings, ranges or {})
    search = Search(kind, settings, sought, row.objectives[objective])
    for place in (0.0, 0.5, 1.0):  # the ends and the middle must be possible values
        search.run({name: low ** (1 - place) * high**place for name, (low, high) in sought.items()})
    return search


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
    study = _begin(root, search, storage)
    for point in points:
        study.enqueue_trial(point, skip_if_exists=True)
    total = trials or (len(study.trials) if sampler == GRID else DEFAULT_TRIALS)
    earlier: list[Standing] = []
    given_up: set[int] = set()

    def watch_all(found: list[Standing]) -> None:
        watch([*earlier, *found])

    while batch := _next(root, study, search, total, parallel, given_up):
        runs = {number: search.run(values) for number, values in batch.items()}
        distinct = list({run.id: run for run in runs.values()}.values())
        found = run_sweep(root, distinct, executor, retries=retries, watch=watch_all)
        standing_of = {standing.record.id: standing for standing in found}
        for number, run in runs.items():
            if standing_of[run.id].state == DONE:
                _tell(study, number, standing_of[run.id], search.metric)
            else:  # the trial stays open, so that a later call tries it again
                given_up.add(number)
        earlier += found
    return _trials(root, search, study, given_up)


def read_tuning(root: Path, storage: str | None = None) -> tuple[Search, list[Trial]]:
    """Read the search in a folder, and its trials.

    Raises:
        InputError: If there is none, or its study does not exist or cannot be opened.
    """
    content = _recorded(root)
    if content is None:
        raise InputError(f"{root} contains no search; give its folder with -o")
    ranges = {name: (low, high) for name, (low, high) in content["ranges"].items()}
    search = Search(content["kind"], content["settings"], ranges, content["metric"])
    return search, _trials(root, search, _open(root, search, storage, new=False))


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


def grid(ranges: Mapping[str, Range]) -> list[dict[str, float]]:
    """Combine the values of the paper that are in the ranges.

    Raises:
        InputError: If the paper has no value in one of the ranges.
    """
    axes = {
        name: [value for value in GRIDS.get(name, ()) if low <= value <= high]
        for name, (low, high) in ranges.items()
    }
    if empty := [name.rstrip("_") for name, values in axes.items() if not values]:
        raise InputError(
            f"the paper has no grid for {named(empty)} in this range; it has values of "
            f"{named(list(GRIDS))}; use --sampler tpe, or fix others with --set"
        )
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def _own_name(name: str) -> str:
    """Return the name in the table of losses: `lambda_`, because lambda is a Python keyword."""
    return "lambda_" if name == "lambda" else name


def _sought(settings: Mapping[str, Any], ranges: Mapping[str, Range]) -> dict[str, Range]:
    """Return the given ranges and the default ones of the loss."""
    if twice := sorted(set(ranges) & set(settings)):
        raise InputError(
            f"{named(twice)}: fixed by --set and searched by --range; omit one of the two"
        )
    loss = settings["loss"]
    has = losses.describe(loss).parameters if loss in losses.names() else ()
    free = [name for name in BY_DEFAULT if name in has and name not in settings]
    sought = {name: RANGES[name] for name in free} | dict(ranges)
    if not sought:
        raise InputError(
            f"nothing to search: {loss} has no free {named(BY_DEFAULT)}; name another "
            "hyper-parameter, such as --range q=0.1:1, or --range delta"
        )
    return sought


def _begin(root: Path, search: Search, storage: str | None) -> Study:
    """Open or create the study of a search, and write its description to `root`, or check it."""
    about = _about(search)
    if (found := _recorded(root)) not in (None, about):
        raise InputError(
            f"{root} contains another search: {json.dumps(found)}; choose another folder with -o"
        )
    root.mkdir(parents=True, exist_ok=True)
    study = _open(root, search, storage, new=True)
    write_json(root / SEARCH_NAME, about)
    return study


def _open(root: Path, search: Search, storage: str | None, *, new: bool) -> Study:
    """Open the study of a search, or create it if it does not exist and may be `new`."""
    require("optuna", "anl-seg tune")
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    digest = hashlib.sha256(json.dumps(_about(search), sort_keys=True).encode()).hexdigest()[:8]
    name = f"{search.settings['loss']}-{digest}"
    path = (root / STUDY_NAME).resolve()
    where = storage or path
    try:
        if not new and storage is None and not path.exists():
            raise KeyError(name)
        opened = storage or _sqlite(path)
        if new:
            return optuna.create_study(
                storage=opened, study_name=name, direction="maximize", load_if_exists=True
            )
        return optuna.load_study(study_name=name, storage=opened)
    except KeyError as error:
        raise InputError(
            f"there is no study {name} in {where}; give the --storage of the search"
        ) from error
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError) as error:
        raise InputError(f"the study cannot be opened in {where}: {error}") from error


def _sqlite(path: Path) -> RDBStorage:
    """Open an SQLite database by its path, because `%` and `?` have a meaning in a URL."""
    from optuna.storages import RDBStorage
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, check_same_thread=False)

    return RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": NullPool})


def _about(search: Search) -> dict[str, Any]:
    """Return the content of search.json."""
    settings = {name: value for name, value in search.settings.items() if name not in NOT_IN_ID}
    ranges = {name: list(ends) for name, ends in search.ranges.items()}
    return {
        "kind": search.kind,
        "settings": settings,
        "ranges": ranges,
        "metric": search.metric,
    }


def _recorded(root: Path) -> dict[str, Any] | None:
    path = root / SEARCH_NAME
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); choose another folder with -o") from error
    return content


def _next(
    root: Path, study: Study, search: Search, total: int, parallel: int, given_up: Collection[int]
) -> dict[int, dict[str, float]]:
    """Return the trials to do now, by number: unfinished ones of an earlier call, or new ones.

    Trials in `given_up` failed in this call. They count as ended.
    """
    from optuna.distributions import FloatDistribution
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    space = {name: FloatDistribution(*ends, log=True) for name, ends in search.ranges.items()}
    with FileLock(root / LOCK_NAME):  # a trial without values is left from a killed process
        left = {}
        for open_trial in study.get_trials(states=(TrialState.RUNNING,)):
            if set(open_trial.params) != set(space):
                study.tell(open_trial.number, state=TrialState.FAIL)
            elif open_trial.number not in given_up:
                left[open_trial.number] = open_trial.params
        if left:
            return left
        ended = sum(trial.state.is_finished() for trial in study.trials) + len(given_up)
        asked = {}
        for number in range(ended, min(ended + parallel, total)):
            seeds = np.random.SeedSequence([search.settings.get("seed", 1), number])
            study.sampler = TPESampler(seed=int(seeds.generate_state(1)[0]))
            trial = study.ask(dict(space))
            asked[trial.number] = trial.params
        return asked


def _tell(study: Study, number: int, standing: Standing, metric: str) -> None:
    """Tell the study the metric of a finished run."""
    from optuna.trial import TrialState

    metrics = standing.record.metrics
    if metric not in metrics:
        advice = (
            "omit --objective clean if the clean labels of its data are unknown"
            if metric.endswith("_clean")
            else "delete this folder to do the run again"
        )
        has = named(sorted(metrics)) or "no metrics"
        raise InputError(f"{standing.folder} has no {metric}: its record has {has}; {advice}")
    if math.isfinite(value := metrics[metric]):
        study.tell(number, value, skip_if_finished=True)
    else:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)


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
        values=_rounded(trial.params),
        objective=trial.value,
        failed=given_up or trial.state.name == "FAIL" or (trial.value is None and failed_run),
        folder=root / run.id,
        record=record,
    )
