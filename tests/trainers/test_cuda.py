"""Trainings on a GPU: half precision, torch.compile, NCCL, and nnU-Net's own commands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from trainers.conftest import CASES, DATASET, TEST_CASES, dataset_json
from trainers.test_training import continued, end_and_die, log, prepared, trained

from anl_seg.trainers.out_of_fold import HeldOut, predict
from anl_seg.trainers.segmentation_loss import WarmUp
from anl_seg.trainers.settings import PLANS_KEY
from anl_seg.trainers.validation_peak import ValidationPeak

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("default"),  # compilers and CUDA warn about what is not ours
]


@pytest.fixture(autouse=True)
def _variables(monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.setenv("nnUNet_def_n_proc", "2")
    monkeypatch.setenv("nnUNet_compile", "F")


@pytest.fixture
def on_gpu(make_trainer, preprocessed):
    return partial(make_trainer, device="cuda")


@pytest.fixture
def nccl(tmp_path):
    """A process group of this process alone, in which nnU-Net trains with DDP."""
    torch.cuda.set_device(0)
    store = f"file://{tmp_path}/store"
    torch.distributed.init_process_group("nccl", store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


PLAIN = {"background": 0, "lesion": 1}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
BOTH = {"dice_weight": 1.0, "ce_weight": 1.0}
STEPS = {
    "anl-ce": ({"loss": "anl-ce", "delta": 1e-4}, PLAIN),
    "anl-ce-bf16": ({"loss": "anl-ce", "precision": "bf16"}, PLAIN),
    "entropy": ({"loss": "anl-ce*", "loss_parameters": {"lambda_": 2.0}}, PLAIN),
    "t-loss": ({"loss": "t-loss", "optimizer": "adam"}, PLAIN),
    "nnunet": ({"loss": "dice+ce", "dice_weight": None, "ce_weight": None}, PLAIN),
    "bootstrap": ({**BOTH, "warmup": 0.5, "bootstrap": 0.3}, PLAIN),
    "regions": ({**BOTH, "loss": "anl-ce"}, REGIONS),
}


def first_step(make_trainer, make_batch, settings, labels, device):
    """Loss and gradient of a first step in nnU-Net's precision of the device."""
    trainer = make_trainer({"seed": 1, **settings}, labels=labels, device=device)
    trainer.initialize()
    for warm_up in trainer._parts_of_loss(WarmUp):
        warm_up.active = False
    if device == "cuda":  # nnU-Net's own scale may overflow in the first step, and leave it out
        trainer.grad_scaler = torch.amp.GradScaler(device, init_scale=1024.0)
    parameters = [*trainer.network.parameters(), *trainer._loss_parameters]
    found = []

    def keep(*_):  # SGD on a GPU adds the momentum in place
        gradients = [each.grad.flatten() for each in parameters if each.grad is not None]
        found.append(torch.cat(gradients).cpu())

    trainer.optimizer.register_step_pre_hook(keep)
    batch = make_batch(trainer, channels=1 if labels is PLAIN else 3)
    loss = float(trainer.train_step(batch)["loss"])
    (gradient,) = found  # the step was done
    return loss, gradient


@pytest.mark.parametrize("case", STEPS)
def test_a_step_is_that_of_the_cpu(make_trainer, make_batch, case):
    settings, labels = STEPS[case]
    step = partial(first_step, make_trainer, make_batch)
    loss, gradient = step(settings, labels, "cuda")
    expected, direction = step({**settings, "precision": "float32"}, labels, "cpu")
    assert loss == pytest.approx(expected, rel=0.02)
    assert (gradient - direction).norm() < 0.1 * direction.norm()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "compiled", "precision"),
    [
        ("one", "F", "float32"),  # that is float16 on a GPU, as in nnU-Net
        ("one", "T", "float32"),
        ("one", "T", "bf16"),
        ("nccl", "F", "bf16"),
        ("nccl", "T", "float32"),
    ],
)
def test_labels_are_corrected_and_a_killed_training_continues(
    on_gpu, preprocessed, monkeypatch, request, processes, compiled, precision
):
    if processes == "nccl":
        request.getfixturevalue("nccl")
    monkeypatch.setenv("nnUNet_compile", compiled)
    monkeypatch.setattr(ValidationPeak, "has_passed", property(lambda peak: len(peak.dice) > 1))
    settings = {"epochs": 4, "iterations": 25, "correct_labels": True, "warmup": 1.0}
    settings |= {"ema": 0.9, "precision": precision, **BOTH}
    stopped = prepared(on_gpu, **settings)
    stopped.save_every = 1
    checkpoint = Path(stopped.output_folder) / "checkpoint_latest.pth"
    again = continued(on_gpu, stopped, end_and_die(stopped, 3), checkpoint, **settings)
    assert stopped.correction.done_in == again.correction.done_in == 1
    assert "of the pixels have changed" in log(stopped)
    assert again.is_ddp == (processes == "nccl")
    assert next(again.network.parameters()).is_cuda
    corrected = Path(again.output_folder) / "corrected_labels"
    assert sorted(path.stem for path in corrected.glob("*.npy")) == CASES[:4]
    assert np.mean(again.correction.peak.dice) > 0.5
    losses = again.logger.get_value("train_losses", step=None)
    assert len(losses) == 4
    assert np.isfinite(losses).all()
    assert losses[1] < losses[0]
    assert losses[3] < losses[2]  # with the corrected labels, the loss is another one


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["t-loss", "anl-ce"])
def test_the_papers_protocol_with_compiled_network(on_gpu, monkeypatch, loss):
    monkeypatch.setenv("nnUNet_compile", "T")
    settings = {"protocol": "isic2017", "epochs": 3, "iterations": None, "loss": loss}
    trainer = trained(on_gpu, **settings)
    dice = json.loads((Path(trainer.output_folder) / "test_dice.json").read_text())
    assert list(dice) == ["0", "1", "2"]
    curve = (Path(trainer.output_folder) / "memorisation.jsonl").read_text().splitlines()
    assert len(curve) == 3


