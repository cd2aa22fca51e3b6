"""A sweep on a real SLURM on this machine, with typical failures of clusters."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from experiments.slurm_cluster import Unavailable, cluster

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.experiments.kinds import find_kind
from anl_seg.experiments.outcome import Outcome
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.executors import slurm
from anl_seg.experiments.runs.run import make_run
from anl_seg.experiments.runs.sweep import read_sweep, standings_below

MINUTES = 15
ANL_SEG = (sys.executable, "-c", "from anl_seg.cli import main; main()")
LONG = {"loss": "ce", "epochs": 60}


@pytest.fixture
def site():
    """A cluster; in a folder of /tmp, as the names of sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        try:
            with cluster(Path(folder), cpus=2) as found:
                yield found
        except Unavailable as reason:
            pytest.skip(str(reason))


class Sweeping:
    """`anl-seg sweep` in a process of its own, as a user has it in a shell."""

    def __init__(self, site, folder):
        self.site, self.folder, self.start = site, folder, time.monotonic()
        self.controllers = []

    def tell(self, text):
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", flush=True)

    def begin(self):
        options = ("--executor", "slurm", "-np", "2", "--retries", "1", "--slurm", "time=30")
        with (self.folder / "controller.log").open("a") as log:
            controller = subprocess.Popen(
                [*ANL_SEG, "sweep", "sweep.yaml", "--runs", "runs", *options],
                cwd=self.folder,
                env=self.site.environment | {"OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=log,
            )
        self.controllers.append(controller)
        return controller

    def end(self):
        for controller in self.controllers:
            controller.kill()
            controller.wait()

    def wait(self, what, condition):
        end = time.monotonic() + 60 * MINUTES
        while not condition():
            assert time.monotonic() < end, f"waited for {what} in vain"
            time.sleep(0.5)
        self.tell(what)

    def records(self):
        found = records.find_folders(self.folder / "runs")
        return {folder.name: records.read_record(folder) for folder in found}

    def job(self, run):
        return self.records()[run].job

    def n_done(self):
        return sum(record.status == records.DONE for record in self.records().values())

    def epochs(self, run):
        text = (self.folder / "runs" / run / records.LOG_NAME).read_text()
        return [int(number) for number in re.findall(r"^{'epoch': (\d+)", text, re.MULTILINE)]

    def is_training(self, run):
        record = self.records()[run]
        return record.status == records.RUNNING and len(self.epochs(run)) >= 2


@pytest.fixture
def sweeping(site, tmp_path):
    sweeping = Sweeping(site, tmp_path)
    yield sweeping
    sweeping.end()


def write_sweep(folder):
    """Write 20 runs: 17 short ones, two longer ones to be killed, one that must fail."""
    content = {
        "base": {"noise": "symmetric", "eta": 0.4, "device": "cpu", "epochs": 1},
        "runs": [
            {**LONG, "seed": 1},
            {**LONG, "seed": 2},
            {"loss": "mae", "noise": "clean", "eta": None, "labels": "later.npz"},
            *({"loss": "anl-ce", "seed": seed} for seed in range(1, 18)),
        ],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content))
    runs = [run.id for run in read_sweep(folder / "sweep.yaml")]
    assert len(runs) == 20
    return runs


