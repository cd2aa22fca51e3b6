"""Table VI of the paper on a GPU: ISIC-2017 at 256 x 256 pixels with nnU-Net's own 2D network.

    python benchmarks/isic2017_gpu.py prepare DATASET.npz ISIC_FOLDER
    python benchmarks/isic2017_gpu.py train DATASET.npz RUNS [--minutes 9] [--only TEXT]

ISIC_FOLDER has the challenge's layout (../shared/data/isic2017-256). All images are on the GPU in
one array, so that no loading process limits the speed. Several `train` processes may share RUNS and
the GPU. Finished rows are kept, so a stopped study resumes. `isic2017_gpu_tables.py` writes the
tables.

The loss, the averaged weights and the correction of labels are those of `nnUNetTrainerANL`. The
augmentation is written for a GPU: mirroring and gamma for the paper's protocol, and for nnU-Net's
schedule that of `remedies.py`.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from filelock import FileLock, Timeout
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from anl_seg import losses
from anl_seg.classification.cuda_graphs import GraphedStep, Step
from anl_seg.formats.files import atomic_path, write_text
from anl_seg.trainers.averaging import WeightAverage
from anl_seg.trainers.correction import LabelCorrection
from anl_seg.trainers.defaults import defaults
from anl_seg.trainers.optimizers import LOSS_GROUP, complete_loss_gradients
from anl_seg.trainers.segmentation_loss import SegmentationLoss
from common import conditions
from remedies import augment, build_network

#: Options of `anl-seg noise` for each noise. "clean" leaves the masks unchanged.
NOISE: Mapping[str, Sequence[str]] = {
    f"{eta_alpha}/0.7": ("--eta-alpha", eta_alpha) for eta_alpha in ("0.7", "0.5", "0.3")
}
#: nnU-Net's own 2D plan for images of 256 x 256 pixels.
FEATURES = (32, 64, 128, 256, 512, 512, 512)
BATCH = 16
EVALUATION_BATCH = 100
#: Share of the training cases that `LabelCorrection` watches, as in nnU-Net's five folds.
FOLDS = 5
#: Number of last epochs over which Dice is reported, as in Table VI.
LAST = 10
#: Training cases on which the fit of the labels is measured after each epoch.
FITTED = 300


@dataclass(frozen=True)
class Method:
    """A loss, and whether labels are corrected.

    Attributes:
        loss: A name from `anl_seg.losses.names()`; None for nnU-Net's own loss.
        parameters: Hyper-parameters of the loss.
        delta: Weight of the L1 penalty, which replaces weight decay.
        fold: Whether a fifth of the training cases is for validation.
        corrected: Whether weights are averaged and labels corrected, as in `nnUNetTrainerANL`. The
            loss is nnU-Net's own until then, and stands beside it afterwards.
    """

    loss: str | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    delta: float = 0.0
    fold: bool = False
    corrected: bool = False


ANL = {"alpha": 5.0, "beta": 5.0}
BASELINE, DEFAULT = "nnU-Net's own loss", "our default (fold 0)"
FOLD_BASELINE = f"{BASELINE} (fold 0)"
METHODS: Mapping[str, Method] = {
    BASELINE: Method(),
    "anl-ce (5, 5)": Method("anl-ce", ANL),
    "ce": Method("ce"),
    "gce": Method("gce"),
    "t-loss": Method("t-loss"),
    "apl (nce+rce)": Method("nce+rce"),
    "anl-ce (5, 5), L1 1e-5": Method("anl-ce", ANL, delta=1e-5),
    FOLD_BASELINE: Method(fold=True),
    DEFAULT: Method("anl-ce", ANL, fold=True, corrected=True),
}
FOLDED = (FOLD_BASELINE, DEFAULT)


@dataclass(frozen=True)
class Schedule:
    """Training steps, optimiser and augmentation.

    Attributes:
        epochs: Number of epochs.
        steps: Steps of an epoch; None for one pass over the training cases.
        cases: Number of training cases before the split into folds; None for all.
        adam: Whether to use the paper's Adam, with its decay of 0.8 and light augmentation, or
            nnU-Net's SGD with its polynomial decay and full augmentation.
    """

    epochs: int
    steps: int | None = None
    cases: int | None = None
    adam: bool = False


PAPER = "the paper's protocol"
FEW = "nnU-Net's schedule, 250 images"
SCHEDULES: Mapping[str, Schedule] = {
    # The rate falls by 0.8 an epoch: the first 25 of the 100 epochs hold 99.6 % of its sum.
    PAPER: Schedule(epochs=25, adam=True),
    FEW: Schedule(epochs=50, steps=100, cases=250),
}


@dataclass(frozen=True)
class Row:
    """One training."""

    schedule: str
    noise: str
    method: str
    seed: int = 1

    @property
    def name(self) -> str:
        """Name of its files."""
        text = "_".join((self.schedule, self.noise, self.method, f"seed {self.seed}"))
        return "".join(each if each.isalnum() or each in "._" else "-" for each in text)


def rows() -> list[Row]:
    """List all trainings, the most informative first."""
    found = [
        *(Row(PAPER, "0.7/0.7", method) for method in METHODS),
        *(Row(FEW, "0.7/0.7", method) for method in FOLDED),
        *(Row(PAPER, "clean", method) for method in METHODS),
        *(Row(FEW, noise, method) for noise in ("clean", "0.3/0.7") for method in FOLDED),
        *(Row(PAPER, noise, method) for noise in ("0.3/0.7", "0.5/0.7") for method in METHODS),
    ]
    return found + [Row(each.schedule, each.noise, each.method, 2) for each in found]


# Data


def prepare(dataset: Path, source: Path) -> None:
    """Write images (as JPEG files), clean masks and noisy masks into one .npz."""
    content: dict[str, NDArray[np.uint8]] = {}
    for part, name in {"train": "Training", "test": "Test_v2"}.items():
        files = sorted((source / f"ISIC-2017_{name}_Data").glob("*.jpg"))
        data = [np.frombuffer(path.read_bytes(), np.uint8) for path in files]
        content[f"{part} images"] = np.concatenate(data)
        content[f"{part} ends"] = np.cumsum([len(each) for each in data])
        content[f"{part} clean"] = _read_masks(source / f"ISIC-2017_{name}_Part1_GroundTruth")
    clean = source / "ISIC-2017_Training_Part1_GroundTruth"
    for noise, options in NOISE.items():
        with tempfile.TemporaryDirectory() as folder:
            command = ["anl-seg", "noise", str(clean), folder, "--method", "published"]
            subprocess.run([*command, "--eta-beta", "0.7", "--seed", "1", *options], check=True)
            content[f"train {noise}"] = _read_masks(Path(folder))
    with atomic_path(dataset) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **content)


def _read_masks(folder: Path) -> NDArray[np.uint8]:
    """Read masks in the order of their names, and pack eight pixels into a byte."""
    masks = [np.asarray(Image.open(path)) > 0 for path in sorted(folder.glob("*.png"))]
    return np.packbits(np.stack(masks), axis=-1)


@dataclass
class Cases:
    """Images `(N, 3, H, W)` uint8, given and clean masks `(N, 1, H, W)` uint8, on the device."""

    images: Tensor
    given: Tensor
    clean: Tensor

    def __getitem__(self, index: Any) -> Cases:  # noqa: ANN401 (whatever a tensor takes)
        """Return some of the cases."""
        return Cases(self.images[index], self.given[index], self.clean[index])

    def __len__(self) -> int:
        """Return the number of cases."""
        return len(self.images)

    @cached_property
    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each image and channel, `(N, 3, 1, 1)`."""
        parts = [part.float() for part in self.images.split(EVALUATION_BATCH)]
        return (
            torch.cat([part.mean((2, 3), keepdim=True) for part in parts]),
            torch.cat([part.std((2, 3), keepdim=True) for part in parts]),
        )

    def normalised(self, index: Any) -> Tensor:  # noqa: ANN401
        """Return images as nnU-Net normalises them: z-scores of each image and channel."""
        mean, deviation = self.scale
        return (self.images[index].float() - mean[index]) / deviation[index].clamp_min(1e-8)


