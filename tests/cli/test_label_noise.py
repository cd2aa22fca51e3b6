"""`anl-seg label-noise` from the outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from anl_seg.cli import main
from anl_seg.datasets.classification import load
from anl_seg.noise import labels as label_noise

HUMAN = Path(__file__).parents[3] / "shared/data/cifar-n"


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["label-noise", *map(str, arguments)])
    return stop.value.code


def test_writes_labels_and_prints_confusion_rate_and_hash(tmp_path, capsys):
    path = tmp_path / "noisy.npz"
    code = run("--dataset", "digits", "--noise", "symmetric", "--eta", 0.6, "--seed", 1, "-o", path)
    assert code == 0
    noisy = label_noise.load(path, load("digits").y_train)
    printed = capsys.readouterr().out
    assert f"865 of 1442 labels are wrong: rate {noisy.rate:.4f}, requested 0.6" in printed
    assert noisy.sha256 in printed
    assert printed.splitlines()[1].split() == ["0", *map(str, noisy.confusion[0]), "0.601"]


def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path, capsys):
    path = tmp_path / "noisy.npz"
    ask = ("--dataset", "digits", "--noise", "symmetric", "--eta", 0.6, "-o", path)
    assert run(*ask, "--seed", 1) == 0
    before = path.read_bytes()
    assert run(*ask, "--seed", 2) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert run(*ask, "--seed", 2, "--overwrite") == 0
    assert path.read_bytes() != before


@pytest.mark.parametrize("noise", ["clean", "asymmetric", "instance"])
def test_other_kinds(noise, tmp_path):
    rate = () if noise == "clean" else ("--eta", 0.4, "--draw", "bernoulli")
    path = tmp_path / "noisy.npz"
    assert run("--dataset", "digits", "--noise", noise, *rate, "-o", path) == 0
    assert label_noise.load(path, load("digits").y_train).kind == noise


def test_cifar100_has_one_line_per_class(tmp_path, capsys):
    labels = np.repeat(np.arange(100), 10)
    pixels = np.zeros((1000, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "c.npz", x_train=pixels, y_train=labels, x_test=pixels[:1], y_test=[0])
    arguments = ("--dataset", "cifar100", "--data", tmp_path / "c.npz", "--eta", 0.4)
    assert run(*arguments, "--noise", "asymmetric", "-o", tmp_path / "n.npz") == 0
    assert "30 dolphin: 0.400 wrong: otter 4\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--noise", "pairflip"), "(--noise) must be one of"),
        (("--noise", "symmetric"), "needs a rate"),
        (("--noise", "symmetric", "--eta", 2), "(--eta) must be in"),
        (("--noise", "human"), "give the file of CIFAR-N"),
        (("--noise", "human", "--human", "nowhere"), "no human labels for 'digits'"),
        (("--noise", "asymmetric-published", "--eta", 0.2), "for cifar100 only"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(arguments, message, tmp_path, capsys):
    assert run("--dataset", "digits", *arguments, "-o", tmp_path / "noisy.npz") == 2
    error = capsys.readouterr().err
    assert error.startswith("anl-seg: error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []


def test_unknown_data_set(tmp_path, capsys):
    assert run("--dataset", "svhn", "--noise", "clean", "-o", tmp_path / "n.npz") == 2
    assert "unknown data set 'svhn'" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.skipif(not HUMAN.is_dir(), reason=f"no human labels in {HUMAN}")
def test_human_labels_of_cifar10(tmp_path, capsys):
    """Real labels; the images, which human noise does not look at, are black."""
    labels = torch.load(HUMAN / "CIFAR-10_human.pt", weights_only=False)["clean_label"]
    pixels = np.zeros((50_000, 32, 32, 3), np.uint8)
    data = tmp_path / "c.npz"
    np.savez_compressed(data, x_train=pixels, y_train=labels, x_test=pixels[:1], y_test=[0])
    arguments = ("--dataset", "cifar10", "--data", data, "-o", tmp_path / "n.npz")
    assert run(*arguments, "--noise", "human", "--human", HUMAN) == 0
    assert "20104 of 50000 labels are wrong: rate 0.4021\n" in capsys.readouterr().out
