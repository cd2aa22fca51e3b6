"""Study of remedies that keep a small nnU-Net from memorising wrong masks, in one process.

    python benchmarks/remedies.py ISIC_FOLDER WORK_FOLDER [--row NAME ...] [--report]

ISIC_FOLDER has the challenge's layout (../shared/data/isic2017-256). Each row trains on 200
training pairs at 64 x 64 pixels, with masks corrupted by `anl-seg noise --method published`. Dice
is measured on 300 other *training* pairs with clean masks, which no table of results reports.
Finished rows in WORK_FOLDER are kept, so a stopped study resumes. Several processes may share
WORK_FOLDER. The table is written to benchmarks/remedies.md.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from anl_seg import losses
from anl_seg.formats.files import atomic_path, write_text

SIZE = 64
FEATURES = (16, 32, 64, 128, 128)
BATCH = 16
HELD_OUT = 300
#: Weights of deep supervision, as in nnU-Net: halved with each scale, 0 for the smallest.
SCALES = (4 / 7, 2 / 7, 1 / 7, 0.0)
#: Options of `anl-seg noise` for each noise. "clean" leaves the masks unchanged.
NOISE = {
    "0.7/0.7": ["--eta-alpha", "0.7", "--eta-beta", "0.7", "--method", "published"],
    "0.3/0.7": ["--eta-alpha", "0.3", "--eta-beta", "0.7", "--method", "published"],
    "half too large": ["--eta-alpha", "0.5", "--eta-beta", "0.7", "--kinds", "dilation"],
}


@dataclass(frozen=True)
class Row:
    """One training of the study.

    Attributes:
        noise: A key of `NOISE`, or "clean".
        dice: Weight of nnU-Net's soft Dice.
        ce: Weight of cross entropy.
        loss: Name of an additional loss in `anl_seg.losses`, or None.
        parameters: Hyper-parameters of this loss.
        ema: Decay of the averaged weights.
        correct_at: The step at which labels are corrected by the averaged network, or None.
        own_first: Whether nnU-Net's own loss trains until the correction.
        correction: "hard" for its masks, "soft" for its probabilities, "confident" for its masks at
            pixels of at least 0.8.
        bootstrap: Share of the network's own prediction in the target, from a fifth of the steps.
        mirror_only: Whether mirroring is all the augmentation.
        steps: Training steps.
        cases: Training pairs.
        seed: Seed of weights, order and augmentation.
    """

    noise: str = "0.7/0.7"
    dice: float = 1.0
    ce: float = 1.0
    loss: str | None = None
    parameters: tuple[tuple[str, float], ...] = ()
    ema: float = 0.99
    correct_at: int | None = None
    own_first: bool = False
    correction: str = "hard"
    bootstrap: float = 0.0
    mirror_only: bool = False
    steps: int = 4000
    cases: int = 200
    seed: int = 0


ANL_55 = {"loss": "anl-ce", "parameters": (("alpha", 5.0), ("beta", 5.0))}
ANL_11 = {"loss": "anl-ce", "parameters": (("alpha", 1.0), ("beta", 1.0))}
#: Trainings by name, most informative first.
ROWS: dict[str, Row] = {
    "nnU-Net": Row(),
    "nnU-Net, corrected": Row(correct_at=500),
    "nnU-Net, then Dice + ANL-CE (5, 5), corrected": Row(
        ce=0, correct_at=500, own_first=True, **ANL_55
    ),
    "nnU-Net, then Dice + ANL-CE (1, 1), corrected": Row(
        ce=0, correct_at=500, own_first=True, **ANL_11
    ),
    "Dice + ANL-CE (5, 5), corrected": Row(ce=0, correct_at=500, **ANL_55),
    "Dice + ANL-CE (5, 5)": Row(ce=0, **ANL_55),
    "nnU-Net, 0.3/0.7": Row("0.3/0.7"),
    "nnU-Net, 0.3/0.7, corrected": Row("0.3/0.7", correct_at=500),
    "nnU-Net, clean": Row("clean"),
    "nnU-Net, clean, corrected": Row("clean", correct_at=500),
    "nnU-Net, soft labels": Row(correct_at=500, correction="soft"),
    "nnU-Net, confident pixels": Row(correct_at=500, correction="confident"),
    "nnU-Net, corrected late": Row(correct_at=1500),
    "nnU-Net, bootstrap 0.5": Row(bootstrap=0.5),
    "nnU-Net, half too large": Row("half too large"),
    "nnU-Net, half too large, corrected": Row("half too large", correct_at=500),
    "ANL-CE (5, 5)": Row(dice=0, ce=0, **ANL_55),
    "GCE": Row(dice=0, ce=0, loss="gce"),
    "nnU-Net, seed 1": Row(seed=1),
    "nnU-Net, corrected, seed 1": Row(correct_at=500, seed=1),
    "nnU-Net, seed 2": Row(seed=2),
    "nnU-Net, corrected, seed 2": Row(correct_at=500, seed=2),
}


# Data


def prepare(source: Path, work: Path) -> dict[str, NDArray[np.uint8]]:
    """Load images, clean masks and noisy masks of all training pairs; create them once."""
    arrays = work / "arrays.npz"
    if not arrays.exists():
        raw = {**os.environ, "nnUNet_raw": str(work)}
        dataset = work / "Dataset501_ISIC2017"
        if not dataset.exists():
            subprocess.run(
                ["anl-seg", "isic", str(source), "-d", "501", "--size", str(SIZE)],
                check=True,
                env=raw,
            )
        masks = {"clean": dataset / "labelsTr"}
        for name, options in NOISE.items():
            masks[name] = work / name.replace("/", "_").replace(" ", "_")
            subprocess.run(
                [
                    "anl-seg",
                    "noise",
                    str(masks["clean"]),
                    str(masks[name]),
                    "--seed",
                    "1",
                    *options,
                ],
                check=True,
            )
        cases = sorted(path.stem for path in masks["clean"].glob("*.png"))
        content = {
            name: np.stack([_read(folder / f"{case}.png") for case in cases])
            for name, folder in masks.items()
        }
        images = [_read(dataset / "imagesTr" / f"{case}_0000.png") for case in cases]
        with atomic_path(arrays) as partial, partial.open("wb") as file:
            np.savez(file, images=np.stack(images), **content)
    return dict(np.load(arrays))


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def normalised(images: NDArray[np.uint8]) -> Tensor:
    """Compute z-scores of each image and channel, `(N, 3, H, W)`."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp_min(1e-3)


