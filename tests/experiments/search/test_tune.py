"""The search for weights of a loss: trials, records, and resuming after a kill."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest

from anl_seg.cli import main
from anl_seg.errors import InputError
from anl_seg.experiments.runs import executors, sweep
from anl_seg.experiments.runs.records import DONE, FAILED, find_folders, read_record, write_record
from anl_seg.experiments.runs.run import make_run
from anl_seg.experiments.search import report as tune_report
from anl_seg.experiments.search.search import grid, make_search, parse_ranges
from anl_seg.experiments.search.tune import best, read_tuning, tune

DIGITS = {"protocol": "digits", "noise": "symmetric", "eta": 0.8}


class Doer:
    """Executor that does runs at once. Their accuracy is a hill over alpha and beta.

    Its top is at alpha 2, beta 8. Test accuracies are the opposite.
    """

    runs_here = True

    def __init__(self, outcome=None):
        self.done = Counter()
        self.outcome = outcome or (lambda values: {"metrics": self.metrics(values)})

    @staticmethod
    def metrics(values):
        distance = math.log(values["alpha"] / 2) ** 2 + math.log(values["beta"] / 8) ** 2
        hill = math.exp(-distance / 10)
        return {
            "validation_accuracy": hill,
            "validation_accuracy_clean": 1 - hill,
            "test_accuracy": 1 - hill,
        }

    def start(self, folders):
        for folder in folders:
            record = read_record(folder)
            outcome = self.outcome(record.settings["loss_parameters"])
            self.done[folder.name] += 1
            write_record(folder, dataclasses.replace(record, **{"status": DONE, **outcome}))

    def pending(self, folders):
        return set()

    def stop(self):
        pass


@pytest.fixture(scope="session")
def empty_study(tmp_path_factory):
    """Create an SQLite file with the tables of a study once, because this takes long."""
    path = tmp_path_factory.mktemp("study") / "study.db"
    optuna.create_study(storage=f"sqlite:///{path}")
    return path


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(sweep, "POLL_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path, empty_study):
    (tmp_path / "tuning").mkdir()
    shutil.copy(empty_study, tmp_path / "tuning")
    return tmp_path / "tuning"


def quiet(found):
    pass


def points(trials):
    return [(trial.number, dict(trial.values), trial.objective) for trial in trials]


@pytest.mark.parametrize(
    ("kind", "loss", "sought"),
    [
        ("classification", "anl-ce", {"alpha", "beta"}),
        ("classification", "anl-ce*", {"alpha", "beta", "lambda_"}),
        ("segmentation", "anl-fl", {"alpha", "beta"}),
    ],
)
def test_parameters_of_the_loss_are_searched(kind, loss, sought):
    assert set(make_search(kind, {"loss": loss}).ranges) == sought


def test_images_are_held_out_of_every_run():
    values = {"alpha": 1.0, "beta": 2.0}
    classifier = make_search("classification", DIGITS).run(values)
    assert classifier.settings["validation"] == 0.2
    segmentation = make_search("segmentation", {}).run(values)
    assert segmentation.settings["fold"] == "0"
    assert make_search("segmentation", {"fold": 3}).run(values).settings["fold"] == "3"


def test_values_reach_the_settings_of_the_run():
    values = {"alpha": 1.23456, "beta": 2.0, "delta": 1e-5}
    ranges = parse_ranges(["delta"])
    classifier = make_search("classification", DIGITS | {"epochs": 3}, ranges).run(values)
    assert classifier.settings["loss_parameters"] == {"alpha": 1.23, "beta": 2}
    assert (classifier.settings["delta"], classifier.settings["epochs"]) == (1e-5, 3)
    segmentation = make_search("segmentation", {"epochs": 3}, ranges).run(values)
    assert segmentation.settings["delta"] == 1e-5
    assert segmentation.settings["loss_parameters"]["alpha"] == 1.23
    assert segmentation.settings["epochs"] == 3


def test_fixed_parameters_are_not_searched():
    search = make_search("classification", DIGITS | {"loss": "anl-ce*", "lambda": 2.0})
    assert set(search.ranges) == {"alpha", "beta"}
    assert search.run({"alpha": 1, "beta": 1}).settings["loss_parameters"]["lambda_"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"kind": "regression"}, r"unknown kind of run 'regression'.*segmentation"),
        ({"objective": "test"}, r"unknown objective 'test'.*given, clean"),
        ({"settings": {"loss": "anl"}}, "unknown loss 'anl'; did you mean anl-"),
        ({"settings": {"loss": "gce"}}, r"nothing to search: gce .*--range q=0\.1:1"),
        ({"settings": {"loss": "gce"}, "ranges": {"q": (0.1, 2.0)}}, r"q .*\(0, 1\]"),
        ({"settings": {"loss": "tce"}, "ranges": {"t": (1.0, 6.0)}}, "t .*whole"),
        ({"settings": {"validation": 0.0}}, "validation is 0.0, so no images are held out"),
        ({"kind": "segmentation", "settings": {"fold": "all"}}, "fold is all, so no images"),
        ({"settings": {"alpha": 1.0}, "ranges": {"alpha": (1.0, 2.0)}}, "alpha: fixed by --set"),
        ({"settings": {"speed": 1.0}}, "speed"),
    ],
)
def test_bad_searches_are_errors(arguments, told):
    with pytest.raises(InputError, match=told):
        make_search(**({"kind": "classification", "settings": {}} | arguments))


def test_ranges_are_read():
    ranges = parse_ranges(["alpha=0.5:20", "lambda", "delta"])
    assert ranges == {"alpha": (0.5, 20), "lambda_": (0.01, 10), "delta": (1e-7, 1e-3)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("q", "--range q needs its ends: q=LOW:HIGH"),
        ("alpha=1", "takes NAME or NAME=LOW:HIGH, got 'alpha=1'"),
        ("alpha=a:b", "takes NAME or NAME=LOW:HIGH"),
        ("alpha=0:5", "0 < LOW < HIGH"),
        ("alpha=5:1", "0 < LOW < HIGH"),
        ("alpha=1:inf", "0 < LOW < HIGH"),
    ],
)
def test_bad_ranges_are_errors(text, told):
    with pytest.raises(InputError, match=told):
        parse_ranges([text])


def test_the_search_finds_the_best_validation_accuracy(root):
    doer = Doer()
    search = make_search("classification", DIGITS)
    trials = tune(root, search, doer, trials=24, parallel=4, watch=quiet)
    assert [trial.number for trial in trials] == list(range(24))
    top = best(trials)
    assert top.objective == max(trial.objective for trial in trials) > 0.9
    assert 1 < top.values["alpha"] < 4
    assert 4 < top.values["beta"] < 16
    for trial in trials:
        assert trial.objective == pytest.approx(Doer.metrics(trial.values)["validation_accuracy"])
        assert all(0.1 <= value <= 50 for value in trial.values.values())


def test_trials_are_ordinary_runs(root):
    doer = Doer()
    search = make_search("classification", DIGITS)
    trials = tune(root, search, doer, trials=5, parallel=2, watch=quiet)
    found = {folder.name for folder in find_folders(root)}
    expected = {
        make_run(
            "classification", {**DIGITS, "validation": 0.2, "loss_parameters": dict(trial.values)}
        ).id
        for trial in trials
    }
    assert found == expected == {trial.folder.name for trial in trials}
    assert set(doer.done.values()) == {1}


def test_the_objective_can_use_clean_labels(root):
    search = make_search("classification", DIGITS, objective="clean")
    trials = tune(root, search, Doer(), trials=6, watch=quiet)
    assert best(trials).objective == max(
        Doer.metrics(trial.values)["validation_accuracy_clean"] for trial in trials
    )


def test_the_seed_determines_the_trials(tmp_path):
    tried = [
        points(
            tune(
                tmp_path / name,
                make_search("classification", DIGITS | {"seed": seed}),
                Doer(),
                trials=2,
                watch=quiet,
            )
        )
        for name, seed in {"one": 1, "again": 1, "other": 2}.items()
    ]
    assert tried[0] == tried[1] != tried[2]


class Killed(BaseException):
    pass


def test_a_stopped_search_resumes_to_the_same_trials(tmp_path):
    search = make_search("classification", DIGITS)
    whole = tune(tmp_path / "whole", search, Doer(), trials=12, parallel=2, watch=quiet)

    first = Doer()

    def stop_at_the_sixth(values):
        if first.done.total() == 5:
            raise Killed
        return {"metrics": Doer.metrics(values)}

    first.outcome = stop_at_the_sixth
    with pytest.raises(Killed):
        tune(tmp_path / "cut", search, first, trials=12, parallel=2, watch=quiet)
    second = Doer()
    cut = tune(tmp_path / "cut", search, second, trials=12, parallel=2, watch=quiet)
    assert points(cut) == points(whole)
    assert set((first.done + second.done).values()) == {1}
    assert (first.done.total(), second.done.total()) == (5, 7)


def test_a_finished_search_runs_nothing_until_more_trials_are_requested(root):
    search = make_search("classification", DIGITS)
    before = tune(root, search, Doer(), trials=3, watch=quiet)
    idle = Doer()
    assert points(tune(root, search, idle, trials=3, watch=quiet)) == points(before)
    assert not idle.done
    further = Doer()
    assert points(tune(root, search, further, trials=5, watch=quiet))[:3] == points(before)
    assert further.done.total() == 2


def test_a_trial_without_values_does_not_count(root):
    search = make_search("classification", DIGITS)
    tune(root, search, Doer(), trials=2, watch=quiet)
    url = f"sqlite:///{root / 'study.db'}"
    (name,) = (name for name in optuna.get_all_study_names(url) if name.startswith("anl-ce"))
    optuna.load_study(study_name=name, storage=url).ask()
    trials = tune(root, search, Doer(), trials=4, watch=quiet)
    assert [trial.number for trial in trials] == [0, 1, 3]


def test_the_same_settings_are_trained_once(root):
    doer = Doer()
    ranges = {"alpha": (1.0, 1.0001), "beta": (1.0, 1.0001)}  # the same to three digits
    search = make_search("classification", DIGITS, ranges)
    trials = tune(root, search, doer, trials=5, parallel=2, watch=quiet)
    assert len(trials) == 5
    assert doer.done.total() == 1


def test_the_grid_is_that_of_the_paper(root):
    doer = Doer()
    search = make_search("classification", DIGITS)
    trials = tune(root, search, doer, sampler="grid", parallel=3, watch=quiet)
    weights = (0.1, 0.5, 1.0, 5.0, 10.0)
    tried = {(trial.values["alpha"], trial.values["beta"]) for trial in trials}
    assert tried == {(alpha, beta) for alpha in weights for beta in weights}
    assert len(trials) == doer.done.total() == 25
    idle = Doer()
    assert len(tune(root, search, idle, sampler="grid", watch=quiet)) == 25
    assert not idle.done


def test_the_grid_keeps_to_the_ranges():
    assert grid({"alpha": (1.0, 5.0), "beta": (6.0, 20.0)}) == [
        {"alpha": 1.0, "beta": 10.0},
        {"alpha": 5.0, "beta": 10.0},
    ]
    with pytest.raises(InputError, match="no grid for alpha"):
        grid({"alpha": (2.0, 3.0), "beta": (0.1, 10.0)})
    with pytest.raises(InputError, match="no grid for q"):
        grid({"q": (0.1, 1.0)})


def fail_where_alpha_is_large(values):
    if values["alpha"] > 1:
        return {"status": FAILED, "error": "ValueError: too large"}
    return {"metrics": Doer.metrics(values)}


def test_failed_trials_are_tried_again_and_counted(root):
    doer = Doer(fail_where_alpha_is_large)
    search = make_search("classification", DIGITS)
    trials = tune(root, search, doer, trials=8, retries=2, watch=quiet)
    failed = [trial for trial in trials if trial.failed]
    assert {trial.values["alpha"] > 1 for trial in failed} == {True}
    assert 0 < len(failed) < 8
    assert {doer.done[trial.folder.name] for trial in failed} == {3}
    assert f"8 trials: {8 - len(failed)} done, {len(failed)} failed" in (
        tune_report.in_words(search, trials)
    )


def test_another_call_tries_failed_trials_again(root):
    search = make_search("classification", DIGITS)
    trials = tune(root, search, Doer(fail_where_alpha_is_large), trials=8, watch=quiet)
    failed = {trial.folder.name for trial in trials if trial.failed}
    assert {trial.folder.name for trial in read_tuning(root)[1] if trial.failed} == failed

    still = Doer(fail_where_alpha_is_large)
    again = tune(root, search, still, trials=8, watch=quiet)
    assert still.done == Counter(dict.fromkeys(failed, 2))  # once, and one retry
    assert points(again) == points(trials)

    mended = Doer()
    again = tune(root, search, mended, trials=8, watch=quiet)
    assert mended.done == Counter(dict.fromkeys(failed, 1))
    assert [trial.values for trial in again] == [trial.values for trial in trials]
    assert all(trial.objective is not None and not trial.failed for trial in again)
    idle = Doer()
    tune(root, search, idle, trials=8, watch=quiet)
    assert not idle.done


def test_a_trial_whose_runs_die_is_given_up_for_this_call(root):
    doer = Doer(lambda values: {"status": "stopped"})
    search = make_search("classification", DIGITS)
    trials = tune(root, search, doer, trials=2, watch=quiet)
    assert [trial.failed for trial in trials] == [True, True]
    assert set(doer.done.values()) == {2}
    assert tune_report.in_words(search, trials) == "2 trials: 0 done, 2 failed"
    assert tune_report.in_words(*read_tuning(root)) == "2 trials: 0 done, 0 failed, 2 open"


def test_an_objective_of_nan_is_a_failure(root):
    doer = Doer(lambda values: {"metrics": {"validation_accuracy": math.nan}})
    search = make_search("classification", DIGITS)
    (trial,) = tune(root, search, doer, trials=1, watch=quiet)
    assert trial.failed


def test_unknown_clean_labels(root):
    doer = Doer(lambda values: {"metrics": {"validation_accuracy": 0.5}})
    search = make_search("classification", DIGITS, objective="clean")
    told = r"no validation_accuracy_clean: .* has validation_accuracy; omit --objective clean"
    with pytest.raises(InputError, match=told):
        tune(root, search, doer, trials=1, watch=quiet)


def test_a_finished_run_without_the_metric_is_an_error(root):
    search = make_search("classification", DIGITS)
    told = "has no validation_accuracy: its record has {}; delete this folder"
    for metrics, has in (({"test_accuracy": 0.5}, "test_accuracy"), ({}, "no metrics")):
        doer = Doer(lambda values, metrics=metrics: {"metrics": metrics})
        with pytest.raises(InputError, match=told.format(has)):
            tune(root / has, search, doer, trials=1, watch=quiet)


def test_a_folder_of_another_search_is_left_alone(root):
    tune(root, make_search("classification", DIGITS), Doer(), trials=1, watch=quiet)
    for other in (
        make_search("classification", DIGITS | {"eta": 0.6}),
        make_search("classification", DIGITS, objective="clean"),
        make_search("classification", DIGITS, parse_ranges(["alpha=1:2"])),
    ):
        idle = Doer()
        with pytest.raises(InputError, match="contains another search"):
            tune(root, other, idle, trials=2, watch=quiet)
        assert not idle.done
    elsewhere = make_search("classification", DIGITS | {"device": "cpu"})
    assert len(tune(root, elsewhere, Doer(), trials=2, watch=quiet)) == 2


def test_a_search_with_other_spellings_is_resumed(tmp_path, monkeypatch):
    """Resume with a path that is spelled differently, and with defaults that are typed."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "tuning"
    cifar = DIGITS | {"protocol": "cifar10"}
    Path("cifar").mkdir()
    first = tune(
        root, make_search("classification", cifar | {"data": "cifar"}), Doer(), trials=2,
        watch=quiet,
    )  # fmt: skip
    before = (root / "search.json").read_bytes()
    typed = {"data": str(tmp_path / "cifar"), "loss": "ANL_CE", "seed": 1, "delta": None}
    idle = Doer()
    again = tune(root, make_search("classification", cifar | typed), idle, trials=2, watch=quiet)
    assert points(again) == points(first)
    assert not idle.done
    assert (root / "search.json").read_bytes() == before
    told = "contains another search, with other eta, data, see search.json; choose another folder"
    other = make_search("classification", cifar | {"data": "other", "eta": 0.6})
    with pytest.raises(InputError, match=told):
        tune(root, other, Doer(), trials=2, watch=quiet)
    ranges = make_search("classification", cifar | {"data": "cifar"}, {"alpha": (1.0, 2.0)})
    with pytest.raises(InputError, match="with other --range, see"):
        tune(root, ranges, Doer(), trials=2, watch=quiet)


