"""The study of a search: its trials in Optuna's database, and its description beside it."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from anl_seg.errors import InputError, named
from anl_seg.experiments.runs.run import NOT_IN_ID
from anl_seg.experiments.runs.sweep import Standing
from anl_seg.experiments.search.search import Search, differences
from anl_seg.extras import require
from anl_seg.formats.files import write_json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage

SEARCH_NAME = "search.json"
STUDY_NAME = "study.db"
LOCK_NAME = ".tune.lock"


def begin_study(root: Path, search: Search, storage: str | None) -> Study:
    """Open or create the study of a search, and describe the search in a file, or check it.

    Args:
        root: Folder of the search.
        search: The search.
        storage: URL of the database; None for SQLite in `root`.

    Raises:
        InputError: If `root` contains another search, or the database cannot be opened.
    """
    found = read_search(root)
    if found is not None and (other := differences(search, found)):
        raise InputError(
            f"{root} contains another search, with other {named(other)}, see {SEARCH_NAME}; choose "
            "another folder with -o"
        )
    root.mkdir(parents=True, exist_ok=True)
    study = open_study(root, found or search, storage, new=True)
    if found is None:
        write_json(root / SEARCH_NAME, _about(search))
    return study


def read_search(root: Path) -> Search | None:
    """Read the description of the search in a folder; None if there is none.

    Raises:
        InputError: If the file is broken.
    """
    path = root / SEARCH_NAME
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); choose another folder with -o") from error
    ranges = {name: (low, high) for name, (low, high) in content["ranges"].items()}
    return Search(content["kind"], content["settings"], ranges, content["metric"])


def open_study(root: Path, search: Search, storage: str | None, *, new: bool) -> Study:
    """Open the study of a search, or create it if it does not exist and may be `new`.

    Raises:
        InputError: If it does not exist, or the database cannot be opened.
    """
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


def next_trials(
    root: Path, study: Study, search: Search, total: int, parallel: int, given_up: Collection[int]
) -> dict[int, dict[str, float]]:
    """Return the values of the trials to do now, by number.

    These are the unfinished trials of an earlier call, or else new ones.

    Args:
        root: Folder of the search.
        study: Its study.
        search: The search.
        total: Total number of trials.
        parallel: Number of new trials.
        given_up: Trials that failed in this call. They count as ended.
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


def tell_metric(study: Study, number: int, standing: Standing, metric: str) -> None:
    """Tell the study the metric of a finished run.

    Raises:
        InputError: If the record lacks the metric.
    """
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