def augment(
    x: Tensor, y: Tensor, generator: torch.Generator, mirror_only: bool
) -> tuple[Tensor, Tensor]:
    """Augment as nnU-Net does in 2D, except for blur.

    Args:
        x: Images, `(B, 3, H, W)`.
        y: Targets from 0 to 1, `(B, 1, H, W)`.
        generator: Source of all random numbers, on the device of `x`.
        mirror_only: Whether to use mirroring only.
    """
    size = len(x)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    def sometimes(share: float, values: Tensor, otherwise: float) -> Tensor:
        return torch.where(uniform(*values.shape) < share, values, otherwise)

    angle, scale = x.new_zeros(size), x.new_ones(size)
    if not mirror_only:
        angle = sometimes(0.2, (uniform(size) * 2 - 1) * math.pi, 0.0)
        scale = sometimes(0.2, 0.7 + 0.7 * uniform(size), 1.0)
    flip_x, flip_y = ((uniform(size) < 0.5).float() * 2 - 1 for _ in range(2))
    cos, sin, zero = torch.cos(angle) * scale, torch.sin(angle) * scale, x.new_zeros(size)
    rows = ([cos * flip_x, -sin * flip_x, zero], [sin * flip_y, cos * flip_y, zero])
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)
    grid = F.affine_grid(theta, [size, 1, *x.shape[2:]], align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    binary = bool(((y == 0) | (y == 1)).all())
    y = F.grid_sample(y, grid, mode="nearest" if binary else "bilinear", align_corners=False)
    if mirror_only:
        return x, y
    one = (size, 1, 1, 1)
    spread = sometimes(0.1, uniform(*one) * 0.1, 0.0).sqrt()
    x = x + torch.randn(x.shape, generator=generator, device=generator.device) * spread
    x = x * sometimes(0.15, 0.75 + 0.5 * uniform(*one), 1.0)
    mean = x.mean((2, 3), keepdim=True)
    x = (x - mean) * sometimes(0.15, 0.75 + 0.5 * uniform(*one), 1.0) + mean
    for i in (uniform(size) < 0.25).nonzero()[:, 0].tolist():
        low = max(8, int(x.shape[2] * (0.5 + 0.5 * float(uniform(1)))))
        small = F.interpolate(x[i : i + 1], size=(low, low))
        x[i : i + 1] = F.interpolate(small, size=x.shape[2:], mode="bicubic", align_corners=False)
    least = x.amin((1, 2, 3), keepdim=True)
    extent = (x.amax((1, 2, 3), keepdim=True) - least).clamp_min(1e-3)
    gamma = sometimes(0.3, 0.7 + 0.8 * uniform(*one), 1.0)
    return ((x - least) / extent).clamp_min(1e-7) ** gamma * extent + least, y


# Network and loss


def build_network(features: Sequence[int] = FEATURES) -> nn.Module:
    """Build a plain nnU-Net with a stage for each of the numbers of features, deeply supervised."""
    stages = len(features)
    return PlainConvUNet(
        3,
        stages,
        features,
        nn.Conv2d,
        3,
        [1] + [2] * (stages - 1),
        2,
        2,
        2,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )


Loss = Callable[[Tensor, Tensor], Tensor]


def make_loss(row: Row) -> Loss:
    """Build the loss of logits `(B, 2, H, W)` and foreground probabilities `(B, 1, H, W)`."""
    pixelwise = (
        losses.create(row.loss, reduction="none", **dict(row.parameters)) if row.loss else None
    )

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        log_p = logits.log_softmax(1)
        p = log_p[:, 1:].exp()
        overlap = 2 * (p * target).sum() + 1e-5
        total = -row.dice * overlap / (p.sum() + target.sum() + 1e-5)
        total = total - row.ce * (log_p[:, 1:] * target + log_p[:, :1] * (1 - target)).mean()
        if pixelwise is not None:
            labels = torch.zeros(target.shape[0], *target.shape[2:], dtype=torch.long)
            share = target[:, 0]
            background, foreground = pixelwise(logits, labels), pixelwise(logits, labels + 1)
            total = total + (share * foreground + (1 - share) * background).mean()
        return total

    return loss


@torch.no_grad()
def predict(network: nn.Module, images: Tensor, *, mirror: bool) -> Tensor:
    """Predict foreground probabilities, `(N, H, W)`; `mirror` averages over mirrored copies."""
    network.eval()
    axes: Sequence[list[int]] = ([], [2], [3], [2, 3]) if mirror else ([],)
    found = []
    for batch in images.split(50):
        total = torch.zeros(len(batch), *batch.shape[2:])
        for each in axes:
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(batch.flip(each))[0]
            total += logits.float().softmax(1)[:, 1].flip([axis - 1 for axis in each])
        found.append(total / len(axes))
    network.train()
    return torch.cat(found)


def dice(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> float:
    """Compute the mean Dice over cases, `(N, H, W)`; 1 if both are empty."""
    both = (prediction & reference).sum((1, 2))
    total = prediction.sum((1, 2)) + reference.sum((1, 2))
    return float(np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0).mean())


# One training


@dataclass
class Cases:
    """Images `(N, 3, H, W)`, given masks and clean masks `(N, H, W)`."""

    images: Tensor
    given: NDArray[np.bool_]
    clean: NDArray[np.bool_]


def split(arrays: dict[str, NDArray[np.uint8]], row: Row) -> tuple[Cases, Cases]:
    """Return the training cases of a row, and the held-out cases, the same for all rows."""
    images = normalised(arrays["images"])
    order = np.random.default_rng(2017).permutation(len(images))
    training = np.random.default_rng(100).permutation(order[HELD_OUT:])[: row.cases]
    given, clean = arrays[row.noise] > 0, arrays["clean"] > 0
    return tuple(  # type: ignore[return-value]  (two of them)
        Cases(images[part], given[part], clean[part]) for part in (training, order[:HELD_OUT])
    )


def corrected(row: Row, averaged: nn.Module, images: Tensor, given: Tensor) -> Tensor:
    """Predict targets `(N, 1, H, W)` with the averaged network to replace the given masks."""
    p = predict(averaged, images, mirror=True)[:, None]
    if row.correction == "soft":
        return p
    if row.correction == "hard":
        return (p > 0.5).float()
    return torch.where(p > 0.8, 1.0, torch.where(p < 0.2, 0.0, given))


def train(row: Row, arrays: dict[str, NDArray[np.uint8]]) -> list[dict[str, float]]:
    """Train one row, and return its curve with one point every 250 steps."""
    cases, held_out = split(arrays, row)
    torch.manual_seed(row.seed)
    generator = torch.Generator().manual_seed(row.seed + 1)
    network = build_network()
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5
    )
    loss = make_loss(Row() if row.own_first else row)
    given = targets = torch.from_numpy(cases.given).float()[:, None]
    curve: list[dict[str, float]] = []
    order: list[int] = []
    for step in range(row.steps):
        done = step / row.steps
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - done) ** 0.9
        if step == row.correct_at:
            targets = corrected(row, averaged, cases.images, given)
            loss = make_loss(row)
        if len(order) < BATCH:
            order = torch.randperm(row.cases, generator=generator).tolist()
        batch, order = order[:BATCH], order[BATCH:]
        x, y = augment(cases.images[batch], targets[batch], generator, row.mirror_only)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(x)
        optimizer.zero_grad()
        _supervised(row, loss, outputs, y, bootstrap=done >= 0.2).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimizer.step()
        decay = min(row.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - decay)
        if (step + 1) % 250 == 0:
            last = step + 1 == row.steps
            curve.append({"step": step + 1, **_measure(network, averaged, cases, held_out, last)})
            print(json.dumps(curve[-1]), flush=True)
    return curve