@pytest.mark.slow
def test_a_sweep_survives_what_clusters_do(site, sweeping, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    killed, preempted, failing, *_ = write_sweep(tmp_path)

    first = sweeping.begin()
    sweeping.wait("20 runs have records", lambda: len(sweeping.records()) == 20)
    sweeping.wait(f"{killed} trains", lambda: sweeping.is_training(killed))
    site.ask("scancel", "--signal=KILL", sweeping.job(killed))
    sweeping.tell(f"SIGKILL to its job {sweeping.job(killed)}")
    first.kill()
    first.wait()
    sweeping.tell("kill -9 of anl-seg sweep; its jobs go on")
    before = site.ask("squeue", "--noheader", "--array", "--format=%K")
    assert len(before.split()) >= 18

    second = sweeping.begin()
    sweeping.tell("anl-seg sweep again")
    sweeping.wait(f"{preempted} trains", lambda: sweeping.is_training(preempted))
    with contextlib.suppress(subprocess.TimeoutExpired):  # the job leaves before scancel has it
        site.ask("scancel", "--signal=USR2", sweeping.job(preempted), timeout=5)
    sweeping.tell(f"preemption of its job {sweeping.job(preempted)}, as SLURM announces it")
    sweeping.wait("5 runs are done", lambda: sweeping.n_done() >= 5)
    site.end("slurmctld")
    sweeping.tell("slurmctld ended")
    time.sleep(2 * slurm.SQUEUE_SECONDS)
    site.start("slurmctld", "-D")
    sweeping.tell("slurmctld started anew")
    sweeping.wait("anl-seg sweep ended", lambda: second.poll() is not None)
    report(sweeping)

    assert second.returncode == 1  # one run failed
    found = sweeping.records()
    assert len(found) == 20
    # What SLURM was given: every run once, but for what was killed or failed.
    submitted = Counter(
        run
        for path in (tmp_path / "runs" / slurm.FOLDER_NAME).glob("anl-seg-*.json")
        for run in json.loads(path.read_text())
    )
    # The second call tries once more what fails, and does not count what failed before it came.
    assert submitted.pop(failing) == found[failing].attempts in (2, 3)
    assert submitted == Counter({run: 1 for run in submitted} | {killed: 2})
    for run, record in found.items():
        assert record.status == (records.FAILED if run == failing else records.DONE)
        begun = (tmp_path / "runs" / run / records.LOG_NAME).read_text().count("--- 20")
        assert record.attempts == begun, run
        if run != failing:
            assert begun == (2 if run in (killed, preempted) else 1), run
        # SLURM sends SIGTERM before SIGKILL, and waits for some seconds in between.
        assert record.stops in {killed: (0, 1), preempted: (1,)}.get(run, (0,)), run
        assert re.fullmatch(r"\d+(_\d+)?", record.job)
    for run in (killed, preempted):
        assert sweeping.epochs(run) == list(range(1, 61))  # none twice: each went on where it was

    output = (tmp_path / "controller.log").read_text()
    assert re.search(rf"{failing}: \w+Error: .*later.npz.*, \d attempts; the end of log", output)
    assert "20 runs: 19 done, 1 failed" in output


def report(sweeping):
    """Print the controllers' output, the runs, and SLURM's log."""
    print("--- anl-seg sweep, both calls")
    print((sweeping.folder / "controller.log").read_text())
    print("--- records")
    for run, record in sweeping.records().items():
        print(f"{run:50} {record.status:8} attempts {record.attempts}  job {record.job}")
    print("--- slurmctld")
    text = (sweeping.site.folder / "slurmctld.out").read_text()
    wanted = (
        "Allocate",
        "_job_complete",
        "REQUEUE",
        "requeue",
        "Terminate",
        "signal",
        "Running as",
    )
    print("\n".join(line for line in text.splitlines() if any(word in line for word in wanted)))


def test_a_machine_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="found no sbatch, scancel, squeue, srun in PATH"):
        slurm.SlurmExecutor(tmp_path, {}, parallel=1)


