"""Runs of any tree as rows of one table."""

from __future__ import annotations

import csv
import io
import json

import pytest

from anl_seg.errors import InputError
from anl_seg.experiments.runs import records
from anl_seg.experiments.runs.collect import collect, write_csv
from anl_seg.experiments.runs.records import RunRecord
from anl_seg.experiments.runs.run import make_run


def add(folder, kind, settings, **fields):
    folder.mkdir(parents=True)
    run = make_run(kind, settings)
    records.write_record(folder, RunRecord(run.id, kind, dict(run.settings), **fields))
    return run


@pytest.fixture
def tree(tmp_path):
    """A done run of each kind, one that waits, and a single one of `anl-seg classify`."""
    add(
        tmp_path / "table2" / "a",
        "classification",
        {"loss": "ce", "noise": "symmetric", "eta": 0.4, "epochs": 3},
        status="done",
        attempts=2,
        stops=1,
        seconds=12.5,
        git={"commit": "abc", "changed": True},
        versions={"torch": "2.9"},
        noise_sha256="77",
        metrics={"test_accuracy": 0.1 + 0.2},
    )
    add(tmp_path / "table2" / "b", "classification", {"seed": 7})
    add(
        tmp_path / "table6" / "c",
        "segmentation",
        {"loss": "gce"},
        status="failed",
        error="ValueError: a, b",
        job="12_3",
        metrics={"test_dice": 0.75},
    )
    (tmp_path / "single").mkdir()
    content = {
        "settings": {"loss": "ce", "seed": 5, "epochs": 2},
        "labels": {"sha256": "88"},
        "versions": {"torch": "2.8"},
        "result": {"last": 0.5, "best": 0.625, "further": {}},
    }
    (tmp_path / "single" / "run.json").write_text(json.dumps(content))
    return tmp_path


def test_rows_of_all_runs_are_complete(tree):
    single, a, b, c = collect(tree)
    assert [row["folder"] for row in (single, a, b, c)] == [
        "single", "table2/a", "table2/b", "table6/c"
    ]  # fmt: skip
    assert a["state"] == "done"
    assert (a["loss"], a["noise"], a["eta"], a["epochs"]) == ("ce", "symmetric", 0.4, 3)
    assert a["test_accuracy"] == 0.1 + 0.2
    assert (a["attempts"], a["stops"], a["seconds"], a["noise_sha256"]) == (2, 1, 12.5, "77")
    assert (a["commit"], a["commit_changed"], a["version_torch"]) == ("abc", True, "2.9")
    assert (b["state"], b["seed"]) == ("waiting", 7)
    assert (c["kind"], c["loss"], c["q"]) == ("segmentation", "gce", 0.7)
    assert (c["state"], c["error"], c["job"], c["test_dice"]) == (
        "failed", "ValueError: a, b", "12_3", 0.75
    )  # fmt: skip
    assert (single["state"], single["test_accuracy"], single["best_test_accuracy"]) == (
        "done", 0.5, 0.625
    )  # fmt: skip
    assert (single["epochs"], single["noise_sha256"], single["version_torch"]) == (2, "88", "2.8")


def test_the_csv_is_read_back(tree):
    rows = collect(tree)
    file = io.StringIO()
    write_csv(rows, file)
    back = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(back) == 4
    assert float(back[1]["test_accuracy"]) == 0.1 + 0.2  # to the last bit
    assert back[3]["error"] == "ValueError: a, b"
    for row, text in zip(rows, back, strict=True):
        expected = {key: "" if value is None else str(value) for key, value in row.items()}
        assert {key: text[key] for key in row} == expected
        assert all(value == "" for key, value in text.items() if key not in row)


def test_a_stopped_run_of_classify(tree):
    path = tree / "single" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"result": None}))
    row = collect(tree)[0]
    assert (row["state"], row["test_accuracy"]) == ("stopped", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "single/run.json is not a run of"), ("{}", "KeyError"), ("[]", "is not a run of")],
)
def test_a_broken_run_of_classify_is_named(tree, text, message):
    (tree / "single" / "run.json").write_text(text)
    with pytest.raises(InputError, match=message):
        collect(tree)


def test_nothing_to_collect(tmp_path):
    with pytest.raises(InputError, match="contains no runs"):
        collect(tmp_path)
    with pytest.raises(InputError, match=r"nowhere is not a folder; give the folder of the runs"):
        collect(tmp_path / "nowhere")