def _supervised(
    row: Row, loss: Loss, outputs: Sequence[Tensor], target: Tensor, *, bootstrap: bool
) -> Tensor:
    """Sum the weighted loss over the scales of deep supervision."""
    total = torch.zeros(())
    for weight, logits in zip(SCALES, outputs, strict=True):
        if not weight:
            continue
        logits = logits.float()
        y = F.interpolate(target, size=logits.shape[2:], mode="nearest")
        if bootstrap and row.bootstrap:
            y = y.lerp(logits.detach().softmax(1)[:, 1:], row.bootstrap)
        total = total + weight * loss(logits, y)
    return total


def _measure(
    network: nn.Module, averaged: nn.Module, cases: Cases, held_out: Cases, mirror: bool
) -> dict[str, float]:
    point = {}
    for name, each in (("", network), ("averaged ", averaged)):
        mask = predict(each, held_out.images, mirror=mirror).numpy() > 0.5
        point[f"{name}clean"] = dice(mask, held_out.clean)
        point[f"{name}given"] = dice(mask, held_out.given)
        point[f"{name}area"] = float(mask.sum() / held_out.clean.sum())
    fitted = predict(network, cases.images, mirror=False).numpy() > 0.5
    wrong = cases.given != cases.clean
    point["training given"] = dice(fitted, cases.given)
    point["training clean"] = dice(fitted, cases.clean)
    point["wrong pixels fitted"] = (
        float((fitted == cases.given)[wrong].mean()) if wrong.any() else 0
    )
    return {key: round(value, 4) for key, value in point.items()}


