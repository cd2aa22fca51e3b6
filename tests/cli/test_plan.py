"""`anl-seg plan` in process, on hand-written plans."""

from __future__ import annotations

import json

import pytest

from anl_seg.cli import main

PLANS = {
    "dataset_name": "Dataset777_Hand",
    "plans_name": "nnUNetPlans",
    "configurations": {"2d": {"batch_size": 12, "patch_size": [64, 64], "data_identifier": "x"}},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    folder = tmp_path / "Dataset777_Hand"
    folder.mkdir()
    (folder / "nnUNetPlans.json").write_text(json.dumps(PLANS))
    return folder


def run(*arguments):
    try:
        main(["plan", *arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_settings_are_written_and_the_rest_is_kept(folder, capsys):
    code = run("777", "--as", "anl_a2", "--alpha", "2", "--epochs", "3", "--seed", "5")
    assert code == 0
    plans = json.loads((folder / "anl_a2.json").read_text())
    settings = plans.pop("anl_seg")
    assert settings["loss"] == "anl-ce"
    assert settings["loss_parameters"]["alpha"] == 2
    assert (settings["epochs"], settings["seed"]) == (3, 5)
    assert plans == PLANS | {"plans_name": "anl_a2"}
    assert "-p anl_a2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["777", "--as", "x", "--loss", "dicee"], "unknown loss 'dicee'"),
        (["777", "--as", "x", "--alpha", "-1"], "alpha of anl-ce must be"),
        (["777", "--as", "x", "--loss", "ce", "--alpha", "1"], "no hyper-parameter 'alpha'"),
        (["777", "--as", "x", "--delta", "-1"], "delta must be"),
        (["777", "--as", "x", "--epochs", "0"], "epochs must be"),
        (["777", "--as", "x", "--seed", "-3"], "seed must be"),
        (["777", "--as", "x", "--batch-size", "0"], "the batch size must be"),
        (["777", "--as", "nnUNetPlans"], "name of their own"),
        (["777", "--as", "a/b"], "letters, digits"),
        (["777", "--as", "x", "-p", "nothing"], "plans there: nnUNetPlans"),
        (["778", "--as", "x"], "no data set 778"),
        (["/tmp/Dataset777_Hand", "--as", "x"], "by its id or name"),
        (["", "--as", "x"], "by its id or name"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys, arguments, message):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["nnUNetPlans.json"]


def test_source_with_an_unknown_loss_is_refused(folder, capsys):
    broken = PLANS | {"plans_name": "broken", "anl_seg": {"loss": "no-such-loss"}}
    (folder / "broken.json").write_text(json.dumps(broken))
    assert run("777", "-p", "broken", "--as", "x") == 2
    assert "unknown loss 'no-such-loss'" in capsys.readouterr().err


def test_variable_not_set(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    assert run("777", "--as", "x") == 2
    assert "export nnUNet_preprocessed" in capsys.readouterr().err


def test_other_plans_of_the_same_name_are_kept(folder, capsys):
    assert run("777", "--as", "x", "--seed", "1") == 0
    assert run("777", "--as", "x", "--seed", "1") == 0  # the same again is no conflict
    assert run("777", "--as", "x", "--seed", "2") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("777", "--as", "x", "--seed", "2", "--overwrite") == 0
    assert json.loads((folder / "x.json").read_text())["anl_seg"]["seed"] == 2