class Dataset:
    """The content of a prepared .npz on the device."""

    def __init__(self, file: Path, device: torch.device) -> None:
        self.content = dict(np.load(file))
        self.device = device
        self.images = {part: self._images(part) for part in ("train", "test")}
        self.test = self._cases("test", "clean")

    def training(self, noise: str) -> Cases:
        """Return all training cases with the masks of a noise."""
        return self._cases("train", noise)

    def _cases(self, part: str, noise: str) -> Cases:
        given, clean = (
            torch.from_numpy(np.unpackbits(self.content[f"{part} {kind}"], axis=-1))
            .to(self.device)
            .unsqueeze(1)
            for kind in (noise, "clean")
        )
        return Cases(self.images[part], given, clean)

    def _images(self, part: str) -> Tensor:
        files = np.split(self.content[f"{part} images"], self.content[f"{part} ends"][:-1])
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
        return torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).contiguous()


def split(cases: Cases, schedule: Schedule, *, fold: bool) -> tuple[Cases, Cases]:
    """Return training and validation cases, the same for all methods with the same `fold`."""
    order = np.random.default_rng(2017).permutation(len(cases))[: schedule.cases]
    validation = len(order) // FOLDS if fold else 0
    return cases[order[validation:]], cases[order[:validation]]


def batches(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield indices of batches without end. Each case is drawn once before any is drawn again."""
    rest = torch.empty(0, dtype=torch.long, device=generator.device)
    while True:
        while len(rest) < BATCH:
            order = torch.randperm(size, generator=generator, device=generator.device)
            rest = torch.cat([rest, order])
        yield rest[:BATCH]
        rest = rest[BATCH:]


def mirror_and_gamma(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Augment as the paper does: mirroring, and nnU-Net's gamma that keeps mean and deviation."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=generator.device)

    channel = (len(x), x.shape[1], 1, 1)
    brighter = uniform(*channel) < 0.5
    gamma = torch.where(brighter, 0.7 + 0.3 * uniform(*channel), 1 + 0.5 * uniform(*channel))
    least, mean, deviation = x.amin((2, 3), True), x.mean((2, 3), True), x.std((2, 3), keepdim=True)
    extent = (x.amax((2, 3), True) - least).clamp_min(1e-7)
    changed = ((x - least) / extent) ** gamma * extent
    changed = changed - changed.mean((2, 3), True)
    changed = changed * deviation / changed.std((2, 3), keepdim=True).clamp_min(1e-7) + mean
    x = torch.where(uniform(len(x), 1, 1, 1) < 0.3, changed, x)
    for axis in (2, 3):
        flipped = uniform(len(x), 1, 1, 1) < 0.5
        x = torch.where(flipped, x.flip(axis), x)
        y = torch.where(flipped, y.flip(axis), y)
    return x, y


# Network and loss


class Network:
    """nnU-Net's 2D network, compiled once for all trainings of a process."""

    def __init__(self, device: torch.device) -> None:
        self.module = build_network(FEATURES).to(device, memory_format=torch.channels_last)
        self.device = device
        self.forward = torch.compile(self.module) if device.type == "cuda" else self.module

    def restart(self, seed: int) -> None:
        """Draw new weights, as nnU-Net does."""
        torch.manual_seed(seed)
        fresh = build_network(FEATURES)
        fresh.apply(PlainConvUNet.initialize)
        self.module.load_state_dict(fresh.state_dict())

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Compute logits of all scales, float32."""
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.forward(x)
        return [logits.float() for logits in outputs]

    @torch.no_grad()
    def predict(self, cases: Cases, *, mirror: bool = False) -> Tensor:
        """Predict masks `(N, 1, H, W)`; `mirror` averages over mirrored images, as nnU-Net does."""
        found = []
        for index in torch.arange(len(cases), device=self.device).split(EVALUATION_BATCH):
            size = len(index)
            padded = F.pad(index, (0, EVALUATION_BATCH - size))  # one shape to compile
            x = cases.normalised(padded)
            total = torch.zeros_like(x[:, :2])
            for axes in ([], [2], [3], [2, 3]) if mirror else ([],):
                total += self(x.flip(axes))[0].flip(axes)
            found.append(total[:size].argmax(1, keepdim=True).to(torch.uint8))
        return torch.cat(found)


def deep(loss: nn.Module) -> nn.Module:
    """Sum a loss over the scales with nnU-Net's weights."""
    weights = np.array([0.5**scale for scale in range(len(FEATURES) - 1)])
    weights[-1] = 0
    return DeepSupervisionWrapper(loss, tuple(weights / weights.sum()))


def nnunet_loss() -> nn.Module:
    """Create nnU-Net's own loss, as its trainer does."""
    loss: nn.Module = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    return loss


def pixel_loss(method: Method) -> nn.Module:
    """Create the loss of a method; for `corrected`, nnU-Net's own loss stands beside it."""
    if method.loss is None:
        return nnunet_loss()
    options = {"dice_weight": 1.0, "ce_weight": 1.0} if method.corrected else {}
    return SegmentationLoss(
        losses.create(method.loss, **method.parameters),
        ignore_label=None,
        dice=nnunet_loss().dc if options else None,
        cross_entropy=losses.create("ce") if options else None,
        **options,
    )


def at_all_scales(y: Tensor) -> list[Tensor]:
    """Downsample masks `(B, 1, H, W)` to the scales of the outputs, as nnU-Net does."""
    sizes = [y.shape[-1] // 2**scale for scale in range(1, len(FEATURES) - 1)]
    return [y, *(F.interpolate(y, size=(size, size), mode="nearest-exact") for size in sizes)]


# One training


class Training:
    """A network in training on the cases of one row."""

    def __init__(self, network: Network, row: Row, dataset: Dataset) -> None:
        self.network, self.row, self.test = network, row, dataset.test
        self.method, self.schedule = METHODS[row.method], SCHEDULES[row.schedule]
        cases = dataset.training(row.noise)
        self.cases, self.validation = split(cases, self.schedule, fold=self.method.fold)
        self.targets = self.cases.given
        self.generator = torch.Generator(network.device).manual_seed(row.seed)
        self.batches = batches(len(self.cases), self.generator)
        network.restart(row.seed)
        self.parameters = list(network.module.parameters())
        first = Method() if self.method.corrected else self.method
        self.loss = deep(pixel_loss(first)).to(network.device)
        self.optimizer = self._optimizer()
        self.average: WeightAverage | None = None
        # its folder for corrected labels is not used
        self.correction = LabelCorrection(Path(), self.schedule.epochs)
        self.update = self._recorded_update()
        if self.method.corrected:
            self.average = WeightAverage(self.parameters, defaults()["ema"])

    @property
    def corrected_in(self) -> int | None:
        """The epoch after which labels were corrected, counted from 1."""
        done_in = self.correction.done_in
        return None if done_in is None else done_in + 1

    def _optimizer(self) -> torch.optim.Optimizer:
        decay = 5e-6 if self.schedule.adam else 3e-5
        groups: list[dict[str, Any]] = [{"params": self.parameters}]
        own = list(self.loss.parameters())  # T-Loss trains its nu
        if own:
            groups.append({"params": own, **LOSS_GROUP["adam" if self.schedule.adam else "sgd"]})
        decay = 0.0 if self.method.delta else decay
        on_gpu = self.network.device.type == "cuda"
        for group in groups:  # a CUDA graph reads the rate from a tensor
            group["lr"] = torch.tensor(group.get("lr", self.rate(0)), device=self.network.device)
        if self.schedule.adam:
            return torch.optim.Adam(groups, weight_decay=decay, fused=on_gpu, capturable=on_gpu)
        return torch.optim.SGD(
            groups, momentum=0.99, nesterov=True, weight_decay=decay, fused=on_gpu
        )

    def _recorded_update(self) -> Step:
        """Return the step of a batch, on a GPU as a CUDA graph."""
        device = self.network.device
        if device.type != "cuda":
            return self._update
        return GraphedStep(self._update, self._update, device)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch."""
        if self.schedule.adam:
            return 1e-3 * 0.8**epoch
        return float(1e-2 * (1 - epoch / self.schedule.epochs) ** 0.9)

    def run_epoch(self, epoch: int) -> None:
        """Train one epoch."""
        for group in self.optimizer.param_groups[: 1 if not self.schedule.adam else None]:
            group["lr"].fill_(self.rate(epoch))
        self.network.module.train()
        for _ in range(self.schedule.steps or math.ceil(len(self.cases) / BATCH)):
            self._step(next(self.batches))

    def _step(self, index: Tensor) -> None:
        x, y = self.cases.normalised(index), self.targets[index].float()
        if self.schedule.adam:
            x, y = mirror_and_gamma(x, y, self.generator)
        else:
            x, y = augment(x, y, self.generator, mirror_only=False)
        self.update(x, y)
        if self.average is not None:
            self.average.update()

    def _update(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Train with one batch, and return the loss and the logits."""
        self.optimizer.zero_grad()
        outputs = self.network(x)
        loss = self.loss(outputs, at_all_scales(y))
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 12)
        own = list(self.loss.parameters())
        if own:
            complete_loss_gradients(own, distributed=False)
        if self.method.delta:
            losses.add_l1_gradient(self.parameters, self.method.delta)
        self.optimizer.step()
        return loss.detach(), outputs[0].detach()

    def end_epoch(self, epoch: int) -> tuple[dict[str, float], NDArray[np.float32]]:
        """Measure the network, and correct the labels if they are due.

        Returns:
            Values of the epoch, and Dice of each test image.
        """
        with self.average.in_place() if self.average is not None else nullcontext():
            self.network.module.eval()
            test = dice(self.network.predict(self.test), self.test.clean)
            point = {"epoch": epoch + 1, "test": float(test.mean()), **self._fit()}
            if len(self.validation):
                predicted = self.network.predict(self.validation)
                point["validation"] = pooled_dice(predicted, self.validation.given)
            self._watch(epoch, point)
        return point, test.cpu().numpy()

    def _fit(self) -> dict[str, float]:
        """Compare predictions of training cases with their given and clean masks."""
        cases = self.cases[:FITTED]
        predicted = self.network.predict(cases)
        wrong = cases.given != cases.clean
        memorised = (predicted == cases.given)[wrong].float().mean()
        return {
            "dice_noisy": pooled_dice(predicted, cases.given),
            "dice_clean": pooled_dice(predicted, cases.clean),
            "memorised": float(memorised),
        }

    @torch.no_grad()
    def _watch(self, epoch: int, point: dict[str, float]) -> None:
        """Watch the validation Dice, and correct the labels after its peak, as the trainer does."""
        if self.average is None:
            return
        self.correction.watch(point["validation"], self.parameters)
        if not self.correction.is_due:
            return
        for weights in (self.parameters, self.average.values):
            self.correction.restore(weights)
        predicted = self.network.predict(self.cases, mirror=True)
        found, given = (masks.flatten(1).amax(1) > 0 for masks in (predicted, self.targets))
        lost = (given & ~found)[:, None, None, None]
        self.targets = torch.where(lost, self.targets, predicted)
        self.optimizer.state.clear()
        self.loss = deep(pixel_loss(self.method)).to(self.network.device)
        self.update = self._recorded_update()
        self.correction.finish(epoch)
        point["best epoch"] = (self.correction.peak.best_epoch or 0) + 1
        point["changed pixels"] = float((self.targets != self.cases.given).float().mean())


def dice(predicted: Tensor, reference: Tensor) -> Tensor:
    """Compute the Dice of each case, `(N,)`; 1 if both masks are empty."""
    both = (predicted & reference).sum((1, 2, 3)).float()
    total = (predicted.sum((1, 2, 3)) + reference.sum((1, 2, 3))).float()
    return torch.where(total > 0, 2 * both / total.clamp_min(1), 1.0)


def pooled_dice(predicted: Tensor, reference: Tensor) -> float:
    """Compute the Dice of all pixels together, as nnU-Net's online validation does."""
    return float(2 * (predicted & reference).sum() / (predicted.sum() + reference.sum()))


def train(row: Row, network: Network, dataset: Dataset, runs: Path) -> None:
    """Train one row, and write its curve and the Dice of all test images."""
    start = time.perf_counter()
    training = Training(network, row, dataset)
    points, tests = [], []
    for epoch in range(training.schedule.epochs):
        training.run_epoch(epoch)
        point, test = training.end_epoch(epoch)
        points.append(point)
        tests.append(test)
    with training.average.in_place() if training.average is not None else nullcontext():
        network.module.eval()
        final = network.predict(dataset.test, mirror=True)
    area = float(final.sum() / dataset.test.clean.sum())
    record = {
        **asdict(row),
        "corrected in": training.corrected_in,
        "area": area,
        "seconds": time.perf_counter() - start,
        "conditions": conditions("torch", "nnunetv2", device=str(network.device)),
        "curve": points,
        "test": np.stack(tests).astype(float).round(4).tolist(),
        "final": dice(final, dataset.test.clean).cpu().double().numpy().round(4).tolist(),
    }
    write_text(runs / f"{row.name}.json", json.dumps(record))
    print(
        f"{row.name}: {np.mean(tests[-LAST:]):.4f}, {record['seconds']:.0f} s, "
        f"corrected in {training.corrected_in}",
        flush=True,
    )


def train_all(dataset: Path, runs: Path, minutes: float, only: str, device: torch.device) -> None:
    """Train the rows that no other process has, until the time is over."""
    end = time.monotonic() + 60 * minutes
    runs.mkdir(parents=True, exist_ok=True)
    data, network = Dataset(dataset, device), Network(device)
    longest = dict.fromkeys(SCHEDULES, 0.0)
    for row in rows():
        result = runs / f"{row.name}.json"
        start = time.monotonic()
        if only not in row.name or start + longest[row.schedule] > end:
            continue
        try:
            with FileLock(result.with_suffix(".lock"), timeout=0):
                if not result.exists():
                    train(row, network, data, runs)
                    taken = time.monotonic() - start
                    longest[row.schedule] = max(longest[row.schedule], taken)
        except Timeout:  # another process trains it
            continue


def main() -> None:
    """Prepare the data, train, or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    preparing = commands.add_parser("prepare", help="write images and masks into one file")
    preparing.add_argument("dataset", type=Path)
    preparing.add_argument("source", type=Path)
    training = commands.add_parser("train", help="train rows that are not finished")
    training.add_argument("dataset", type=Path)
    training.add_argument("runs", type=Path)
    training.add_argument("--minutes", type=float, default=math.inf)
    training.add_argument("--only", default="", help="text that the names of the rows contain")
    training.add_argument("--device", default="cuda", type=torch.device)
    arguments = vars(parser.parse_args())
    command = arguments.pop("command")
    if command == "prepare":
        prepare(**arguments)
    else:
        train_all(**arguments)


if __name__ == "__main__":
    main()
