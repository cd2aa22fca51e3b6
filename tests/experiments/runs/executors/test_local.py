"""Sweeps on this machine, with processes that train, are killed and are resumed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import yaml
from experiments.marked import marked

from anl_seg.cli import main
from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.executors import make_executor
from anl_seg.experiments.runs.executors.executor import ExecutorOptions
from anl_seg.experiments.runs.executors.local import LocalExecutor, at_once
from anl_seg.experiments.runs.run import make_run
from anl_seg.experiments.runs.sweep import failures, run_sweep

pytestmark = pytest.mark.slow
QUICK = {"device": "cpu", "loss": "ce", "epochs": 1}
#: Long enough to be found in the middle, and to end soon after.
LONG = QUICK | {"epochs": 40, "batch_size": 256}
SECONDS = 120


def run_of(**settings):
    return make_run("classification", QUICK | settings)


def do(root, runs, executor=None, retries=1):
    return run_sweep(
        root, runs, executor or LocalExecutor(2), retries=retries, watch=lambda found: None
    )


def wait_for(condition, process=None):
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.poll() is None, "it ended"
        time.sleep(0.05)


def epochs(folder):
    """Return the epochs in the log of a run, in order."""
    path = folder / records.LOG_NAME
    text = path.read_text() if path.exists() else ""
    return [int(number) for number in re.findall(r"^{'epoch': (\d+)", text, re.MULTILINE)]


def test_runs_are_done_and_failures_reported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    (tmp_path / "broken.npz").write_bytes(b"no arrays")
    runs = [run_of(seed=1), run_of(labels="broken.npz"), run_of(seed=2)]
    found = do(root, runs)
    assert [standing.state for standing in found] == ["done", "failed", "done"]
    assert [standing.record.attempts for standing in found] == [1, 2, 1]
    done, failed, _ = (standing.record for standing in found)
    assert 0.1 < done.metrics["test_accuracy"] <= done.metrics["best_test_accuracy"] < 1
    assert len(done.noise_sha256) == 64
    assert done.versions.keys() >= {"python", "anl-seg", "torch", "numpy"}
    assert done.seconds > 0
    assert done.started <= done.ended  # in whole seconds
    assert done.error is None
    assert done.job is None
    assert epochs(found[0].folder) == [1]
    assert failed.error.startswith("InputError: broken.npz")
    assert "Traceback" not in (found[1].folder / records.LOG_NAME).read_text()
    assert failed.metrics == {}
    text = failures(found)
    assert "2 attempts" in text
    assert text.splitlines()[-1].strip() == failed.error.removeprefix("InputError: ")

    again = do(root, [runs[0], runs[2]])
    assert [standing.record for standing in again] == [found[0].record, found[2].record]


def test_a_killed_run_is_retried_and_resumed(tmp_path):
    run = make_run("classification", LONG)
    folder = tmp_path / run.id
    executor = LocalExecutor(2)

    def kill():
        wait_for(lambda: len(epochs(folder)) >= 3)
        (process,) = executor._processes
        os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    (standing,) = do(tmp_path, [run], executor)
    killer.join()
    assert (standing.state, standing.record.attempts) == ("done", 2)
    told = epochs(folder)
    assert len(told) == len(set(told)) >= 39  # one may be saved and not told of
    assert len((folder / "log.jsonl").read_text().splitlines()) == 40


def test_two_sweeps_on_one_folder_do_each_run_once(tmp_path):
    runs = [run_of(seed=seed) for seed in (1, 2, 3)]
    results = []
    calls = [threading.Thread(target=lambda: results.append(do(tmp_path, runs))) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(results) == 2
    for found in results:
        assert [standing.state for standing in found] == ["done"] * 3
        assert [standing.record.attempts for standing in found] == [1, 1, 1]
        assert [epochs(standing.folder) for standing in found] == [[1]] * 3


def test_gpus_are_distributed(tmp_path):
    executor = make_executor("local", tmp_path, ExecutorOptions(workers=3, gpus="4,7"))
    assert [executor._gpus.get() for _ in range(3)] == [4, 7, 4]
    assert LocalExecutor(2)._gpus.get() is None


@pytest.mark.parametrize(
    ("workers", "gpus", "runs"), [(None, None, 1), (None, "4,7", 2), (3, "4,7", 3), (2, None, 2)]
)
def test_one_run_per_gpu_by_default(workers, gpus, runs):
    assert at_once(workers, gpus) == runs


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("local", {"gpus": "one"}, "--gpus takes numbers such as 0,1,2, got 'one'"),
        ("local", {"slurm": ["time=3"]}, "--slurm needs --executor slurm"),
        ("slurm", {"gpus": "0"}, "--gpus needs --executor local"),
    ],
)
def test_options_of_the_other_executor(tmp_path, name, options, message):
    with pytest.raises(InputError, match=message):
        make_executor(name, tmp_path, ExecutorOptions(**options))


@pytest.fixture
def sweep_of_one(tmp_path):
    """The folder of the only run of a sweep file."""
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({"runs": [LONG]}))
    return tmp_path / "runs" / make_run("classification", LONG).id


def begin(folder):
    """`anl-seg sweep` in a session of its own, as in a terminal."""
    code = """
import signal
from anl_seg.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where pytest itself ignores it
main(["sweep", "sweep.yaml", "-np", "2"])
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"ANL_SEG_TEST_MARK": str(folder), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def end_in_the_middle(folder, run, number):
    """Start a sweep, and send it a signal after three more epochs of its run."""
    told = len(epochs(run))
    with begin(folder) as process:
        wait_for(lambda: len(epochs(run)) >= told + 3, process)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as Ctrl-C does
        else:
            process.send_signal(number)
        assert process.wait(20) == (130 if number == signal.SIGINT else -number)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_sweep_that_is_stopped_or_killed_leaves_nothing_behind_and_goes_on(
    sweep_of_one, tmp_path, monkeypatch, capfd
):
    mark = f"ANL_SEG_TEST_MARK={tmp_path}"
    for number in (signal.SIGINT, signal.SIGKILL):
        end_in_the_middle(tmp_path, sweep_of_one, number)
        wait_for(lambda: not marked(mark))
        assert records.look(sweep_of_one)[1] == "stopped"
        if number == signal.SIGINT:
            stopped = records.read_record(sweep_of_one)
            assert (stopped.status, stopped.stops, stopped.error) == ("stopped", 1, None)
            assert stopped.seconds > 0
    assert "Traceback" not in capfd.readouterr().err

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["sweep", "sweep.yaml", "-np", "2"])
    assert end.value.code == 0
    record = records.read_record(sweep_of_one)
    assert (record.status, record.attempts, record.stops) == ("done", 3, 1)
    assert record.seconds > stopped.seconds
    told = epochs(sweep_of_one)
    assert len(told) == len(set(told)) >= 38
    assert json.loads((sweep_of_one / "run.json").read_text())["result"]
