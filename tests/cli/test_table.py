"""`anl-seg table`: output, files and runs."""

from __future__ import annotations

import pytest

from anl_seg.cli import execution, main
from anl_seg.errors import CommandFailedError
from anl_seg.experiments.runs.records import DONE, RunRecord, write_record

SMALL = ("--dataset", "digits", "--row", "ANL_CE", "--column", "sym-0.4")


def table(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["table", *map(str, arguments)])
    return end.value.code or 0


@pytest.fixture
def asked(monkeypatch):
    """Record the requested runs instead of doing them, with a result of 90 % each."""
    calls = []

    def do_runs(root, runs, *options):
        calls.append((root, runs, options))
        for run in runs:
            record = RunRecord(run.id, run.kind, dict(run.settings), DONE)
            write_record(root / run.id, _with(record, test_accuracy=0.9))

    monkeypatch.setattr(execution, "do_runs", do_runs)
    return calls


def _with(record, **metrics):
    record.metrics.update(metrics)
    return record


def test_missing_runs_are_shown_with_the_command(tmp_path, capsys):
    root = tmp_path / "my runs"
    assert (
        table(2, *SMALL, "--seed", 1, "--set", "epochs=2", "--runs", root, "--format", "text") == 0
    )
    out = capsys.readouterr().out
    assert "87.28±0.02" in out
    assert "Not the paper's experiment: protocol digits, epochs 2; seeds 1" in out
    command = (
        f"anl-seg table 2 --runs '{root}' --row ANL_CE --column sym-0.4 --seed 1 --dataset digits "
        "--set epochs=2 --run"
    )
    assert f"runs not done: 1 of 1 (1 waiting): {command}" in out
    assert not root.exists()


def test_run_does_them_first(asked, tmp_path, capsys):
    assert table(2, *SMALL, "--runs", tmp_path, "--run", "-np", 2, "--retries", 0) == 0
    ((root, runs, options),) = asked
    assert root == tmp_path
    assert [run.settings["seed"] for run in runs] == [1, 2, 3]
    assert options == (execution.Execution("local", 2, None, (), 0),)
    out = capsys.readouterr().out
    assert "90.00±0.00" in out
    assert "not done" not in out


def test_a_failed_run_leaves_a_table_and_code_1(monkeypatch, tmp_path, capsys):
    failed = CommandFailedError("the end of log.txt")
    monkeypatch.setattr(execution, "do_runs", lambda *_: failed)
    assert table(2, *SMALL, "--runs", tmp_path, "--run") == 1
    shown = capsys.readouterr()
    assert "87.28±0.02" in shown.out
    assert "the end of log.txt" in shown.err


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("markdown", "| ANL-CE | ours |"),
        ("latex", r"\begin{tabular}"),
        ("html", "<table>"),
        ("csv", "table,loss,printed,column"),
        ("text", "ANL-CE"),
    ],
)
def test_files(form, part, tmp_path, capsys):
    file = tmp_path / "out" / "table"
    assert table(2, *SMALL, "--runs", tmp_path, "--format", form, "--output", file) == 0
    assert part in file.read_text(encoding="utf-8")
    assert str(file) in capsys.readouterr().out


def test_the_format_may_be_printed(tmp_path, capsys):
    assert table(6, "--format", "csv", "--runs", tmp_path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 42


def test_table_8(capsys):
    assert table(8, "--column", "webvision") == 0
    assert "(20, 1, 6e-6)" in capsys.readouterr().out


def test_data_and_human_reach_their_runs(asked, tmp_path):
    cifar = ("--data", "cifar", "--human", "cifar-n", "--runs", tmp_path, "--run")
    assert table(2, "--row", "ce", "--column", "real", "--column", "clean", *cifar) == 0
    ((_, runs, _),) = asked
    assert {run.settings["data"] for run in runs} == {"cifar"}
    assert {run.settings["noise"]: run.settings["human"] for run in runs} == {
        "human": "cifar-n",
        "clean": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((8, "--run"), "table 8 lists hyper-parameters and has no runs"),
        ((8, "--seed", 4, "--scale", "small", "-np", 2), "omit --seed, --scale, -np"),
        ((2, "--data", "y", "--set", "data=x"), "--set data and --data set the same"),
        ((2, "--dataset", "digits", "--data", "y"), "digits needs no files"),
        ((6, "--dataset", "digits"), "--dataset is for tables of classifiers; table 6 takes"),
        ((2, "--row", "x"), "unknown row 'x'"),
        ((2, "--run", "--column", "real"), "with --human"),
        ((2, "--scale", "small"), "no scale 'small'"),
        ((2, "--set", "epochs"), "NAME=VALUE"),
        ((9,), "to 8"),
    ],
)
def test_bad_input(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert table(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