def environment(**variables):
    return os.environ | {"nnUNet_n_proc_DA": "2", "PYTHONUNBUFFERED": "1", **variables}


def command(line, **variables):
    """Run a command of the environment of this Python, and return what it printed."""
    script, *arguments = shlex.split(line)
    program = Path(sysconfig.get_path("scripts"), script)
    done = subprocess.run(
        [program, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def planned(preprocessed, nnunet_folders):
    """Plans of a short training, and the description that nnU-Net's commands read."""
    base = nnunet_folders / "nnUNet_preprocessed" / DATASET
    for folder in (base, preprocessed):
        (folder / "dataset.json").write_text(json.dumps(dataset_json()))
    plans = json.loads((base / "nnUNetPlans.json").read_text())
    plans[PLANS_KEY] = {"epochs": 8, "iterations": 30, "seed": 1}
    (base / "nnUNetPlans.json").write_text(json.dumps(plans))
    return nnunet_folders / "nnUNet_results" / DATASET / "nnUNetTrainerANL__nnUNetPlans__hand"


def pixels(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) > 0


def mean_dice(predictions, masks, cases):
    found = []
    for case in cases:
        predicted, true = (pixels(folder / f"{case}.nii.gz") for folder in (predictions, masks))
        found.append(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
    return np.mean(found)


TRAIN = "nnUNetv2_train 777 hand 0 -tr nnUNetTrainerANL -device cuda"
TRAINED = "-d 777 -tr nnUNetTrainerANL -p nnUNetPlans -c hand -f 0"


@pytest.mark.slow
def test_nnunets_commands(planned, preprocessed, tmp_path):
    fold = planned / "fold_0"
    program, *arguments = shlex.split(TRAIN)
    killed = subprocess.Popen(
        [Path(sysconfig.get_path("scripts"), program), *arguments],
        env=environment(nnUNet_n_proc_DA="0", nnUNet_compile="F"),
        stdout=subprocess.DEVNULL,
    )
    while not (fold / "checkpoint_best.pth").exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.kill()
    killed.wait()
    assert not (fold / "checkpoint_final.pth").exists()
    assert "Using torch.compile" in command(f"{TRAIN} --c --npz", nnUNet_compile="T")
    assert mean_dice(fold / "validation", preprocessed / "labelsTr_clean", CASES[4:]) > 0.7
    output = tmp_path / "predicted"
    command(f"nnUNetv2_predict -i {preprocessed}/imagesTs -o {output} {TRAINED} -device cuda")
    assert mean_dice(output, preprocessed / "labelsTs", TEST_CASES) > 0.7

    cases = [HeldOut(case, "0", None) for case in CASES[4:]]
    images = {each.case: [preprocessed / f"imagesTr/{each.case}_0000.nii.gz"] for each in cases}
    files = [predict(planned, cases, images, tmp_path / kind, kind) for kind in ("cuda", "cpu")]
    for case in CASES[4:]:
        found, expected = (np.load(each[case])["probabilities"].astype(float) for each in files)
        assert np.abs(found - expected).mean() < 0.005
    printed = command(f"anl-seg suspects {TRAINED} -device cuda -o {tmp_path}/suspects")
    assert "The first 2 of 2 cases" in printed


NCCL = """
from nnunetv2.run.run_training import run_ddp
if __name__ == "__main__":
    options = [False, False, False, None, False, False, 1]
    run_ddp(0, "777", "hand", 0, "nnUNetTrainerANL", "nnUNetPlans", *options)
"""


@pytest.mark.slow
def test_nnunets_training_on_several_gpus(planned, preprocessed, tmp_path):
    if torch.cuda.device_count() > 1:
        command(f"{TRAIN} -num_gpus 2")
    else:  # one process, as nnU-Net starts it on each of several
        script = tmp_path / "one_gpu.py"
        script.write_text(NCCL)
        variables = environment(MASTER_ADDR="localhost", MASTER_PORT="29577")
        done = subprocess.run([sys.executable, script], env=variables, check=False, timeout=240)
        assert done.returncode == 0
    fold = planned / "fold_0"
    assert (fold / "checkpoint_final.pth").exists()
    assert mean_dice(fold / "validation", preprocessed / "labelsTr_clean", CASES[4:]) > 0.7


@pytest.mark.slow
def test_a_planned_training_is_timed(planned):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "anl_seg.trainers.timing",
            "777",
            "nnUNetPlans",
            "hand",
            "0",
            "cuda",
        ],
        env=environment(nnUNet_compile="F"),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert 0 < found["train_step"] < 1
