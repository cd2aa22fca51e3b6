"""Runs of the CIFAR-10 protocol on a handful of images: every kind of noise gets to the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from anl_seg.classification import ClassificationSettings, read_log, read_run, run

CIFAR_N = Path(__file__).parents[2] / ".." / "shared" / "data" / "cifar-n"


def write_npz(path, labels):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    test = slice(0, 20)
    np.savez(path, x_train=x, y_train=labels, x_test=x[test], y_test=labels[test])
    return path


def settings(data, noise, eta=None, **more):
    return ClassificationSettings(
        "cifar10", "anl-ce*", noise, eta, data=data, epochs=1, batch_size=25, device="cpu", **more
    )


@pytest.mark.parametrize(
    ("noise", "eta", "rate"),
    [("symmetric", 0.4, 0.4), ("asymmetric", 0.4, 0.2), ("instance", 0.4, 0.4), ("clean", None, 0)],
)
def test_drawn_noise(tmp_path, noise, eta, rate):
    data = write_npz(tmp_path / "cifar.npz", np.arange(50) % 10)
    run(settings(data, noise, eta), tmp_path / "run")
    told = read_run(tmp_path / "run")
    assert told["labels"]["rate"] == pytest.approx(rate, abs=0.12)
    assert told["protocol"]["model"] == "cnn8"
    assert told["loss"]["hyper_parameters"]["lambda_"] == 2
    (epoch,) = read_log(tmp_path / "run")
    assert (epoch.mislabelled_accuracy is None) == (noise == "clean")


@pytest.mark.data
def test_human_noise(tmp_path):
    if not CIFAR_N.is_dir():
        pytest.skip(f"{CIFAR_N} is not here")
    from torch import load

    clean = load(CIFAR_N / "CIFAR-10_human.pt", weights_only=False)["clean_label"][:100]
    data = write_npz(tmp_path / "cifar.npz", np.asarray(clean, dtype=np.int64))
    run(settings(data, "human", human=CIFAR_N), tmp_path / "run")
    assert read_run(tmp_path / "run")["labels"]["rate"] == pytest.approx(0.4, abs=0.12)
