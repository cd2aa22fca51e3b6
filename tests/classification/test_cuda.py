"""Runs on a GPU, with and without torch.compile, and NCCL, against the same on the CPU."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from classification.test_distributed import COMMAND, THREADS, torchrun
from torch import nn

from anl_seg.classification import (
    PROTOCOLS,
    ClassificationSettings,
    read_log,
    read_run,
    run,
    training,
)
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.datasets.classification import load
from anl_seg.losses import Preset
from anl_seg.noise import labels as label_noise

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),  # compilers and CUDA warn about what is not ours
]

GPU = torch.device("cuda", 0)
SETTINGS = ClassificationSettings(
    noise="symmetric", eta=0.4, loss="anl-ce", seed=1, epochs=12, batch_size=128, device="cuda"
)


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory):
    """The result of the run on the CPU."""
    return run(dataclasses.replace(SETTINGS, device="cpu"), tmp_path_factory.mktemp("cpu"))


class Stop(Exception):
    pass


def stop(epoch):
    if epoch.epoch == 5:
        raise Stop


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_stopped_run_learns_as_on_the_cpu(on_cpu, tmp_path, precision, compiled):
    settings = dataclasses.replace(SETTINGS, precision=precision)
    with pytest.raises(Stop):
        run(settings, tmp_path, compiled=compiled, report=stop)
    result = run(settings, tmp_path, compiled=compiled)
    assert read_run(tmp_path)["device"] == "cuda:0"
    assert result.last == pytest.approx(on_cpu.last, abs=0.06)
    losses = [epoch.loss for epoch in read_log(tmp_path)]
    assert len(losses) == 12
    assert losses[-1] < losses[5] < losses[0]


def an_epoch(ranks):
    """Train a small network for an epoch; with two `ranks`, under DDP."""
    data = load("digits")
    noisy = label_noise.draw(data.y_train, kind="symmetric", n_classes=10, eta=0.4, seed=1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    preset = Preset({"alpha": 5.0, "beta": 5.0, "lambda_": 2.0}, delta=1e-3, l2=1e-3)
    protocol = PROTOCOLS["digits"]
    learner = training.make_learner(model, "anl-ce*", preset, protocol, device=GPU, ranks=ranks)
    batches = make_batches(data, noisy, protocol, seed=1, device=GPU, ranks=Ranks())
    scores = training.train_epoch(learner, batches, 1, 0)
    return model[1].weight.detach(), scores, training.accuracy(learner, batches.plain("test"))


def test_nccl(tmp_path):
    weight, scores, accuracy = an_epoch(Ranks())
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl", f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        same = an_epoch(Ranks(world=2))
    finally:
        torch.distributed.destroy_process_group()
    torch.testing.assert_close(same[0], weight, rtol=1e-3, atol=1e-5)
    assert same[1].loss == pytest.approx(scores.loss, rel=1e-3)
    assert same[2] == pytest.approx(accuracy, abs=0.01)


@pytest.mark.slow
def test_the_command_under_torchrun(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(THREADS + COMMAND)
    output = torchrun(
        *(str(script), "classify", "--noise", "symmetric", "--eta", "0.4", "--device", "cuda"),
        *("--precision", "bf16", "--loss", "anl-ce*", "--set", "epochs=2"),
        *("-o", str(tmp_path / "run")),
        processes=min(2, torch.cuda.device_count()),
    )
    assert output.count("epoch   2") == 1
    assert read_run(tmp_path / "run")["result"]["last"] > 0.3
