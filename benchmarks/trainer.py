"""Time and memory of a training step of our and nnU-Net's trainer, and the cost of finding ours.

    python benchmarks/trainer.py [--device cuda] [--repeats 9]   # writes benchmarks/trainer.md

A step is nnU-Net's `train_step` on a batch of noise: forward, loss at every scale, backward,
clipping, optimiser. The trainers alternate, in random order within each repetition. Each step is
divided by the baseline's of the same repetition, so that other work on the machine affects all of
them. On a CPU one thread computes, and its processor time counts, which other work disturbs least.
On CUDA, nnU-Net's mixed precision is on, as in its trainings, and the network is not compiled.

The correction of labels predicts each training case once. Its cost is given in training steps.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch.profiler import ProfilerActivity, profile

from anl_seg.formats.files import write_text
from anl_seg.trainers import nnUNetTrainerANL
from anl_seg.trainers.defaults import OPTIONS
from anl_seg.trainers.prediction import label_predictor, predicting
from anl_seg.trainers.segmentation_loss import WarmUp
from anl_seg.trainers.settings import PLANS_KEY
from common import conditions, take_turns, wrapped

BASELINE = "Dice + CE (nnUNetTrainer)"
#: Settings with all options off, so that each is measured alone.
PLAIN = {**dict.fromkeys(OPTIONS, 0), "correct_labels": False}
BEFORE = "our default, before the correction"
AFTER = "our default, after the correction"
#: Settings of our trainer for each row. Other rows with a warm-up are measured after it, because
#: the loss of the warm-up is nnU-Net's own.
ROWS: dict[str, dict[str, Any]] = {
    BEFORE: {},
    AFTER: {},
    **{name: {**PLAIN, "loss": name} for name in ("anl-ce", "gce", "anl-ce*", "t-loss")},
    "anl-ce, dice_weight 1": {**PLAIN, "dice_weight": 1},
    "anl-ce, ce_weight 1": {**PLAIN, "ce_weight": 1},
    "anl-ce, warmup 0.5": {**PLAIN, "warmup": 0.5},
    "anl-ce, ema 0.99": {**PLAIN, "ema": 0.99},
    "anl-ce, bootstrap 0.3": {**PLAIN, "warmup": 0.5, "bootstrap": 0.3},
    "Dice + CE, bootstrap 0.3": {**PLAIN, "loss": "dice+ce", "warmup": 0.5, "bootstrap": 0.3},
    "anl-ce, all of these": {
        **PLAIN,
        "dice_weight": 1,
        "ce_weight": 1,
        "warmup": 0.5,
        "ema": 0.99,
        "bootstrap": 0.3,
    },
}
#: The rows for volumes, whose steps take seconds.
ROWS_OF_VOLUMES = (BEFORE, AFTER, "anl-ce")
#: Name of the prediction of one case.
CORRECTION = "correction"
GOAL = 1.1
#: Batch size for each patch size, as from `anl-seg plan --small`.
PATCHES = {(128, 128): 8, (64, 64, 64): 2}
#: Number of classes of the labels, including background.
CLASSES = 3
DATASET = "Dataset001_Noise"
#: Script that measures the processor time to import our trainer after nnU-Net's command.
LOOKUP = """
import time
import nnunetv2.run.run_training
start = time.process_time()
from anl_seg.trainers import nnUNetTrainerANL
print(time.process_time() - start)
"""
LOOKUP_GOAL = 0.1
Batch = dict[str, Any]


def plans(patch: tuple[int, ...], batch_size: int) -> dict[str, Any]:
    """Create plans for a U-Net of five stages with 16 to 128 features."""
    dimensions = len(patch)
    network = {
        "n_stages": 5,
        "features_per_stage": [16, 32, 64, 128, 128],
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "kernel_sizes": [[3] * dimensions] * 5,
        "strides": [[1] * dimensions] + [[2] * dimensions] * 4,
        "n_conv_per_stage": [2] * 5,
        "n_conv_per_stage_decoder": [2] * 4,
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "data_identifier": "noise",
        "batch_size": batch_size,
        "patch_size": list(patch),
        "spacing": [1.0] * dimensions,
        "normalization_schemes": ["ZScoreNormalization"],
        "batch_dice": dimensions == 2,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": network,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "dataset_name": DATASET,
        "plans_name": "noise",
        "configurations": {"noise": configuration},
        "label_manager": "LabelManager",
        "continue_training": False,
    }


def make_trainers(patch: tuple[int, ...], device: torch.device) -> dict[str, nnUNetTrainer]:
    labels = {f"class {label}": label for label in range(1, CLASSES)}
    description = {
        "channel_names": {"0": "noise"},
        "labels": {"background": 0, **labels},
        "file_ending": ".nii.gz",
    }
    trainers = {}
    for name in (BASELINE, *(ROWS if len(patch) == 2 else ROWS_OF_VOLUMES)):
        content = plans(patch, PATCHES[patch])
        trainer_class = nnUNetTrainer
        if name != BASELINE:
            content[PLANS_KEY] = ROWS[name]
            trainer_class = nnUNetTrainerANL
        torch.manual_seed(0)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer = trainer_class(content, "noise", 0, description, device)
            trainer.initialize()
        trainer.network.train()
        for part in trainer.loss.modules():
            if isinstance(part, WarmUp):
                part.active = name == BEFORE
        trainers[name] = trainer
    return trainers


def make_batch(trainer: nnUNetTrainer, patch: tuple[int, ...]) -> Batch:
    images = PATCHES[patch]
    targets = [
        torch.randint(
            CLASSES,
            (images, 1, *(round(side * part) for side, part in zip(patch, scale, strict=True))),
            dtype=torch.int16,
        )
        for scale in trainer._get_deep_supervision_scales()
    ]
    return {"data": torch.randn(images, 1, *patch), "target": targets}


def seconds(trainer: nnUNetTrainer, batch: Batch) -> float:
    """Measure one step: processor time on a CPU, wall-clock time on CUDA."""
    if trainer.device.type != "cuda":
        start = time.process_time()
        trainer.train_step(batch)
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    trainer.train_step(batch)
    torch.cuda.synchronize()
    return time.perf_counter() - start


def prediction_seconds(trainer: nnUNetTrainer, patch: tuple[int, ...]) -> float:
    """Measure the correction of one case that is one patch in size, like `seconds`."""
    image = torch.randn(1, *[1] * (3 - len(patch)), *patch).numpy()
    with predicting(trainer), contextlib.redirect_stdout(io.StringIO()):
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()  # sets mirrored axes
        predict = label_predictor(trainer, trainer.autocast)
        clock = time.perf_counter if trainer.device.type == "cuda" else time.process_time
        start = clock()
        predict(image)  # its labels are on the CPU, so the device is done
        return clock() - start


def peak_bytes(trainer: nnUNetTrainer, batch: Batch) -> int:
    """Measure peak memory of torch within a step, beyond the memory before it."""
    trainer.optimizer.zero_grad(set_to_none=True)
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        trainer.train_step(batch)
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        trainer.train_step(batch)
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def average_bytes(trainer: nnUNetTrainer) -> int:
    """Return the memory of the averaged weights, which is kept between steps."""
    average = getattr(trainer, "average", None)
    return 0 if average is None else sum(value.nbytes for value in average.values)


def measure(patch: tuple[int, ...], device: torch.device, repeats: int) -> list[str]:
    """Build one table, and state whether the default meets the goal."""
    trainers = make_trainers(patch, device)
    batch = make_batch(trainers[BASELINE], patch)
    for trainer in trainers.values():  # the first step allocates the optimiser's state
        seconds(trainer, batch)
    sides = {name: partial(seconds, trainer, batch) for name, trainer in trainers.items()}
    sides[CORRECTION] = partial(prediction_seconds, trainers[BEFORE], patch)
    sides[CORRECTION]()
    times = take_turns(sides, repeats, shuffled=True)
    memory = {
        name: peak_bytes(trainer, batch) + average_bytes(trainer)
        for name, trainer in trainers.items()
    }
    lines = ["| training | time / nnU-Net's | quartiles | peak MiB | memory / nnU-Net's |"]
    lines.append("|---" * 5 + "|")
    met = True
    for name in trainers:
        ratios = [a / b for a, b in zip(times[name], times[BASELINE], strict=True)]
        low, slower, high = statistics.quantiles(ratios, n=4)
        larger = memory[name] / memory[BASELINE]
        if name in (BEFORE, AFTER):
            met = met and max(slower, larger) < GOAL + 0.005
        lines.append(
            f"| {name} | {slower:.2f} | {low:.2f} to {high:.2f} | {memory[name] / 2**20:.0f} | "
            f"{larger:.2f} |"
        )
    ratios = [a / b for a, b in zip(times[CORRECTION], times[BASELINE], strict=True)]
    cost = (
        f"The correction of labels takes {statistics.median(ratios):.2f} steps for each patch of a "
        "training case, with nnU-Net's mirroring."
    )
    return [*lines, "", "Goal met." if met else "Goal missed.", "", cost]


def lookup_seconds(repeats: int) -> float:
    """Measure what importing our trainer adds to nnU-Net's command, median over processes."""
    command = [sys.executable, "-W", "ignore", "-c", LOOKUP]
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    )