def test_the_study_can_be_in_another_database(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    search = make_search("classification", DIGITS)
    tried = tune(tmp_path / "a", search, Doer(), trials=2, storage=url, watch=quiet)
    assert not (tmp_path / "a" / "study.db").exists()
    assert points(read_tuning(tmp_path / "a", url)[1]) == points(tried)


@pytest.mark.parametrize("url", ["nothing", "sqlite:////no/such/folder/study.db"])
def test_a_database_that_cannot_be_opened(tmp_path, url):
    search = make_search("classification", DIGITS)
    with pytest.raises(InputError, match="the study cannot be opened in"):
        tune(tmp_path / "a", search, Doer(), trials=2, storage=url, watch=quiet)


def test_no_search_to_report(tmp_path):
    with pytest.raises(InputError, match="contains no search"):
        read_tuning(tmp_path)
    (tmp_path / "search.json").write_text("{")
    with pytest.raises(InputError, match=r"search\.json is not JSON"):
        read_tuning(tmp_path)


def test_a_study_in_another_database_is_not_created_again(tmp_path):
    root, url = tmp_path / "a", f"sqlite:///{tmp_path / 'elsewhere.db'}"
    tune(root, make_search("classification", DIGITS), Doer(), trials=1, storage=url, watch=quiet)
    with pytest.raises(InputError, match=r"no study anl-ce-.* in .*study\.db; give the --storage"):
        read_tuning(root)
    assert not (root / "study.db").exists()
    optuna.create_study(storage=f"sqlite:///{root / 'study.db'}", study_name="other")
    with pytest.raises(InputError, match="there is no study anl-ce-"):
        read_tuning(root)
    assert optuna.get_all_study_names(f"sqlite:///{root / 'study.db'}") == ["other"]


@pytest.mark.parametrize("ranges", [[], ["delta"]])
def test_the_report_is_a_table_and_pictures(root, ranges):
    search = make_search("classification", DIGITS, parse_ranges(ranges))
    trials = tune(root, search, Doer(fail_where_alpha_is_large), trials=10, watch=quiet)
    files = tune_report.write_report(root, search, trials)
    assert [path.name for path in files] == ["trials.csv", "surface.png", "surface.pdf"]
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert files[2].read_bytes().startswith(b"%PDF")
    rows = list(csv.DictReader(files[0].read_text().splitlines()))
    assert len(rows) == 10
    for row, trial in zip(rows, trials, strict=True):
        assert row["state"] == ("failed" if trial.failed else "done")
        assert float(row["alpha"]) == trial.values["alpha"]
        assert row["run"] == trial.folder.name
        if not trial.failed:
            assert float(row["validation_accuracy"]) == trial.objective
    assert "test_accuracy" not in rows[0]


def test_nothing_to_report_if_all_trials_failed(root):
    search = make_search("classification", DIGITS, parse_ranges(["alpha=2:3"]))
    trials = tune(root, search, Doer(fail_where_alpha_is_large), trials=2, watch=quiet)
    with pytest.raises(InputError, match="none of 2 trials is done"):
        tune_report.write_report(root, search, trials)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_trials_have_no_surface_but_a_picture(root, count):
    search = make_search("classification", DIGITS)
    trials = tune(root, search, Doer(), trials=count, watch=quiet)
    assert tune_report.write_report(root, search, trials)


@pytest.mark.parametrize("ranges", [[], ["alpha=1.1:1.9", "beta=0.001:500"]])
def test_a_level_surface_and_strange_ranges_have_a_picture(root, ranges):
    level = Doer(lambda values: {"metrics": {"validation_accuracy": 0.25}})
    search = make_search("classification", DIGITS, parse_ranges(ranges))
    trials = tune(root, search, level, trials=5, watch=quiet)
    assert tune_report.write_report(root, search, trials)


def test_one_value_is_a_curve(root):
    search = make_search("classification", DIGITS | {"beta": 3.0})
    trials = tune(root, search, Doer(), trials=5, watch=quiet)
    assert tune_report.write_report(root, search, trials)


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["tune", *map(str, arguments)])
    return end.value.code


