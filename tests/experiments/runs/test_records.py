"""The record of a run, and the lock of its folder."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.records import RunRecord


@pytest.fixture
def record():
    return RunRecord("digits-ce-1234", "classification", {"loss": "ce"})


def test_a_record_is_read_as_written(tmp_path, record):
    record = dataclasses.replace(record, status="done", attempts=2, metrics={"test_accuracy": 0.9})
    records.write_record(tmp_path, record)
    assert records.read_record(tmp_path) == record
    assert json.loads((tmp_path / "record.json").read_text())["schema"] == records.SCHEMA


def test_no_record(tmp_path):
    assert records.read_record(tmp_path) is None
    assert records.look(tmp_path) is None


def test_folders_with_records_are_found_in_order(tmp_path, record):
    for name in ("b", "a/inner", "c"):
        (tmp_path / name).mkdir(parents=True)
        records.write_record(tmp_path / name, dataclasses.replace(record, id=name))
    found = records.find_folders(tmp_path)
    assert [folder.relative_to(tmp_path).as_posix() for folder in found] == ["a/inner", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "record.json is not JSON .*; delete it to start again"),
        ("[]", "has schema None, but this version of anl-seg reads 1"),
        ('{"schema": 2}', "has schema 2, but this version of anl-seg reads 1; use another folder"),
        ('{"schema": 1, "id": "a"}', "is not a record of a run: .*kind"),
    ],
)
def test_a_record_that_cannot_be_read(tmp_path, text, message):
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(InputError, match=message):
        records.read_record(tmp_path)


@pytest.mark.parametrize("status", ["waiting", "stopped", "done", "failed"])
def test_the_state_is_the_recorded_one(tmp_path, record, status):
    record = dataclasses.replace(record, status=status)
    records.write_record(tmp_path, record)
    assert records.look(tmp_path) == (record, status)


def test_a_run_that_ends_between_two_looks_at_its_record_has_its_metrics(
    tmp_path, record, monkeypatch
):
    records.write_record(tmp_path, dataclasses.replace(record, status="running"))
    done = dataclasses.replace(record, status="done", metrics={"test_accuracy": 0.9})

    @contextmanager
    def ending(folder, wait):
        records.write_record(folder, done)
        yield True

    monkeypatch.setattr(records, "locked", ending)
    assert records.look(tmp_path) == (done, "done")


HOLDER = """
import sys, time
from pathlib import Path
from anl_seg.experiments.runs import records

with records.locked(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    time.sleep(300)
"""


def test_the_lock_ends_with_the_process_that_holds_it(tmp_path, record):
    records.write_record(tmp_path, dataclasses.replace(record, status="running"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "True\n"
        assert records.look(tmp_path)[1] == "running"
        with records.locked(tmp_path, wait=0) as mine:
            assert not mine
        holder.kill()
        holder.wait()
        assert records.look(tmp_path)[1] == "stopped"
        with records.locked(tmp_path, wait=0) as mine:
            assert mine


def test_the_end_of_a_log(tmp_path):
    assert records.log_tail(tmp_path) == "(no log)"
    (tmp_path / "log.txt").write_text("\n".join(map(str, range(20))))
    assert records.log_tail(tmp_path, lines=3) == "17\n18\n19"
