"""Two processes of torchrun do together what one does alone."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
import torch

from anl_seg.classification import read_log, read_run
from anl_seg.classification.distributed import ranks
from anl_seg.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]

#: A thread of gloo that is left aborts the process if it frees a tensor while Python shuts down.
THREADS = """
from pathlib import Path

def threads_of_gloo():
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text() for task in tasks.iterdir()] if tasks.is_dir() else []
    return [name for name in names if "gloo" in name]
"""

COMMAND = """
from anl_seg.cli import main

try:
    main()
finally:
    assert not threads_of_gloo()
"""

#: Trains without batch normalisation, whose statistics each process has to itself.
SCRIPT = """
import sys
import numpy as np
import torch
from anl_seg.classification import PROTOCOLS, training
from anl_seg.classification.distributed import ranks, sum_over_ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.datasets.classification import load
from anl_seg.losses import Preset
from anl_seg.noise import labels as label_noise

def train(this):
    data = load("digits")
    noisy = label_noise.draw(data.y_train, kind="symmetric", n_classes=10, eta=0.4, seed=1)
    cpu = torch.device("cpu")
    protocol = PROTOCOLS["digits"]
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    preset = Preset({"alpha": 5.0, "beta": 5.0, "lambda_": 2.0}, delta=1e-3, l2=1e-3)
    learner = training.make_learner(model, "anl-ce*", preset, protocol, device=cpu, ranks=this)
    batches = make_batches(data, noisy, protocol, seed=1, device=cpu, ranks=this)
    scores = training.train_epoch(learner, batches, 1, 0)
    accuracy = training.accuracy(learner, batches.plain("test"))
    marginals = training.mean_probabilities(learner, batches.plain("train"))

    head = torch.nn.Linear(64, 10)
    normalized = torch.nn.Sequential(torch.nn.BatchNorm2d(1), torch.nn.Flatten(), head)
    learner = training.make_learner(normalized, "ce", Preset(), protocol, device=cpu, ranks=this)
    training.train_epoch(learner, batches, 1, 0)
    mean = normalized[0].running_mean.clone()
    assert sum_over_ranks(mean) == this.world * normalized[0].running_mean
    if this.is_first:
        gradients = vars(scores).pop("gradients")
        learnt = [this.world, model.state_dict(), vars(scores), accuracy, marginals, gradients]
        torch.save(learnt, sys.argv[1])

with ranks("cpu") as this:
    train(this)
assert not threads_of_gloo()
"""


def torchrun(*arguments, processes=2):
    run = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_gradients_are_those_of_the_whole_batch(tmp_path, monkeypatch):
    script = tmp_path / "script.py"
    script.write_text(THREADS + SCRIPT)
    torchrun(str(script), str(tmp_path / "two.pt"))
    monkeypatch.setattr(sys, "argv", ["script.py", str(tmp_path / "one.pt")])
    runpy.run_path(str(script))
    two, one = (torch.load(tmp_path / f"{name}.pt") for name in ("two", "one"))
    assert (one[0], two[0]) == (1, 2)
    for name, weight in one[1].items():
        torch.testing.assert_close(two[1][name], weight, rtol=1e-4, atol=1e-6)
    assert two[2] == pytest.approx(one[2], rel=1e-4)
    assert two[3] == pytest.approx(one[3])
    torch.testing.assert_close(two[4], one[4], rtol=1e-4, atol=1e-6)
    for name, box in one[5].items():
        assert two[5][name] == pytest.approx(box, rel=1e-2)


def test_the_command_under_torchrun_writes_one_run(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(THREADS + COMMAND)
    output = torchrun(
        *(str(script), "classify", "--noise", "symmetric", "--eta", "0.4", "--device", "cpu"),
        *("--loss", "anl-ce*", "--set", "epochs=2", "-o", str(tmp_path / "run")),
    )
    assert output.count("epoch   2") == 1
    assert len(read_log(tmp_path / "run")) == 2
    assert read_run(tmp_path / "run")["result"]["last"] > 0.3


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with (
        pytest.raises(InputError, match=r"than its GPUs \(2\); use --nproc-per-node 2"),
        ranks(),
    ):
        pass


def test_processes_on_a_cpu_need_no_gpu_each(monkeypatch):
    settings = {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    started = []
    for name in ("get_rank", "get_world_size", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda: 1)
    monkeypatch.setattr(torch.distributed, "init_process_group", started.append)
    with ranks("cpu"):
        assert started == ["gloo"]


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # as SLURM's scripts may set it
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with ranks() as this:
        assert this.world == 1