NOISE = ("--dataset", "digits", "--noise", "symmetric", "--eta", 0.8)


def test_the_command_reports_the_best(root, capsys, monkeypatch):
    monkeypatch.setattr(executors, "make_executor", lambda *arguments: Doer())
    assert command(*NOISE, "--trials", 8, "-np", 2, "-o", root) == 0
    told = capsys.readouterr().out
    top = best(read_tuning(root)[1])
    assert "8 trials: 8 done, 0 failed" in told
    values = f"alpha {top.values['alpha']:g}, beta {top.values['beta']:g}"
    assert f"best: {values}: validation accuracy {100 * top.objective:.2f} %" in told
    assert str(top.folder) in told
    (root / "surface.png").unlink()
    assert command("--report-only", "-o", root) == 0
    assert capsys.readouterr().out == told
    assert (root / "surface.png").exists()


def test_the_command_reports_failures(root, capsys, monkeypatch):
    doer = Doer(fail_where_alpha_is_large)
    monkeypatch.setattr(executors, "make_executor", lambda *arguments: doer)
    assert command(*NOISE, "--trials", 8, "--retries", 0, "-o", root) == 0
    assert "ValueError: too large, 0 attempts" in capsys.readouterr().out
    ranges = ("--range", "alpha=2:3")
    assert command(*NOISE, *ranges, "--trials", 2, "-o", root / "all") == 1
    assert "all trials failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--loss", "gce"), "nothing to search"),
        (("--range", "alpha=1"), "--range takes NAME"),
        (("--set", "validation=1.5"), "validation must be a share"),
        (("--kind", "segmentation", "--dataset", "digits"), "protocol"),
        (("--kind", "segmentation", "--noise", "symmetric"), "--noise is for --kind classif"),
        (("--set", "loss=gce"), "--set loss and --loss set the same; use --loss alone"),
        (("--dataset", "digits", "--data", "no.npz"), "digits needs no files"),
        (("--loss", "anl-ce*", "--sampler", "grid"), "no grid for lambda in"),
        (("--report-only",), "contains no search"),
    ],
)
def test_the_command_refuses(tmp_path, capsys, arguments, told):
    assert command(*arguments, "-o", tmp_path / "tuning") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "tuning").exists()


@pytest.mark.slow
def test_a_killed_search_resumes(tmp_path):
    arguments = [
        *(*map(str, NOISE), "--set", "epochs=2", "--set", "device=cpu"),
        *("--trials", "4", "-np", "2", "-o", str(tmp_path)),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", "from anl_seg.cli import main; main()", "tune", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,  # in the checkout anl_seg is not whole
    )
    try:
        deadline = time.monotonic() + 240
        while not any(read_record(each).status == "running" for each in find_folders(tmp_path)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    begun = {folder.name for folder in find_folders(tmp_path)}
    assert len(begun) == 2
    assert command(*arguments) == 0
    _, trials = read_tuning(tmp_path)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {trial.folder.name for trial in trials[:2]} == begun
    assert all(trial.record.status == DONE for trial in trials)
    for trial in trials:
        assert trial.objective == trial.record.metrics["validation_accuracy"]
        told = json.loads((trial.folder / "run.json").read_text())
        assert told["settings"]["validation"] == 0.2
        log = (trial.folder / "log.jsonl").read_text().splitlines()
        assert trial.objective == json.loads(log[-1])["validation_accuracy"]
