"""Without the packages of the extras the main parts work, and commands say what to install."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires

import pytest

import anl_seg
from anl_seg.cli import main
from anl_seg.errors import InputError
from anl_seg.experiments.runs.executors import make_executor
from anl_seg.extras import EXTRAS, require

MAIN_PARTS = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))  # importing one of them is an error now

import numpy as np
import torch
from anl_seg import evaluation, losses, noise
from anl_seg.experiments.segmentation import demo
from anl_seg.trainers.settings import TrainerSettings
from anl_seg.trainers import nnUNetTrainerANL

loss = losses.create("anl-ce", alpha=1, beta=1)
assert loss(torch.randn(2, 2, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long)).isfinite()
assert TrainerSettings(loss="anl-ce").loss == "anl-ce"
assert demo.DemoSettings().epochs > 0
mask = np.zeros((32, 32), dtype=bool)
mask[8:24, 8:24] = True
noisy, _ = noise.corrupt(mask, "dilation", 0.5, noise.generator(0, "case", "1"))
matrix = evaluation.confusion_matrix(mask.astype(int), noisy.astype(int))
print(round(evaluation.dice(evaluation.count(matrix, 1)), 3))
"""


def test_losses_trainers_noise_and_evaluation_need_no_extra(tmp_path):
    code = MAIN_PARTS.format(blocked=list(EXTRAS))
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "0.8"  # 2 * 256 / (256 + 384)


def test_the_block_works(tmp_path):
    code = MAIN_PARTS.format(blocked=["torch"])
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "ModuleNotFoundError" in run.stderr


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("optuna", ["tune", "--dataset", "digits", "--noise", "symmetric", "--eta", "0.4"]),
        ("tensorboardX", ["classify", "--noise", "symmetric", "--eta", "0.4"]),
        ("tensorboardX", ["table", "2", "--dataset", "digits", "--run"]),
    ],
)
def test_a_command_says_what_to_install(missing, command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, missing, None)
    folder = ["--runs", "out"] if command[0] == "table" else ["-o", "out"]
    with pytest.raises(SystemExit) as exit_:
        main([*command, *folder])
    assert exit_.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"needs {missing}, which is not installed" in last
    assert last.endswith(f"run: pip install 'anl-seg[{EXTRAS[missing]}]'")


def test_slurm_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(InputError, match=r"--executor slurm needs submitit.*anl-seg\[sweeps\]"):
        make_executor("slurm", tmp_path)


@pytest.mark.parametrize("module", EXTRAS)
def test_the_metadata_has_the_extra(module):
    assert any(
        line.startswith(module) and f'extra == "{EXTRAS[module]}"' in line
        for line in requires("anl-seg") or []
    )
    require(module, "this test")


def test_dir_shows_the_rooms():
    assert {"losses", "noise", "evaluation", "suspects", "__version__"} < set(dir(anl_seg))
    for name in anl_seg.__all__:
        assert getattr(anl_seg, name).__name__ == f"anl_seg.{name}"
    with pytest.raises(AttributeError, match="no attribute 'masks'"):
        _ = anl_seg.masks