# Report

INTRODUCTION = f"""\
# What keeps a small nnU-Net from memorising wrong masks

A small run: 200 training pairs of ISIC-2017 at {SIZE} x {SIZE} pixels, a network of {FEATURES[0]}
to {FEATURES[-1]} features, batch {BATCH}, SGD 0.01 with nnU-Net's decay and augmentation. Dice is
measured on {HELD_OUT} other training pairs with clean masks, which no other table reports.

- *at the end*: Dice of the last weights. *averaged*: Dice of their moving average (0.99).
- *best*: the highest Dice of the averaged weights on the way. A user cannot see it.
- *area*: predicted area over clean area, averaged weights.
- *wrong fitted*: wrong pixels of the training masks that the network reproduces at the end.
- *corrected*: after 500 steps (*late*: 1,500) the masks of the averaged network replace the
  training masks. *soft labels*: its probabilities do. *confident*: only where it is sure to 0.8.
- *nnU-Net, then X*: nnU-Net's own loss trains until the correction, X afterwards.

{{machine}}, torch {{torch}}, bf16, {{date}}.

| training | noise | at the end | averaged | best | area | wrong fitted |
|---|---|---|---|---|---|---|"""


def report(work: Path) -> str:
    """Build the table of all finished rows."""
    machine = f"{platform.machine()}, 2 cores shared with other work"
    lines = [INTRODUCTION.format(machine=machine, torch=version("torch"), date=date.today())]
    for name, row in ROWS.items():
        file = work / f"{_slug(name)}.json"
        if not file.exists():
            continue
        curve = json.loads(file.read_text(encoding="utf-8"))["curve"]
        last, best = curve[-1], max(point["averaged clean"] for point in curve)
        lines.append(
            f"| {name} | {row.noise} | {last['clean']:.3f} | "
            f"{last['averaged clean']:.3f} | {best:.3f} | {last['averaged area']:.2f} | "
            f"{last['wrong pixels fitted']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def main() -> None:
    """Do the missing rows, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--row", action="append", choices=list(ROWS), help="only these rows")
    parser.add_argument("--report", action="store_true", help="only write the table")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    if not options.report:
        arrays = prepare(options.source, options.work)
        for name in options.row or ROWS:
            _do(name, arrays, options.work)
    write_text(Path(__file__).with_suffix(".md"), report(options.work))


def _do(name: str, arrays: dict[str, NDArray[np.uint8]], work: Path) -> None:
    file, claim = work / f"{_slug(name)}.json", work / f"{_slug(name)}.claim"
    if file.exists():
        return
    try:  # another process may have started it
        os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    print(name, flush=True)
    try:
        result: dict[str, Any] = {"row": asdict(ROWS[name]), "curve": train(ROWS[name], arrays)}
        write_text(file, json.dumps(result, indent=1))
    finally:
        claim.unlink()


if __name__ == "__main__":
    main()
