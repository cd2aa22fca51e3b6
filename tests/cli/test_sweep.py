"""The commands `sweep` and `collect`, in this process; tests/experiments does the runs."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys

import pytest
from rich.console import Console

from anl_seg.cli import main, standings
from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.sweep import read_sweep, standings_of


def call(*arguments):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    return end.value.code


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Folders of the four runs of sweep.yaml: done, failed, stopped and waiting."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.yaml").write_text("grid: {loss: [ce, gce], seed: [1, 2]}")
    folders = []
    for standing, status in zip(
        standings_of(tmp_path / "runs", read_sweep(tmp_path / "sweep.yaml")),
        ("done", "failed", "running", "waiting"),
        strict=True,
    ):
        standing.folder.mkdir(parents=True)
        record = dataclasses.replace(
            standing.record,
            status=status,
            attempts=int(status != "waiting"),
            error="ValueError: why" if status == "failed" else None,
            seconds=60.0 if status == "done" else None,
            metrics={"test_accuracy": 0.5} if status == "done" else {},
        )
        records.write_record(standing.folder, record)
        folders.append(standing.folder)
    (folders[1] / "log.txt").write_text("before\nthe last words\n")
    return folders


def test_status_from_another_shell(sweep, capsys):
    assert call("sweep", "status") == 0
    shown = capsys.readouterr().out
    assert "4 runs: 1 done, 1 waiting, 1 stopped, 1 failed, about 2 min left" in shown
    for folder in sweep[1:3]:
        assert folder.name in shown
    assert "ValueError: why, 1 attempts" in shown
    assert "    the last words" in shown


def test_status_of_a_finished_run_is_one_line(sweep, capsys):
    for folder in sweep[1:]:
        (folder / "record.json").unlink()
    assert call("sweep", "status") == 0
    assert capsys.readouterr().out.strip() == "1 run: 1 done"


def test_status_of_nothing(tmp_path, capsys):
    assert call("sweep", "status", "--runs", tmp_path) == 2
    assert f"{tmp_path} contains no runs" in capsys.readouterr().err


def test_a_dry_run_lists_the_runs_and_changes_nothing(sweep, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    (sweep[3] / "record.json").unlink()
    sweep[3].rmdir()
    assert call("sweep", "sweep.yaml", "--dry-run", "-np", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    states = ("done", "failed", "stopped", "waiting")
    assert lines[:4] == [
        f"{state:8} {folder.name}" for state, folder in zip(states, sweep, strict=True)
    ]
    assert lines[4] == "4 runs: 1 done, 1 waiting, 1 stopped, 1 failed, about 60 s left"
    assert not sweep[3].exists()
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert after == {path: time for path, time in before.items() if path in after}


def test_each_gpu_that_is_named_gets_a_run(sweep, monkeypatch, capsys):
    assert call("sweep", "sweep.yaml", "--dry-run", "--gpus", "0,1") == 0
    assert "about 60 s left" in capsys.readouterr().out  # as with -np 2

    def tell(name, root, options):
        raise InputError(f"{options.workers} at a time")

    monkeypatch.setattr("anl_seg.experiments.runs.executors.make_executor", tell)
    assert call("sweep", "sweep.yaml", "--gpus", "0,1") == 2
    assert "2 at a time" in capsys.readouterr().err


def test_a_missing_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("sweep", "sweep.yaml") == 2
    assert "sweep.yaml" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_table_of_the_paper_is_a_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call("sweep", "table-5", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "9 runs: 9 waiting, no estimate yet"
    assert [line.split()[1].rsplit("-", 1)[0] for line in lines[:3]] == [
        f"animal10n-clean-{loss}-seed1" for loss in ("ce", "gce", "anl-ce")
    ]
    assert call("sweep", "table-5", "--dry-run", "--set", "protocol=digits") == 0
    assert "digits-clean-anl-ce-seed3" in capsys.readouterr().out


def test_settings_beside_a_file_are_refused(sweep, capsys):
    assert call("sweep", "sweep.yaml", "--set", "epochs=3") == 2
    assert "write the values into sweep.yaml" in capsys.readouterr().err


def test_status_of_other_settings_is_refused(sweep, capsys):
    for options in (("--set", "epochs=3"), ("--dry-run",)):
        assert call("sweep", "status", *options) == 2
        assert "omit --set and --dry-run" in capsys.readouterr().err


def test_options_that_do_not_fit_are_refused_before_anything_is_written(sweep, tmp_path, capsys):
    assert call("sweep", "sweep.yaml", "--runs", "new", "--slurm", "time=3") == 2
    assert "--slurm needs --executor slurm" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_collect_to_a_file_and_to_the_terminal(sweep, tmp_path, capsys):
    assert call("collect", "runs", "-o", "all.csv") == 0
    assert capsys.readouterr().out == "all.csv: 4 runs\n"
    assert call("collect") == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "all.csv").read_text()
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(text))}
    assert rows[sweep[0].name]["test_accuracy"] == "0.5"
    assert rows[sweep[2].name]["state"] == "stopped"


def test_collect_of_nothing(tmp_path, capsys):
    assert call("collect", tmp_path) == 2
    assert "contains no runs" in capsys.readouterr().err


def test_a_line_at_each_change_without_a_terminal(sweep, tmp_path, capsys):
    found = standings_of(tmp_path / "runs", read_sweep(tmp_path / "sweep.yaml"))
    with standings.watching(workers=1) as watch:
        watch(found)
        watch(found)
        watch(found[:3])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["4 runs", "3 runs"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table_on_a_terminal(sweep, tmp_path, monkeypatch):
    found = standings_of(tmp_path / "runs", read_sweep(tmp_path / "sweep.yaml"))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with standings.watching(workers=1) as watch:
        watch(found)
    assert sweep[1].name in terminal.getvalue()


def test_a_running_run_shows_its_minutes(sweep, tmp_path):
    folder = sweep[2]
    record = records.read_record(folder)
    began = dataclasses.replace(record, started="2020-01-01T00:00:00+00:00")
    records.write_record(folder, began)
    with records.locked(folder) as mine:
        assert mine
        found = standings_of(tmp_path / "runs", read_sweep(tmp_path / "sweep.yaml"))
        output = io.StringIO()
        Console(file=output, width=120).print(standings.table(found, workers=1))
    (line,) = (line for line in output.getvalue().splitlines() if folder.name in line)
    assert "running" in line
    assert float(line.split("│")[3]) > 60 * 24 * 365
