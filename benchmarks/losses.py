"""Time and memory of the losses, cross entropy, nnU-Net's loss and the published form.

    python benchmarks/losses.py [--repeats 9]   # writes benchmarks/losses.md

`losses_cuda.py` measures them on a GPU.

Forward and backward are measured together, with and without torch.compile. Each loss alternates
with torch's cross entropy, so that other work on the machine affects both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from anl_seg import losses
from anl_seg.formats.files import write_text
from common import conditions, take_turns, wrapped

Loss = Callable[[Tensor, Tensor], Tensor]

SHAPES = [(16, 2, 256, 256), (2, 14, 96, 96, 96), (2, 105, 64, 64, 64), (128, 10), (128, 1000)]
BASELINE = torch.nn.functional.cross_entropy
ROWS = [name for name in losses.names() if not name.endswith("-published")]
GOALS = {"anl-ce": 1.0}
OTHER_GOAL = 1.3
#: Conclusions from the tables.
DECISIONS = [
    "- `torch.compile` is left to the caller, as `torch.compile(loss)`: on a CPU it needs a C++",
    "  compiler, and the first call takes seconds. It is given the analytic gradient.",
    "- On `(128, 10)` and `(128, 1000)` everything takes a fraction of a millisecond; what is",
    "  compared there is the number of calls from Python.",
    "- The entropy term of the starred rows needs the mean prediction before it has a gradient, so",
    "  the logits are read, and exponentiated, twice more.",
]


def one_hot_anl_ce(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute ANL-CE as in published code: pixels as rows, dense one-hot, one softmax per term."""
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1])
    target = torch.nn.functional.one_hot(labels.flatten(), rows.shape[1]).to(rows.dtype)
    log_p = rows.log_softmax(1)
    nce = (target * log_p).sum(1) / log_p.sum(1)
    flipped = rows.softmax(1).clamp(min=1e-7).log() - torch.tensor(1e-7).log()
    nnce = 1 - (target * flipped).sum(1) / flipped.sum(1)
    return (nce + nnce).mean()


def dice_and_ce() -> Loss:
    """Create nnU-Net's own loss."""
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    loss = DC_and_CE_loss(
        {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False},
        {},
        dice_class=MemoryEfficientSoftDiceLoss,
    )
    return lambda z, y: loss(z, y.unsqueeze(1))


def peers(shape: tuple[int, ...]) -> dict[str, Callable[[], Loss]]:
    """Map the names of the losses to compare with, beside `BASELINE`, to their constructors."""
    table: dict[str, Callable[[], Loss]] = {"anl-ce, one-hot": lambda: one_hot_anl_ce}
    if len(shape) > 2:
        table["Dice + CE (nnU-Net)"] = dice_and_ce
    return table


def run(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    torch.autograd.backward(loss(logits, labels))


def seconds(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    calls = 20 if logits.ndim == 2 else 1
    start = time.perf_counter()
    for _ in range(calls):
        run(loss, logits, labels)
    return (time.perf_counter() - start) / calls


def peak_bytes(loss: Loss, logits: Tensor, labels: Tensor) -> int:
    """Measure peak memory beyond logits and labels, including the gradient."""
    logits.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(loss, logits, labels)
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def ratios(
    candidates: Sequence[Loss], logits: Tensor, labels: Tensor, repeats: int
) -> list[tuple[float, float]]:
    """Measure time and peak memory of each loss relative to cross entropy, alternating."""
    table = [BASELINE, *candidates]
    for loss in table:  # the first call compiles
        run(loss, logits, labels)
    sides = {str(n): partial(seconds, loss, logits, labels) for n, loss in enumerate(table)}
    times = take_turns(sides, repeats)
    memory = [peak_bytes(loss, logits, labels) for loss in table]
    median = [statistics.median(found) for found in times.values()]
    return [(t / median[0], m / memory[0]) for t, m in zip(median[1:], memory[1:], strict=True)]


def measure(shape: tuple[int, ...], repeats: int) -> list[str]:
    """Build one table, with the cost of cross entropy and the rows that miss their goal."""
    torch.manual_seed(0)
    logits = (3 * torch.randn(shape)).requires_grad_()
    labels = torch.randint(shape[1], (shape[0], *shape[2:]))
    lines = ["| loss | time | memory | time, compiled | memory, compiled |", "|---" * 5 + "|"]
    for name, make in peers(shape).items():
        ((time_ratio, memory_ratio),) = ratios([make()], logits, labels, repeats)
        lines.append(f"| {name} | {time_ratio:.2f} | {memory_ratio:.2f} | | |")
    missed: dict[str, list[str]] = {"": [], ", compiled": []}
    for name in track(ROWS, description=str(shape)):
        torch._dynamo.reset()  # it stops compiling code after eight losses
        compiled = torch.compile(losses.create(name), dynamic=False)
        figures = ratios([losses.create(name), compiled], logits, labels, repeats)
        for how, figure in zip(missed, figures, strict=True):
            if max(figure) > GOALS.get(name, OTHER_GOAL) + 0.005:
                missed[how].append(name)
        cells = [f"{ratio:.2f}" for figure in figures for ratio in figure]
        lines.append(f"| {' | '.join([name, *cells])} |")
    lines += ["", f"Cross entropy: {peak_bytes(BASELINE, logits, labels) / 2**20:.1f} MiB."]
    for how, names in missed.items():
        lines.append(f"Goal missed{how}: {', '.join(names) or 'by none'}.")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    measured = conditions("torch", threads=torch.get_num_threads())
    lines = [
        "# Losses: forward and backward, time and peak memory",
        "",
        "Written by `python benchmarks/losses.py`; do not edit.",
        "",
        f"{measured}; median of {arguments.repeats} runs.",
        "",
        "Times and peak memory are multiples of those of torch's cross entropy, which takes turns",
        "with the loss and the compiled loss of a line. Peak memory is what is held beyond logits",
        "and labels, the logits' gradient included.",
        "",
        f"Goal: at most 1.0 in both for ANL-CE, {OTHER_GOAL} for the other rows.",
        "",
        *DECISIONS,
    ]
    for shape in SHAPES:
        section = [f"## {shape}, float32", "", *measure(shape, arguments.repeats)]
        print("\n".join(section), flush=True)
        lines += ["", *section]
    write_text(Path(__file__).with_name("losses.md"), wrapped("\n".join(lines) + "\n"))


if __name__ == "__main__":
    main()
