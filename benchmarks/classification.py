"""Speed of the training step of `anl_seg.classification` and of the published one.

    python benchmarks/classification.py    # from the repository root
    python benchmarks/classification.py --device cuda

The published step is written from the description of the published code:

- images augmented one by one with Pillow by torchvision's transforms in the workers of a
  `DataLoader`;
- the loss from one-hot vectors;
- the L1 norm of every parameter differentiated by autograd;
- the loss and accuracy of every batch fetched to the host.

Both sides train the 8-layer CNN on 32x32 images, batches of 128, with ANL-CE. On a CPU their
repetitions alternate. On a GPU, our step is measured as single kernels, as a CUDA graph, and
compiled inside the graph, over whole epochs, and with a ResNet-34 too. There each row is printed
and written when it is measured.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from anl_seg.bf16 import has_bf16
from anl_seg.classification import PROTOCOLS, training
from anl_seg.classification.batches import Batches
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.classification.models import create
from anl_seg.classification.protocols import ClassificationProtocol
from anl_seg.classification.settings import PRECISIONS
from anl_seg.datasets.classification import ImageArrays
from anl_seg.noise import labels as label_noise
from anl_seg.processes import processors
from common import conditions, elapsed, take_turns, wrapped

PROTOCOL = PROTOCOLS["cifar10"]
PRESET = PROTOCOL.presets["anl-ce"]
SHAPE = (32, 32, 3)
GOAL = 3.0
GOAL_SECONDS = {"NVIDIA H200": 60, "NVIDIA H100": 90}
#: Size of CIFAR-10 and CIFAR-100, and the part of it for sides that are slow on a GPU.
TRAINING, TEST, PART = 50_000, 10_000, 12_800
CLASSES = {"cifar10": 10, "cifar100": 100}
PUBLISHED = "published step, float32"
TABLE = [
    "| network | side | first epoch, s | images/s | to the published | epoch, s | all epochs, s |",
    "|---|---|---|---|---|---|---|",
]


@dataclass(frozen=True)
class Side:
    """One way to train: a function that trains an epoch, and the images of that epoch."""

    epoch: Callable[[], None]
    images: int


@dataclass(frozen=True)
class Row:
    """A row of the table of a GPU. The published side has no epochs with a test."""

    network: str
    side: str
    first: float
    rate: float
    epoch: float = math.nan
    epochs: int = 0

    def line(self, peer: float) -> str:
        """Return the row in Markdown, with the ratio to the rate `peer` of the published step."""
        ratio = self.rate / peer if self.network == PROTOCOL.model else math.nan
        numbers = (f"{ratio:.2f}", f"{self.epoch:.2f}", f"{self.epochs * self.epoch:.0f}")
        cells = [self.network, self.side, f"{self.first:.1f}", f"{self.rate:.0f}", *numbers]
        return f"| {' | '.join('-' if cell == 'nan' else cell for cell in cells)} |"


@dataclass(frozen=True)
class Way:
    """How our step runs."""

    precision: str
    graphed: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        parts = [self.precision, *["CUDA graph"] * self.graphed, *["compiled"] * self.compiled]
        return f"ours, {', '.join(parts)}"


def random_images(n: int, classes: int = 10, test: int = 1) -> ImageArrays:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n + test, *SHAPE), dtype=np.uint8)
    labels = np.arange(n + test, dtype=np.int64) % classes
    names = tuple(map(str, range(classes)))
    return ImageArrays(
        "random", pixels[:n], labels[:n], pixels[n:], labels[n:], names, np.arange(n)
    )


class OneByOne(Dataset[tuple[Tensor, int]]):
    """Images as the published code loads them."""

    def __init__(self, data: ImageArrays) -> None:
        from torchvision import transforms as tv

        self.data = data
        normalization = PROTOCOL.normalization
        self.transform = tv.Compose(
            [
                tv.RandomCrop(32, padding=4),
                tv.RandomHorizontalFlip(),
                tv.ToTensor(),
                tv.Normalize(normalization.mean, normalization.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.data.y_train)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.data.x_train[place])
        return self.transform(image), int(self.data.y_train[place])


def one_hot_anl_ce(model: nn.Module, logits: Tensor, labels: Tensor) -> Tensor:
    """Compute ANL-CE with its L1 term, from dense one-hot vectors (paper, eq. 2, 8, 11)."""
    values = PRESET.hyper_parameters
    one_hot = functional.one_hot(labels, 10).float()
    log_p = functional.log_softmax(logits, 1)
    active = (one_hot * log_p).sum(1) / log_p.sum(1)
    flipped = -math.log(1e-7) + functional.softmax(logits, 1).clamp(min=1e-7).log()
    passive = 1 - (one_hot * flipped).sum(1) / flipped.sum(1)
    penalty = sum(weight.abs().sum() for weight in model.parameters())
    loss = values["alpha"] * active + values["beta"] * passive
    return loss.mean() + PRESET.delta * penalty


def published(data: ImageArrays, device: torch.device, workers: int) -> Callable[[], None]:
    torch.manual_seed(0)
    model = create("cnn8", 10, SHAPE).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loader = DataLoader(
        OneByOne(data),
        PROTOCOL.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,  # exclude their start from a short epoch
    )

    def epoch() -> None:
        model.train()
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            logits = model(images)
            loss = one_hot_anl_ce(model, logits, labels)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            loss.item()
            (logits.argmax(1) == labels).sum().item()

    return epoch


def ours(
    data: ImageArrays, device: torch.device, way: Way, protocol: ClassificationProtocol = PROTOCOL
) -> tuple[training.Learner, Batches]:
    torch.manual_seed(0)
    noisy = label_noise.draw(data.y_train, kind="clean", n_classes=len(data.classes))
    learner = training.make_learner(
        create(protocol.model, len(data.classes), SHAPE),
        "anl-ce",
        protocol.presets["anl-ce"],
        protocol,
        device=device,
        precision=way.precision,
        compiled=way.compiled,
        graphed=way.graphed,
    )
    return learner, make_batches(data, noisy, protocol, seed=0, device=device, ranks=Ranks())


def sides(data: ImageArrays, device: torch.device, workers: int) -> dict[str, Side]:
    n = len(data.y_train)
    found = {PUBLISHED: Side(published(data, device, workers), n)}
    for precision in PRECISIONS if has_bf16(device.type) else ("float32",):
        for compiled in (False, True):
            way = Way(precision, compiled=compiled)
            learner, batches = ours(data, device, way)
            found[str(way)] = Side(partial(training.train_epoch, learner, batches, 0, 0), n)
    return found


def images_per_second(
    both: Mapping[str, Side], repeats: int, device: torch.device
) -> dict[str, float]:
    """Return the median rate over alternating repetitions, after an epoch to warm up."""
    timed = {name: partial(elapsed, side.epoch, str(device)) for name, side in both.items()}
    times = take_turns(timed, 1 + repeats)
    return {name: both[name].images / statistics.median(found[1:]) for name, found in times.items()}


def measure_published(device: torch.device, repeats: int, workers: int) -> Row:
    epoch = published(random_images(PART), device, workers)
    first, *times = (elapsed(epoch, str(device)) for _ in range(1 + repeats))
    return Row(PROTOCOL.model, PUBLISHED, first, PART / statistics.median(times))


def measure(dataset: str, way: Way, n: int, device: torch.device, repeats: int) -> Row:
    """Measure epochs of `n` images with all that `anl-seg classify` does, except its files."""
    protocol = PROTOCOLS[dataset]
    data = random_images(n, classes=CLASSES[dataset], test=n * TEST // TRAINING)
    learner, batches = ours(data, device, way, protocol)
    train = partial(training.train_epoch, learner, batches, 0, 0)

    def test() -> None:
        training.accuracy(learner, batches.plain("test"))

    turns = {"train": partial(elapsed, train, "cuda"), "test": partial(elapsed, test, "cuda")}
    times = take_turns(turns, 1 + repeats)
    trained, tested = (statistics.median(times[name][1:]) for name in turns)
    epoch = (trained + tested) * TRAINING / n
    first = times["train"][0] + times["test"][0]
    return Row(protocol.model, str(way), first, n / trained, epoch, protocol.epochs)


def rows(n: int, device: torch.device, repeats: int, workers: int) -> Iterator[Row]:
    """Measure on a GPU, the most informative first."""
    graph = Way("bf16", graphed=True)
    compiled = Way("bf16", graphed=True, compiled=True)
    yield measure("cifar10", graph, n, device, repeats)
    yield measure("cifar10", compiled, n, device, repeats)
    yield measure_published(device, repeats, workers)
    yield measure("cifar10", Way("float32", graphed=True), n, device, repeats)
    yield measure("cifar10", Way("bf16"), n, device, repeats)
    yield measure("cifar100", graph, min(n, PART), device, repeats)
    yield measure("cifar100", compiled, min(n, PART), device, repeats)


def published_rate(found: list[Row]) -> float:
    return next((row.rate for row in found if row.side == PUBLISHED), math.nan)


def gpu_document(measured: str, found: list[Row]) -> str:
    peer = published_rate(found)
    best = max(row.rate for row in found if row.network == PROTOCOL.model)
    reached = "not measured" if math.isnan(peer) else f"{best / peer:.2f}"
    return "\n".join(
        [
            "# Training of small images on a GPU",
            "",
            "Written by `python benchmarks/classification.py --device cuda`; do not edit.",
            "",
            f"{measured}.",
            "",
            "The rate is of training: batches, steps, and accuracies on the training images. An "
            f"epoch trains on {TRAINING} random images and tests {TEST}. Rows of the "
            f"published step and of ResNet-34 do {PART} training images, and the epoch is scaled "
            "up. A time limit may have left them out. The first epoch also chooses algorithms and "
            "compiles. Files of a run are not part of it.",
            "",
            *TABLE,
            *(row.line(peer) for row in found),
            "",
            f"Goal: {GOAL:.0f} times the published step. Reached: {reached}. Goal for all "
            "epochs of the 8-layer CNN: "
            + ", ".join(f"{seconds} s on an {name}" for name, seconds in GOAL_SECONDS.items())
            + ".",
            "",
        ]
    )


def measure_gpu(
    results: Path, measured: str, n: int, device: torch.device, repeats: int, workers: int
) -> None:
    """Print and write each row when it is measured, so that a time limit loses only the others."""
    print(*TABLE, sep="\n", flush=True)
    found: list[Row] = []
    for row in rows(n, device, repeats, workers):
        found.append(row)
        print(row.line(published_rate(found)), flush=True)
        results.write_text(wrapped(gpu_document(measured, found)), encoding="utf-8")


def most_images_per_second(device: torch.device) -> float:
    """Return the rate of a float32 step of only multiplications, at a matrix product's speed."""
    model = create("cnn8", 10, SHAPE).to(device)
    data = torch.randn(PROTOCOL.batch_size, SHAPE[-1], *SHAPE[:-1], device=device)
    with FlopCounterMode(display=False) as counter:
        model(data).sum().backward()
    matrix = torch.randn(2048, 2048, device=device)
    fastest = min(elapsed(lambda: torch.mm(matrix, matrix)) for _ in range(9))
    pace = 2 * len(matrix) ** 3 / fastest
    return pace * len(data) / counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, help="a pass (default: 512, on CUDA 50,000)")
    parser.add_argument("--repeats", type=int, help="default: 5, on CUDA 2")
    parser.add_argument(
        "--workers", type=int, default=min(4, processors()), help="of the published DataLoader"
    )
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.backends.cudnn.benchmark = True  # as in a run
    if device.type == "cuda":
        results = Path(__file__).with_name("classification_cuda.md")
        n, repeats = arguments.images or TRAINING, arguments.repeats or 2
        measured = conditions("torch", device=str(device))
        measure_gpu(results, measured, n, device, repeats, arguments.workers)
        return
    n, repeats = arguments.images or 512, arguments.repeats or 5
    measured = conditions("torch", threads=torch.get_num_threads())
    rates = images_per_second(sides(random_images(n), device, arguments.workers), repeats, device)
    peer, best = next(iter(rates.values())), max(rates.values())
    most = most_images_per_second(device)
    lines = [
        "# Training step of the 8-layer CNN",
        "",
        "Written by `python benchmarks/classification.py`; do not edit.",
        "",
        f"{measured}; {n} random images a pass, batch {PROTOCOL.batch_size}, ANL-CE; published "
        f"side with {arguments.workers} loader workers; median of {repeats} interleaved passes.",
        "",
        "| side | ratio |",
        "|---|---|",
        *(f"| {name} | {rate / peer:.2f} |" for name, rate in rates.items()),
        "",
        f"Goal: {GOAL:.0f} times the published step. Reached: {best / peer:.2f}.",
        "If a float32 step were its multiplications alone, at this machine's pace for a product of "
        f"2048 x 2048 matrices, it would reach {most / peer:.2f}.",
    ]
    results = Path(__file__).with_name("classification.md")
    results.write_text(wrapped("\n".join(lines) + "\n"), encoding="utf-8")
    print(results.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
