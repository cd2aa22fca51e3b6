"""Speed of the training step of `anl_seg.classification` and of the published one.

    python benchmarks/classification.py    # from the repository root

The published step is written from the description of the published code:

- images augmented one by one with Pillow by torchvision's transforms in the workers of a
  `DataLoader`;
- the loss from one-hot vectors;
- the L1 norm of every parameter differentiated by autograd;
- the loss and accuracy of every batch fetched to the host.

Both sides train the 8-layer CNN on 32x32 images, batches of 128, with ANL-CE. Their repetitions
alternate.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
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
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.classification.models import create
from anl_seg.classification.settings import PRECISIONS
from anl_seg.datasets.classification import ImageArrays
from anl_seg.noise import labels as label_noise
from anl_seg.processes import processors
from common import conditions, elapsed, take_turns, wrapped

PROTOCOL = PROTOCOLS["cifar10"]
PRESET = PROTOCOL.presets["anl-ce"]
SHAPE = (32, 32, 3)
RESULTS = Path(__file__).with_suffix(".md")
GOAL = 3.0

#: Function that trains one epoch.
Side = Callable[[], None]


def random_images(n: int) -> ImageArrays:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64) % 10
    names = tuple(map(str, range(10)))
    return ImageArrays("random", pixels, labels, pixels[:1], labels[:1], names, np.arange(n))


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


def published(data: ImageArrays, device: torch.device, workers: int) -> Side:
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


def ours(data: ImageArrays, device: torch.device, precision: str, compiled: bool) -> Side:
    torch.manual_seed(0)
    noisy = label_noise.draw(data.y_train, kind="clean", n_classes=10)
    batches = make_batches(data, noisy, PROTOCOL, seed=0, device=device, ranks=Ranks())
    learner = training.make_learner(
        create("cnn8", 10, SHAPE),
        "anl-ce",
        PRESET,
        PROTOCOL,
        device=device,
        precision=precision,
        compiled=compiled,
    )

    def epoch() -> None:
        training.train_epoch(learner, batches, seed=0, epoch=0)

    return epoch


def sides(data: ImageArrays, device: torch.device, workers: int) -> Iterator[tuple[str, Side]]:
    yield "published step, float32", published(data, device, workers)
    for precision in PRECISIONS if has_bf16(device.type) else ("float32",):
        yield f"ours, {precision}", ours(data, device, precision, compiled=False)
        yield f"ours, {precision}, compiled", ours(data, device, precision, compiled=True)


def images_per_second(
    both: Mapping[str, Side], n: int, repeats: int, device: torch.device
) -> dict[str, float]:
    """Return the median rate over alternating repetitions, after an epoch to warm up."""
    timed = {name: partial(elapsed, side, str(device)) for name, side in both.items()}
    times = take_turns(timed, 1 + repeats)
    return {name: n / statistics.median(found[1:]) for name, found in times.items()}


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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--workers", type=int, default=min(4, processors()), help="of the published DataLoader"
    )
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    n = arguments.images or (50_000 if device.type == "cuda" else 512)
    threads = None if device.type == "cuda" else torch.get_num_threads()
    measured = conditions("torch", device=str(device), threads=threads)
    both = dict(sides(random_images(n), device, arguments.workers))
    rates = images_per_second(both, n, arguments.repeats, device)
    peer, best = next(iter(rates.values())), max(rates.values())
    on_gpu = device.type == "cuda"  # on a CPU the rate depends mostly on the machine
    lines = [
        "# Training step of the 8-layer CNN",
        "",
        "Written by `python benchmarks/classification.py`; do not edit.",
        "",
        f"{measured}; {n} random images a pass, batch {PROTOCOL.batch_size}, ANL-CE; published "
        f"side with {arguments.workers} loader workers; median of {arguments.repeats} interleaved "
        "passes.",
        "",
        f"| side | {'images/s | ' if on_gpu else ''}ratio |",
        f"|---|{'---|' if on_gpu else ''}---|",
        *(
            f"| {name} | {f'{rate:.0f} | ' if on_gpu else ''}{rate / peer:.2f} |"
            for name, rate in rates.items()
        ),
        "",
        f"Goal: {GOAL:.0f} times the published step. Reached: {best / peer:.2f}.",
    ]
    if on_gpu:
        seconds = 120 * 50_000 / best
        lines.append(f"120 epochs of 50,000 images at that rate: {seconds:.0f} s (goal: 60 s).")
    else:
        most = most_images_per_second(device)
        lines.append(
            "If a float32 step were its multiplications alone, at this machine's pace for a "
            f"product of 2048 x 2048 matrices, it would reach {most / peer:.2f}."
        )
    RESULTS.write_text(wrapped("\n".join(lines) + "\n"), encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