@pytest.mark.parametrize(
    ("texts", "options"),
    [
        ([], {}),
        (["partition=gpu", "time=90"], {"partition": "gpu", "time": "90"}),
        (["--cpus-per-task=4", "exclusive"], {"cpus_per_task": "4", "exclusive": True}),
        (["export=A=1"], {"export": "A=1"}),
    ],
)
def test_options(texts, options):
    assert slurm.parse_options(texts) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=4", "NAME=VALUE or NAME, got '=4'"),
        ("partition=", "NAME=VALUE or NAME, got 'partition='"),
        ("array=0-3", "anl-seg sets array, .* itself"),
        ("time=1:00:00", "whole minutes, got '1:00:00'"),
        ("time=0", "whole minutes, got '0'"),
        ("time", "whole minutes, got True"),
    ],
)
def test_impossible_options(text, message):
    with pytest.raises(InputError, match=message):
        slurm.parse_options([text])


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Programs of SLURM's names that print a file's lines, note their arguments, and may fail."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in slurm.PROGRAMS:
        program = folder / name
        program.write_text(
            f'#!/bin/sh\necho "$@" >>{folder}/{name}.calls\n[ -e {folder}/down ] && exit 1\n'
            f"cat {folder}/{name}.answer\n"
        )
        program.chmod(0o755)
        (folder / f"{name}.answer").write_text("")
    (folder / "sbatch.answer").write_text("Submitted batch job 12\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "SQUEUE_SECONDS", 0.0)
    return folder


def submission(root):
    """Name and runs of the only submission."""
    (path,) = (root / slurm.FOLDER_NAME).glob("anl-seg-*.json")
    return path.stem, json.loads(path.read_text())


def test_one_array_for_all_runs(programs, tmp_path):
    executor = slurm.SlurmExecutor(tmp_path, {"cpus_per_task": "2", "mem": "8G"}, parallel=2)
    executor.start([tmp_path / name for name in "abc"])
    name, runs = submission(tmp_path)
    assert runs == ["a", "b", "c"]
    (script,) = (tmp_path / slurm.FOLDER_NAME).glob("12_submission.sh")
    text = script.read_text()
    for line in (
        *("--array=0-2%2", f"--job-name={name}", "--cpus-per-task=2", "--mem=8G", "--requeue"),
        *(f"--time={slurm.DEFAULT_MINUTES}", "--signal=USR2@90"),
    ):
        assert f"#SBATCH {line}\n" in text
    assert re.search(r"^srun .*--cpus-per-task=2 ", text, re.MULTILINE)
    assert f"{sys.executable} -u -m submitit" in text


def test_runs_of_an_earlier_call_are_pending_and_not_resubmitted(programs, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    slurm.SlurmExecutor(tmp_path, {}, parallel=2).start(folders)
    name, _ = submission(tmp_path)
    (programs / "squeue.answer").write_text(f"0 {name}\n2 {name}\nN/A other\n1 anl-seg-elsewhere\n")
    later = slurm.SlurmExecutor(tmp_path, {}, parallel=2)
    assert later.pending(folders) == {folders[0], folders[2]}
    later.start([folders[0], folders[2]])
    assert submission(tmp_path) == (name, ["a", "b", "c"])
    later.stop()
    assert not (programs / "scancel.calls").exists()


def test_a_controller_that_does_not_answer_loses_no_run(programs, tmp_path, caplog):
    folders = [tmp_path / "a", tmp_path / "b"]
    executor = slurm.SlurmExecutor(tmp_path, {}, parallel=2)
    (programs / "down").touch()
    with pytest.raises(CommandFailedError, match="squeue failed"):
        executor.pending(folders)
    (programs / "down").unlink()
    executor.start(folders)
    (programs / "down").touch()
    assert executor.pending(folders) == set(folders)
    assert "asking again" in caplog.text
    (programs / "down").unlink()
    assert executor.pending(folders) == set()


def test_stop_cancels_what_was_submitted_here(programs, tmp_path):
    executor = slurm.SlurmExecutor(tmp_path, {}, parallel=1)
    executor.start([tmp_path / "a"])
    executor.stop()
    name, _ = submission(tmp_path)
    assert (programs / "scancel.calls").read_text() == f"--name={name}\n"


def test_stop_cancels_the_rest_if_slurm_does_not_answer(programs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(slurm, "ANSWER_SECONDS", 0.5)
    executor = slurm.SlurmExecutor(tmp_path, {}, parallel=1)
    for name in "ab":
        executor.start([tmp_path / name])
    calls = programs / "scancel.calls"
    (programs / "scancel").write_text(f'#!/bin/sh\necho "$@" >>{calls}\nexec sleep 60\n')
    executor.stop()
    told = calls.read_text().splitlines()
    assert len(told) == 2
    assert all(f"cancel the jobs yourself: scancel {line}" in caplog.text for line in told)


def test_an_error_of_sbatch_is_shown(programs, tmp_path):
    executor = slurm.SlurmExecutor(tmp_path, {"partitoin": "gpu"}, parallel=1)
    (programs / "sbatch").write_text("#!/bin/sh\necho unrecognized option partitoin >&2; exit 255")
    with pytest.raises(CommandFailedError, match="unrecognized option partitoin"):
        executor.start([tmp_path / "a"])


def test_status_shows_queued_runs(programs, tmp_path, caplog):
    root = tmp_path / "sweep"
    runs = [make_run("classification", {"seed": seed}) for seed in (1, 2)]
    folders = [root / run.id for run in runs]
    for folder, run in zip(folders, runs, strict=True):
        records.write_record(folder, records.RunRecord(run.id, run.kind, dict(run.settings)))
    assert [each.state for each in standings_below(root)] == ["waiting", "waiting"]
    assert not (programs / "squeue.calls").exists()  # nothing was submitted from here
    slurm.SlurmExecutor(root, {}, parallel=1).start(folders)
    name, _ = submission(root)
    (programs / "squeue.answer").write_text(f"1 {name}\n")
    assert [each.state for each in standings_below(root)] == ["waiting", "queued"]
    assert [each.state for each in standings_below(tmp_path)] == ["waiting", "queued"]
    (programs / "down").touch()
    assert [each.state for each in standings_below(root)] == ["waiting", "waiting"]
    assert "squeue failed" in caplog.text


#: A job whose run has a program do the work, as nnU-Net's; SLURM's signals reach that one too.
JOB = """
import subprocess, sys
from dataclasses import replace
from pathlib import Path
from anl_seg.experiments.runs import worker
from anl_seg.experiments.runs.executors.slurm import Job

def wait(settings, folder):
    with subprocess.Popen(["sleep", "300"]) as program:
        (folder / "begun").touch()
        program.wait()
    raise RuntimeError("the program ended")

kind = replace(worker.find_kind("classification"), run=wait)
worker.find_kind = lambda name: kind
Job(Path(sys.argv[1]), Path.cwd())()
"""


@pytest.mark.slow
def test_scancel_stops_a_run_without_a_failure(tmp_path):
    run = make_run("classification", {})
    folder = tmp_path / run.id
    records.write_record(folder, records.RunRecord(run.id, run.kind, dict(run.settings)))
    command = [sys.executable, "-c", JOB, str(folder)]
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True) as job:
        while not (folder / "begun").exists():
            assert job.poll() is None
            time.sleep(0.05)
        os.killpg(job.pid, signal.SIGTERM)
        assert job.wait(60) == 1
    record = records.read_record(folder)
    assert (record.status, record.error) == ("stopped", None)
    assert (record.attempts, record.stops) == (1, 1)


@pytest.mark.parametrize(("requeued", "stops"), [(True, 1), (False, 0)])
def test_a_requeue_by_slurm_counts_as_a_stop(tmp_path, monkeypatch, requeued, stops):
    from anl_seg.experiments.runs import worker

    run = make_run("classification", {})
    died = records.RunRecord(
        run.id, run.kind, dict(run.settings), status="running", attempts=1, seconds=50.0
    )
    records.write_record(tmp_path, died)
    if requeued:
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    kind = replace(
        find_kind("classification"), run=lambda settings, folder: Outcome({}, noise_sha256="")
    )
    monkeypatch.setattr(worker, "find_kind", lambda name: kind)
    monkeypatch.setattr(worker, "_log_to", lambda path: None)
    assert worker.work(tmp_path)
    record = records.read_record(tmp_path)
    assert (record.status, record.attempts, record.stops) == ("done", 2, stops)
    assert 50.0 <= record.seconds < 80.0  # with those of the earlier attempt


def test_job_ids_are_those_of_slurm(monkeypatch):
    from anl_seg.experiments.runs.worker import _job

    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    assert _job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    assert _job() == "14"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert _job() == "12_3"
