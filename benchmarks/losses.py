"""Time and memory of the losses beside cross entropy, nnU-Net's loss and the published form.

    python benchmarks/losses.py [--repeats 9]                 # writes benchmarks/losses.md
    python benchmarks/losses.py --device cuda [--repeats 9]   # writes benchmarks/losses_cuda.md

Forward and backward together. All losses take turns within each repetition, so that whatever else
the machine does falls on all of them; medians are divided by that of torch's cross entropy.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from anl_seg import losses
from anl_seg.files import write_text

Loss = Callable[[Tensor, Tensor], Tensor]

SHAPES = [(16, 2, 256, 256), (2, 14, 96, 96, 96), (2, 105, 64, 64, 64), (128, 10), (128, 1000)]
BASELINE = "cross entropy (torch)"
COMPILED = "anl-ce, torch.compile"
ROWS = [name for name in losses.names() if not name.endswith("-published")]
GOALS = {"anl-ce": 1.0, COMPILED: 1.0}
OTHER_GOAL = 1.3
#: What was decided from such tables.
DECISIONS = [
    "- `torch.compile` is left to the caller, as `torch.compile(loss)`: on CPUs it was slower than",
    "  the eager path at 2 classes, and the first call takes seconds.",
    "- On `(128, 10)` and `(128, 1000)` everything takes a fraction of a millisecond; what is",
    "  compared there is the number of calls from Python.",
    "- The entropy term of the starred rows needs the mean prediction before it has a gradient, so",
    "  the logits are read, and exponentiated, twice more.",
]


def one_hot_anl_ce(logits: Tensor, labels: Tensor) -> Tensor:
    """ANL-CE as published code writes losses: pixels as rows, a dense one-hot, a softmax a term."""
    rows = logits.movedim(1, -1).reshape(-1, logits.shape[1])
    target = torch.nn.functional.one_hot(labels.flatten(), rows.shape[1]).to(rows.dtype)
    log_p = rows.log_softmax(1)
    nce = (target * log_p).sum(1) / log_p.sum(1)
    flipped = rows.softmax(1).clamp(min=1e-7).log() - torch.tensor(1e-7).log()
    nnce = 1 - (target * flipped).sum(1) / flipped.sum(1)
    return (nce + nnce).mean()


def candidates(shape: tuple[int, ...]) -> dict[str, Loss]:
    table: dict[str, Loss] = {BASELINE: torch.nn.functional.cross_entropy}
    if len(shape) > 2:
        dice_and_ce = DC_and_CE_loss(
            {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False},
            {},
            dice_class=MemoryEfficientSoftDiceLoss,
        )
        table["Dice + CE (nnU-Net)"] = lambda z, y: dice_and_ce(z, y.unsqueeze(1))
    table["anl-ce, one-hot"] = one_hot_anl_ce
    table[COMPILED] = torch.compile(losses.create("anl-ce"), dynamic=False)
    return table | {name: losses.create(name) for name in ROWS}


def run(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    torch.autograd.backward(loss(logits, labels))
    if logits.is_cuda:
        torch.cuda.synchronize()


def seconds(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    calls = 20 if logits.ndim == 2 else 1
    start = time.perf_counter()
    for _ in range(calls):
        run(loss, logits, labels)
    return (time.perf_counter() - start) / calls


def peak_bytes(loss: Loss, logits: Tensor, labels: Tensor) -> int:
    """Most memory held at once beyond logits and labels, the gradient included."""
    logits.grad = None
    if logits.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run(loss, logits, labels)
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run(loss, logits, labels)
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak


def first_call(loss: Loss, logits: Tensor, labels: Tensor) -> float:
    """Seconds of one call of a loss that was never called, what it compiles included."""
    start = time.perf_counter()
    run(loss, logits, labels)
    return time.perf_counter() - start


def measure(
    shape: tuple[int, ...], dtype: torch.dtype, device: str, repeats: int
) -> tuple[list[str], list[str]]:
    """One table, and the rows that miss their goal."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    logits = (3 * torch.randn(shape)).to(device, dtype).requires_grad_()
    labels = torch.randint(shape[1], (shape[0], *shape[2:])).to(device)
    table = candidates(shape)
    first = {name: first_call(loss, logits, labels) for name, loss in table.items()}
    times: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(repeats):
        for name, loss in table.items():
            times[name].append(seconds(loss, logits, labels))
    median = {name: statistics.median(values) for name, values in times.items()}
    memory = {name: peak_bytes(loss, logits, labels) for name, loss in table.items()}
    on_gpu = device.startswith("cuda")  # elsewhere a time says more of the machine than of the loss
    head = ["loss", *(["ms"] if on_gpu else []), "time / CE", "peak MiB", "memory / CE"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    missed = []
    for name in table:
        slower = median[name] / median[BASELINE]
        larger = memory[name] / memory[BASELINE]
        goal = GOALS.get(name, OTHER_GOAL)
        if (name in ROWS or name in GOALS) and max(slower, larger) > goal + 0.005:
            missed.append(f"{name} {slower:.2f} / {larger:.2f}")
        lines.append(
            f"| {name} | "
            + (f"{median[name] * 1e3:.2f} | " if on_gpu else "")
            + f"{slower:.2f} | {memory[name] / 2**20:.1f} | {larger:.2f} |"
        )
    lines += ["", f"First call: compiled {first[COMPILED]:.1f} s, anl-ce {first['anl-ce']:.1f} s."]
    return lines, missed


def machine(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':')[1].strip()}, {torch.get_num_threads()} threads"
    return f"{platform.processor()}, {torch.get_num_threads()} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    on_gpu = arguments.device.startswith("cuda")
    output = Path(__file__).with_name("losses_cuda.md" if on_gpu else "losses.md")
    # nnU-Net's networks give float16 on GPUs
    dtypes = (torch.float32, torch.float16) if on_gpu else (torch.float32,)
    lines = [
        "# Losses: forward and backward, time and peak memory",
        "",
        "Written by `python benchmarks/losses.py`; do not edit.",
        "",
        f"{machine(arguments.device)}; torch {torch.__version__}, "
        f"Python {platform.python_version()}; {date.today().isoformat()}; median of "
        f"{arguments.repeats} interleaved runs; load {os.getloadavg()[0]:.1f} before. "
        "Peak memory is what is held beyond logits and labels, the logits' gradient included.",
        "",
        f"Goal: ANL-CE at most 1.0 times cross entropy in both, the other rows {OTHER_GOAL}.",
        "",
        *DECISIONS,
    ]
    for shape, dtype in itertools.product(SHAPES, dtypes):
        table, missed = measure(shape, dtype, arguments.device, arguments.repeats)
        verdict = f"Goal missed (time / memory) by {', '.join(missed)}." if missed else "Goal met."
        lines += ["", f"## {shape}, {str(dtype).removeprefix('torch.')}", "", *table, "", verdict]
        print("\n".join(lines[-len(table) - 5 :]), flush=True)
    write_text(output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
