"""The command `classify`, in this process."""

from __future__ import annotations

import importlib
import json
import re

import pytest

from anl_seg.classification import read_log, read_run
from anl_seg.cli import main

NOISE = ("--noise", "symmetric", "--eta", "0.6")
QUICK = ("--set", "epochs=1", "--set", "batch_size=256", "--device", "cpu")


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Drawing takes longer than training here; tests/classification looks at the pictures."""
    run = importlib.import_module("anl_seg.classification.run")
    for name in ("draw_accuracies", "draw_marginals"):
        monkeypatch.setattr(run, name, lambda *arguments: None)


def classify(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["classify", *map(str, arguments)])
    return end.value.code


def test_one_run_prints_every_epoch(tmp_path, capsys):
    code = classify(
        *("--dataset", "digits", *NOISE, "--loss", "anl-ce", "--seed", 1, "-o", tmp_path / "RUN"),
        *("--set", "epochs=2", "--set", "batch_size=256"),
    )
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    log = read_log(tmp_path / "RUN")
    for line, epoch in zip(lines, log, strict=False):
        assert line.startswith(f"epoch   {epoch.epoch}")
        assert f"test {100 * epoch.test_accuracy:5.2f} %" in line
    assert re.search(r"RUN: anl-ce, seed 1: last [\d.]+ %, best [\d.]+ %", lines[2])


def test_without_a_folder_the_run_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert classify(*NOISE, "--loss", "ce", *QUICK) == 0
    assert read_run(tmp_path / "runs" / "digits-symmetric-0.6-ce-seed1")["result"]


def test_several_runs_and_their_means(tmp_path, capsys):
    losses = ("--loss", "ce", "--loss", "anl-ce")
    seeds = ("--seed", 1, "--seed", 2)
    assert classify(*NOISE, *losses, *seeds, *QUICK, "-o", tmp_path) == 0
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert len(folders) == 4
    last = {name: 100 * read_run(tmp_path / name)["result"]["last"] for name in folders}
    one, two = (last[f"digits-symmetric-0.6-ce-seed{seed}"] for seed in (1, 2))
    mean, deviation = (one + two) / 2, abs(one - two) / 2**0.5
    *_, of_ce, of_anl = capsys.readouterr().out.splitlines()
    assert of_ce == f"ce      {mean:.2f}±{deviation:.2f} %  (2 seeds)"
    assert of_anl.startswith("anl-ce  ")


@pytest.mark.slow
def test_runs_in_processes_give_the_numbers_of_runs_alone(tmp_path):
    for parallel in (1, 2):
        folder = tmp_path / str(parallel)
        arguments = (*NOISE, "--loss", "ce", "--seed", 1, "--seed", 2, *QUICK)
        assert classify(*arguments, "-o", folder, "-np", parallel) == 0
    for name in ("digits-symmetric-0.6-ce-seed1", "digits-symmetric-0.6-ce-seed2"):
        one, two = (read_log(tmp_path / str(number) / name)[0] for number in (1, 2))
        assert one.test_accuracy == pytest.approx(two.test_accuracy, abs=0.02)


def test_labels_of_label_noise(tmp_path):
    file = tmp_path / "noisy.npz"
    with pytest.raises(SystemExit) as end:
        main(["label-noise", "--dataset", "digits", *NOISE, "--seed", "7", "-o", str(file)])
    assert end.value.code == 0
    assert classify("--labels", file, "--loss", "ce", *QUICK, "-o", tmp_path / "RUN") == 0
    assert read_run(tmp_path / "RUN")["labels"]["seed"] == 7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dataset", "cifar11"), "cifar100"),
        (("--noise", "symmetric"), "eta"),
        (("--loss", "anl"), "anl-ce"),
        (("--loss", "ce", "--loss", "ce"), "twice"),
        (("--set", "alpha"), "NAME=VALUE"),
        (("--set", "seed=7"), "--set cannot set seed; use --seed"),
        (("--set", "protocol=cifar10"), "--set cannot set protocol; use --dataset"),
        (("--set", "alpha=much"), "alpha must be a number, got 'much'"),
        (("--dataset", "cifar10"), "cifar"),
        (("--human", "no.pt", "--noise", "human"), "human"),
    ],
)
def test_bad_input_is_exit_code_2(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert classify(*arguments) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_json_lines_hold_the_keys_of_the_log_in_order(tmp_path):
    assert classify(*NOISE, *QUICK, "-o", tmp_path) == 0
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert list(json.loads(line)) == [
        *("epoch", "test_accuracy", "clean_accuracy", "mislabelled_accuracy", "loss", "lr")
    ]
