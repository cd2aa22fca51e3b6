"""A sweep: the runs of a YAML file, and their execution by a fake executor."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.experiments.kinds import KINDS
from anl_seg.experiments.runs import records, sweep
from anl_seg.experiments.runs.estimates import in_words, seconds_left
from anl_seg.experiments.runs.records import RunRecord
from anl_seg.experiments.runs.run import make_run
from anl_seg.experiments.runs.sweep import (
    Standing,
    expand,
    failures,
    read_sweep,
    run_sweep,
    standings,
    standings_of,
)
from anl_seg.experiments.segmentation.data_sets import data_name
from anl_seg.experiments.segmentation.settings import SegmentationSettings


def settings_of(runs, *names):
    return [tuple(run.settings[name] for name in names) for run in runs]


def test_a_grid_is_combined_and_single_runs_follow(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        """
        base: {protocol: digits, epochs: 1}
        grid:
          loss: [ce, anl-ce]
          noise:
            - {noise: clean}
            - {noise: symmetric, eta: 0.2}
        runs:
          - {loss: gce, seed: 3}
        """
    )
    runs = read_sweep(path)
    assert settings_of(runs, "loss", "noise", "eta", "seed") == [
        ("ce", "clean", None, 1),
        ("ce", "symmetric", 0.2, 1),
        ("anl-ce", "clean", None, 1),
        ("anl-ce", "symmetric", 0.2, 1),
        ("gce", "clean", None, 3),
    ]
    assert {run.settings["epochs"] for run in runs} == {1}
    assert {run.kind for run in runs} == {"classification"}


PAGE = Path(__file__).parents[3] / "docs/how-to/sweeps.md"


def test_the_examples_of_the_documentation_are_sweeps(tmp_path):
    examples = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    numbers = []
    for text in examples:
        (tmp_path / "sweep.yaml").write_text(text)
        numbers.append(len(read_sweep(tmp_path / "sweep.yaml")))
    assert numbers == [18, 13]


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_lists_the_settings(kind):
    table = re.search(rf"^\| `{kind}` \|.*?\n\n", PAGE.read_text(), re.M | re.S)[0]
    columns = [line.split("|")[1] for line in table.splitlines()[2:] if line]
    assert sorted(re.findall(r"`(\w+)`", " ".join(columns))) == sorted(KINDS[kind].names)


def test_the_grid_overrides_the_base():
    (run,) = expand(base={"loss": "ce"}, grid={"loss": ["gce"]})
    assert run.settings["loss"] == "gce"


def test_segmentation_too():
    runs = expand("segmentation", {"epochs": 2}, {"loss": ["dice+ce", "anl-ce"], "seed": [1, 2]})
    assert settings_of(runs, "loss", "seed", "epochs") == [
        ("dice+ce", 1, 2), ("dice+ce", 2, 2), ("anl-ce", 1, 2), ("anl-ce", 2, 2)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid: [", "sweep.yaml: line 1, column 8: .*; correct the YAML there"),
        ("base: {seed: 1, seed: 2}\nruns: [{}]", "line 1, column 17: the key 'seed' occurs twice"),
        ("grid: {seed: [1]}\ngrid: {seed: [2]}", "line 2, column 1: the key 'grid' occurs twice"),
        ("grid: {seed: [010]}", "line 1, column 15: 010 has a leading zero"),
        ("\xff", "sweep.yaml must have the keys kind, base, grid, runs, got str"),
        ("- a\n- b", "must have the keys kind, base, grid, runs, got list"),
        ("gird: {seed: [1]}", r"must have the keys kind, base, grid, runs, got \['gird'\]"),
        ("kind: classification", "has neither a grid nor runs"),
        ("grid: {seed: 1}", "sweep.yaml: the axis seed of the grid must be a list .* got 1"),
        ("grid: {seed: []}", r"the axis seed of the grid must be a list of values, got \[\]"),
        ("grid: {loss: ce}", "the axis loss of the grid must be a list of values, got 'ce'"),
        ("grid: {los: [ce]}", "{'los': 'ce'}: unknown settings los"),
        ("kind: detection\nruns: [{}]", "unknown kind of run 'detection'"),
        ("kind:\nruns: [{}]", "kind must be classification or segmentation, got None"),
        ("kind: [a]\nruns: [{}]", r"kind must be classification or segmentation, got \['a'\]"),
        ("runs: [{seed: 1}, {}]", "{} gives the run digits-clean-anl-ce-seed1-22f34869 a second"),
        ("grid: {seed: [1, 1.0, x]}", "2 problems:\n.*whole number, got 1.0\n.*got 'x'"),
        ("base: [1]\nruns: [{}]", "base must contain names with values"),
        ("grid: [1]", "grid must contain names with values"),
        ("runs: {seed: 1}", "runs must be a list of names with values"),
        ("runs: [1]", "runs must be a list of names with values"),
        ("base: {1: 2}\nruns: [{}]", "names must be text, got 1; put names such as"),
        ("runs: [{yes: 1}]", "names must be text, got True"),
        ("grid: {loss: [{loss: ce, loss_parameters: {2: 1}}]}", "names must be text, got 2"),
    ],
)
def test_errors_of_a_file_are_named(tmp_path, text, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_sweep(path)


def test_a_file_of_bytes_is_no_yaml(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is UTF-16 text; save it as UTF-8"):
        read_sweep(path)


class Pretended:
    """Executor that does a run by writing the outcomes of its attempts.

    That is "done", "failed", "stopped" or "killed".
    """

    runs_here = True

    def __init__(self, outcomes=None):
        self.outcomes = outcomes or {}
        self.started = []
        self.underway = set()
        self.stopped = False

    def start(self, folders):
        self.started.append([folder.name for folder in folders])
        self.underway |= set(folders)

    def pending(self, folders):
        for folder in self.underway:
            record = records.read_record(folder)
            outcome = self.outcomes.get(folder.name, [])
            status = outcome[record.attempts] if record.attempts < len(outcome) else "done"
            records.write_record(
                folder,
                dataclasses.replace(
                    record,
                    status="running" if status == "killed" else status,
                    attempts=record.attempts + 1,
                    stops=record.stops + (status == "stopped"),
                    error="ValueError: no" if status == "failed" else None,
                    seconds=10.0,
                ),
            )
            (folder / "log.txt").write_text("first\nlast line\n")
        self.underway = set()
        return set()

    def stop(self):
        self.stopped = True


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(sweep, "REFUSED_SECONDS", 0.0)


@pytest.fixture
def runs():
    return [make_run("classification", {"seed": seed}) for seed in (1, 2, 3)]


def do(root, runs, executor, retries=1):
    shown = []
    found = run_sweep(root, runs, executor, retries=retries, watch=shown.append)
    assert shown[-1] == found
    return found


def test_missing_runs_are_done_and_finished_runs_skipped(tmp_path, runs):
    first = Pretended()
    found = do(tmp_path, runs[:2], first)
    assert [standing.state for standing in found] == ["done", "done"]
    assert first.started == [[run.id for run in runs[:2]]]
    before = (tmp_path / runs[0].id / "record.json").read_bytes()
    second = Pretended()
    found = do(tmp_path, runs, second)
    assert second.started == [[runs[2].id]]
    assert [standing.record.attempts for standing in found] == [1, 1, 1]
    assert (tmp_path / runs[0].id / "record.json").read_bytes() == before


def test_each_run_has_its_settings_in_its_folder(tmp_path, runs):
    do(tmp_path, runs, Pretended())
    for run in runs:
        content = json.loads((tmp_path / run.id / "record.json").read_text())
        assert content["settings"] == run.settings
        assert content["id"] == run.id


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_failing_run_is_tried_again_and_then_reported(tmp_path, runs, retries):
    always = {runs[1].id: ["failed"] * 9}
    found = do(tmp_path, runs, Pretended(always), retries)
    assert [standing.state for standing in found] == ["done", "failed", "done"]
    assert found[1].record.attempts == 1 + retries
    text = failures(found)
    assert f"{found[1].folder}: ValueError: no, {1 + retries} attempts; the end of log.txt" in text
    assert "    last line" in text
    assert runs[0].id not in text


def test_a_run_that_fails_once_is_done_in_the_end(tmp_path, runs):
    found = do(tmp_path, runs, Pretended({runs[0].id: ["failed"], runs[1].id: ["killed"]}))
    assert [standing.state for standing in found] == ["done"] * 3
    assert [standing.record.attempts for standing in found] == [2, 2, 1]
    assert failures(found) == ""


@pytest.mark.parametrize("retries", [0, 1])
def test_stopped_attempts_do_not_count_as_retries(tmp_path, runs, retries):
    outcomes = ["stopped"] * 3 + ["failed"] * retries + ["stopped"]
    (standing,) = do(tmp_path, runs[:1], Pretended({runs[0].id: outcomes}), retries)
    assert (standing.state, standing.record.attempts) == ("done", len(outcomes) + 1)
    outcomes = ["stopped"] * 3 + ["failed"] * 9
    (standing,) = do(tmp_path, runs[1:2], Pretended({runs[1].id: outcomes}), retries)
    assert (standing.state, standing.record.attempts) == ("failed", 3 + 1 + retries)


def test_a_run_that_always_dies_is_not_tried_for_ever(tmp_path, runs):
    (standing,) = do(tmp_path, runs[:1], Pretended({runs[0].id: ["killed"] * 9}), retries=2)
    assert (standing.state, standing.record.attempts) == ("stopped", 3)


class Requeueing(Pretended):
    """Executor that requeues a stopped run, as SLURM does."""

    def pending(self, folders):
        super().pending(folders)
        self.underway = {
            folder for folder in folders if records.read_record(folder).status == "stopped"
        }
        return set(self.underway)


def test_preemption_does_not_count_as_a_retry(tmp_path, runs):
    executor = Requeueing({runs[0].id: ["stopped", "stopped", "failed"]})
    (standing,) = do(tmp_path, runs[:1], executor, retries=1)
    assert (standing.state, standing.record.attempts) == ("done", 4)
    assert len(executor.started) == 2


def test_another_call_retries_failed_runs(tmp_path, runs):
    do(tmp_path, runs, Pretended({runs[0].id: ["failed", "failed"]}))
    again = Pretended()
    assert [standing.state for standing in do(tmp_path, runs, again)] == ["done"] * 3
    assert again.started == [[runs[0].id]]


class Queue(Pretended):
    """Executor with runs of an earlier call that are running for three polls."""

    polls = 0

    def pending(self, folders):
        self.polls += 1
        return super().pending(folders) or (set(folders[:1]) if self.polls <= 3 else set())


def test_running_runs_are_awaited_and_not_started_again(tmp_path, runs):
    executor = Queue()
    shown = []
    run_sweep(tmp_path, runs, executor, retries=0, watch=shown.append)
    assert [standing.state for standing in shown[0]] == ["queued", "waiting", "waiting"]
    # When it is gone and not done, it is begun, also without retries.
    assert executor.started == [[run.id for run in runs[1:]], [runs[0].id]]
    assert [standing.state for standing in shown[-1]] == ["done"] * 3


class Dying(Pretended):
    """Executor whose runs die before they write anything."""

    def pending(self, folders):
        return set()


def test_a_run_that_never_begins_is_not_tried_for_ever(tmp_path, runs):
    executor = Dying()
    found = do(tmp_path, runs[:1], executor, retries=2)
    assert [standing.state for standing in found] == ["waiting"]
    assert len(executor.started) == 3
    assert failures(found).startswith(f"{found[0].folder}: waiting, 0 attempts; the end of log.txt")


def test_a_stopped_run_that_never_begins_again_is_not_tried_for_ever(tmp_path, runs):
    folder = tmp_path / runs[0].id
    record = RunRecord(runs[0].id, runs[0].kind, {}, status="stopped", attempts=1, stops=1)
    records.write_record(folder, record)
    executor = Dying()
    assert do(tmp_path, runs[:1], executor, retries=2)[0].state == "stopped"
    assert len(executor.started) == 3


class Refusing(Pretended):
    """Executor that accepts runs only the first time, or never; or refuses `refused` times."""

    def __init__(self, outcomes=None, taken=1, refused=math.inf):
        super().__init__(outcomes)
        self.taken, self.refused = taken, refused

    def start(self, folders):
        if len(self.started) >= self.taken and self.started.count("refused") < self.refused:
            self.started.append("refused")
            raise CommandFailedError("sbatch: try later")
        super().start(folders)


def test_a_refused_retry_stops_no_other_run(tmp_path, runs, caplog):
    executor = Refusing({runs[0].id: ["failed"]})
    found = do(tmp_path, runs, executor, retries=2)
    assert [standing.state for standing in found] == ["failed", "done", "done"]
    assert executor.started[1:] == ["refused"] * sweep.MOST_REFUSALS
    assert not executor.stopped
    assert "sbatch: try later; started runs continue" in caplog.text


def test_refusals_are_no_attempts(tmp_path, runs):
    executor = Refusing({runs[0].id: ["failed"]}, refused=3)
    found = do(tmp_path, runs, executor, retries=1)
    assert [standing.state for standing in found] == ["done"] * 3
    assert executor.started[1:] == ["refused"] * 3 + [[runs[0].id]]


def test_the_wait_after_refusals_grows(monkeypatch):
    monkeypatch.setattr(sweep, "REFUSED_SECONDS", 10.0)
    refusals = sweep._Refusals()
    assert refusals.may_try
    waits = [refusals.add() for _ in range(sweep.MOST_REFUSALS)]
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600]
    assert not refusals.may_try


class Deleting(Pretended):
    """Executor during which a user deletes the folder of the first run, once."""

    def pending(self, folders):
        super().pending(folders)
        if len(self.started) == 1:
            shutil.rmtree(folders[0])
            self.started.append("deleted")
        return set()


@pytest.mark.parametrize("retries", [0, 1])
def test_a_run_whose_folder_is_deleted_is_done_again(tmp_path, runs, caplog, retries):
    executor = Deleting()
    found = do(tmp_path, runs, executor, retries=retries)
    assert [(each.folder.name, each.state) for each in found] == [(run.id, "done") for run in runs]
    assert executor.started[1:] == ["deleted", [runs[0].id]]
    assert f"deleted during the sweep, so done again: {runs[0].id}" in caplog.text


def test_an_executor_that_refuses_all_runs(tmp_path, runs):
    with pytest.raises(CommandFailedError, match="try later"):
        do(tmp_path, runs, Refusing(taken=0))


def test_an_attempt_started_by_an_earlier_call_counts(tmp_path, runs):
    executor = Queue({runs[0].id: ["failed"] * 9})
    executor.underway = {tmp_path / runs[0].id}
    (standing,) = do(tmp_path, runs[:1], executor, retries=1)
    assert standing.record.attempts == 2


def test_whatever_ends_a_sweep_ends_what_it_started(tmp_path, runs):
    executor = Pretended()

    def interrupt(found):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(tmp_path, runs, executor, watch=interrupt)
    assert executor.stopped


def test_missing_images_stop_a_sweep_before_its_first_run(tmp_path):
    names = {"data": [str(tmp_path / "isic")], "seed": [1, 2]}
    segmentation = expand("segmentation", grid=names)
    classification = expand("classification", {"labels": str(tmp_path / "y.npz")}, {"seed": [1]})
    executor = Pretended()
    with pytest.raises(InputError) as error:
        do(tmp_path, [*segmentation, *classification], executor)
    assert str(error.value) == (
        f"2 problems:\n  {tmp_path}/isic does not exist; correct the setting data\n"
        f"  {tmp_path}/y.npz does not exist; correct the setting labels"
    )
    assert not executor.started


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"protocol": "cifar10"}, r"data/cifar10: cifar10 not found. Get cifar-10-python.tar.gz"),
        ({"protocol": "cifar10", "data": ".", "noise": "human"}, "noise human needs CIFAR-N's"),
    ],
)
def test_data_that_nobody_named_stop_a_sweep_before_its_first_run(
    tmp_path, monkeypatch, settings, told
):
    monkeypatch.chdir(tmp_path)
    executor = Pretended()
    with pytest.raises(InputError, match=told):
        do(tmp_path, expand(base=settings, grid={"seed": [1, 2]}), executor)
    assert not executor.started


def test_nodes_of_a_cluster_may_have_images_that_this_machine_lacks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # without data/cifar10
    runs = expand("segmentation", {"data": str(tmp_path / "isic")}, {"seed": [1]})
    runs += expand("classification", {"protocol": "cifar10"}, {"seed": [1]})
    executor = Pretended()
    executor.runs_here = False
    assert [each.state for each in do(tmp_path, runs, executor)] == ["done", "done"]


def test_images_that_a_sweep_has_converted_may_be_deleted(tmp_path):
    (run,) = expand("segmentation", {"data": str(tmp_path / "isic")}, {"seed": [1]})
    name = data_name(SegmentationSettings.from_json(run.settings))
    (tmp_path / "data" / name / "nnUNet_raw" / "Dataset501_Clean").mkdir(parents=True)
    (standing,) = do(tmp_path, [run], Pretended())
    assert standing.state == "done"


def test_a_record_of_another_version_stops_the_sweep(tmp_path, runs):
    do(tmp_path, runs, Pretended())
    path = tmp_path / runs[0].id / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 7}))
    with pytest.raises(InputError, match="schema 7"):
        do(tmp_path, runs, Pretended())


def test_a_plan_writes_nothing(tmp_path, runs):
    do(tmp_path, runs[:1], Pretended())
    found = standings_of(tmp_path, runs)
    assert [standing.state for standing in found] == ["done", "waiting", "waiting"]
    assert len(list(tmp_path.iterdir())) == 1


def test_the_time_left_is_estimated_from_similar_runs(tmp_path, runs):
    long = make_run("classification", {"epochs": 500})
    assert seconds_left(standings_of(tmp_path, runs), workers=1) is None
    do(tmp_path, [*runs[:1], long], Pretended())
    record = records.read_record(tmp_path / long.id)
    records.write_record(tmp_path / long.id, dataclasses.replace(record, seconds=100.0))
    assert seconds_left(standings_of(tmp_path, runs), workers=1) == 20.0
    assert seconds_left(standings_of(tmp_path, runs), workers=2) == 10.0
    other = make_run("classification", {"protocol": "mnist"})
    assert seconds_left(standings_of(tmp_path, [runs[0], long, other]), workers=1) == 55.0
    assert seconds_left(standings([tmp_path / long.id]), workers=1) == 0.0


def test_the_elapsed_time_of_a_run_is_subtracted(runs):
    def standing(state, **fields):
        record = RunRecord("a", "classification", dict(runs[0].settings), **fields)
        return Standing(Path("a"), state, record)

    begun = (datetime.now(timezone.utc) - timedelta(seconds=40)).isoformat()
    done = standing("done", seconds=100.0)
    running, waiting = standing("running", started=begun), standing("waiting")
    assert seconds_left([done, running], workers=1) == pytest.approx(60, abs=5)
    assert seconds_left([done, running, waiting], workers=1) == pytest.approx(160, abs=5)
    # As many as are running; no run ends before its own time, however many there are at a time.
    assert seconds_left([done, running, waiting, waiting], None) == pytest.approx(260, abs=5)
    assert seconds_left([done, running, running, waiting], None) == pytest.approx(110, abs=5)
    assert seconds_left([done, running, waiting], workers=8) == pytest.approx(100, abs=5)
    late = standing("running", started="2020-01-01T00:00:00+00:00")
    assert seconds_left([done, late], workers=1) == 0.0
    # Time of earlier attempts.
    assert seconds_left([done, standing("stopped", seconds=30.0)], workers=1) == 70.0
    resumed = standing("running", started=begun, seconds=30.0)
    assert seconds_left([done, resumed], workers=1) == pytest.approx(30, abs=5)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.4, "4 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11100, "3 h 05 min")],
)
def test_durations(seconds, words):
    assert in_words(seconds) == words


def test_hyper_parameters_of_a_run_are_merged_with_the_base():
    (run,) = expand(
        base={"epochs": 5, "loss_parameters": {"alpha": 2, "beta": 3}},
        runs=[{"loss_parameters": {"alpha": 1}}],
    )
    assert run.settings["loss_parameters"] == {"alpha": 1, "beta": 3}
    assert run.settings["epochs"] == 5