def prepare(folder: Path) -> None:
    """Point nnU-Net to folders with only the part of a data set that a trainer reads."""
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = str(folder / kind)
    images = folder / "preprocessed" / DATASET / "noise"
    images.mkdir(parents=True)
    (images / "case.b2nd").touch()
    os.environ["nnUNet_compile"] = "f"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    measured = conditions("nnunetv2", "torch", device=str(arguments.device), threads=1)
    lines = [
        "# Trainer: a training step beside nnU-Net's own",
        "",
        "Written by `python benchmarks/trainer.py`; do not edit.",
        "",
        f"{measured}; {arguments.repeats} interleaved steps.",
        "",
        "Time is the median, over the repetitions, of a step divided by nnU-Net's in the same one. "
        "Memory is what torch's allocator holds at most within a step beyond what it held before "
        "(network, optimiser's state, batch): activations, gradients, and what the loss needs; and "
        "the averaged weights, if there are any.",
        "",
        f"Goal: both rows of our default at most {GOAL:.2f} times nnU-Net's, in time and memory.",
    ]
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        for patch, images in PATCHES.items():
            title = f"{' x '.join(map(str, patch))}, batch {images}"
            table = measure(patch, arguments.device, arguments.repeats)
            lines += ["", f"## {title}", "", *table]
            print("\n".join(lines[-len(table) - 3 :]), flush=True)
    found = lookup_seconds(repeats=5)
    verdict = "met" if found <= LOOKUP_GOAL else "missed"
    lines += ["", "## Finding the trainer", ""]
    lines.append(
        f"Loading it adds {found * 1e3:.0f} ms of processor time to nnUNetv2_train's own imports "
        f"(median of 5 processes); goal of {LOOKUP_GOAL * 1e3:.0f} ms {verdict}."
    )
    print(lines[-1])
    write_text(arguments.output, wrapped("\n".join(lines) + "\n"))


if __name__ == "__main__":
    main()
