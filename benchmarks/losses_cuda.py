"""Time and memory of the losses on a GPU, as multiples of those of torch's cross entropy.

    python benchmarks/losses_cuda.py                    # writes benchmarks/losses_cuda.md
    python benchmarks/losses_cuda.py --losses anl-ce    # some rows; prints only
    python benchmarks/losses_cuda.py --tune tuning.csv  # times the kernels for many tiles and warps

Forward and backward are measured together, captured in a CUDA graph and as called from Python.
Processes first compile the kernels for Triton's cache. A loss that fails is reported by name.
"""

from __future__ import annotations

import argparse
import csv
import gc
import itertools
import math
import multiprocessing
import os
import statistics
import time
import traceback
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import torch
from losses import BASELINE, GOALS, OTHER_GOAL, ROWS, SHAPES, Loss, peers
from torch import Tensor

from anl_seg import losses
from anl_seg.formats.files import write_text
from anl_seg.losses.functional import probability
from common import conditions, take_turns, wrapped

#: Types of the logits, and the rows measured in each. bfloat16 takes the same paths as float16.
TYPES = {
    torch.float32: ROWS,
    torch.float16: ROWS,
    torch.bfloat16: ["ce", "gce", "nfl+rce", "anl-ce", "anl-ce*", "t-loss"],
}
TUNED = {
    torch.float32: ["gce", "nfl+rce", "anl-ce", "anl-ce*"],
    torch.float16: ["anl-ce", "anl-ce*"],
}
#: Tiles and warps with 4 to 64 logits in a thread.
PROGRAMS = [
    (tile, warps)
    for tile, warps in itertools.product((512, 1024, 2048, 4096, 8192), (1, 2, 4, 8, 16))
    if 4 <= tile / (32 * warps) <= 64
]
Case = tuple[str, tuple[int, ...], torch.dtype]


def draw(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    logits = 3 * torch.randn(shape, device="cuda")
    labels = torch.randint(shape[1], (shape[0], *shape[2:]), device="cuda")
    return logits.to(dtype).requires_grad_(), labels


def run(loss: Loss, logits: Tensor, labels: Tensor) -> None:
    logits.grad = None
    torch.autograd.backward(loss(logits, labels))


def capture(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    """Capture some work in a CUDA graph, after it ran on another stream as torch demands."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


class Clock:
    """Measures milliseconds; each time with an empty L2 cache.

    Args:
        calls: Number of calls in a row of which the mean is taken.
    """

    def __init__(self, calls: int = 1) -> None:
        self.calls = calls
        size = torch.cuda.get_device_properties().L2_cache_size
        self.cache = torch.empty(4 * size, dtype=torch.uint8, device="cuda")

    def on_device(self, work: Callable[[], object]) -> float:
        """Measure between two events on the device; the device is busy while Python starts."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.cache.zero_()
        start.record()
        for _ in range(self.calls):
            work()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / self.calls

    def from_python(self, work: Callable[[], object]) -> float:
        """Measure until the device has finished, Python's calls included; at most 5 in a row."""
        calls = min(self.calls, 5)
        self.cache.zero_()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3 / calls


def peak_bytes(loss: Loss, logits: Tensor, labels: Tensor) -> int:
    """Measure peak memory beyond logits and labels, including the gradient."""
    logits.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(loss, logits, labels)
    return torch.cuda.max_memory_allocated() - before


def copied_per_ms() -> float:
    """Measure the bytes that a copy on the device reads and writes in a millisecond."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    times = [Clock().on_device(lambda: target.copy_(source)) for _ in range(9)]
    return 2 * source.nbytes / statistics.median(times)


def measure(
    makers: Mapping[str, Callable[[], Loss]],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    repeats: int,
    bandwidth: float,
) -> tuple[list[str], list[str]]:
    """Build one table.

    Returns:
        The lines of the table, and a line for each loss that failed.
    """
    gc.freeze()  # torch collects garbage before each capture
    logits, labels = draw(shape, dtype)
    clock = Clock(20 if len(shape) == 2 else 1)
    reference = partial(run, BASELINE, logits, labels)
    reference_graph = capture(reference)
    reference_bytes = peak_bytes(BASELINE, logits, labels)
    floor = (3 * logits.nbytes + 2 * labels.nbytes) / bandwidth
    lines = ["| loss | time | times the floor | time from Python | memory |", "|---" * 5 + "|"]
    own_times: dict[str, list[float]] = defaultdict(list)
    missed: list[str] = []
    failures: dict[str, str] = {}
    for name, make in makers.items():
        try:
            loss = make()
            work = partial(run, loss, logits, labels)
            graph = capture(work)
            device = {"ce": reference_graph.replay, "loss": graph.replay}
            python = {"ce": reference, "loss": work}
            spent = [
                take_turns({k: partial(clock.on_device, v) for k, v in device.items()}, repeats),
                take_turns({k: partial(clock.from_python, v) for k, v in python.items()}, repeats),
            ]
            memory = peak_bytes(loss, logits, labels) / reference_bytes
        except Exception as error:  # the other losses are measured all the same
            failures[name] = f"{name}, {shape}, {dtype}: {error!r}"
            traceback.print_exc()
            torch.cuda.synchronize()  # fails, and ends the run, if the device is lost
            continue
        median = [{k: statistics.median(v) for k, v in times.items()} for times in spent]
        on_device, from_python = (m["loss"] / m["ce"] for m in median)
        for key, times in zip(("device", "python"), median, strict=True):
            own_times[key].append(times["ce"])
        ratio = median[0]["loss"] / floor
        cells = [name, *(f"{x:.2f}" for x in (on_device, ratio, from_python, memory))]
        lines.append(f"| {' | '.join(cells)} |")
        if name in ROWS and max(on_device, memory) > GOALS.get(name, OTHER_GOAL) + 0.005:
            missed.append(name)
        del graph
    if own_times:
        device_ms, python_ms = (statistics.median(times) for times in own_times.values())
        lines += [
            "",
            f"Cross entropy: {device_ms:.4f} ms, {python_ms:.4f} ms from Python, "
            f"{reference_bytes / 2**20:.1f} MiB. The floor is {floor:.4f} ms.",
            f"Goal missed: {', '.join(missed) or 'by none'}.",
        ]
    if failures:
        lines.append(f"Failed: {', '.join(failures)}.")
    return lines, list(failures.values())


def create(name: str) -> Loss:
    return losses.create(name).cuda()


def compile_loss(case: Case) -> None:
    """Run a loss once on one image, which puts its kernels into Triton's cache."""
    name, shape, dtype = case
    logits, labels = draw(shape if len(shape) == 2 else (1, *shape[1:]), dtype)
    run(create(name), logits, labels)
    torch.cuda.synchronize()


def compile_program(case: tuple[Case, int, int]) -> None:
    """Run the kernels of a loss once with this tile and number of warps."""
    (name, shape, dtype), tile, warps = case
    logits, labels = draw(shape if len(shape) == 2 else (1, *shape[1:]), dtype)
    for work in kernel_calls(name, logits, labels, tile, warps).values():
        work()
    torch.cuda.synchronize()


def compile_first(function: Callable[[Any], None], cases: Sequence[Any]) -> None:
    """Call a function for each case, in as many processes as there are processors.

    A failure is only counted here. It happens again, and is reported, when the case is measured.
    """
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 16), context) as pool:
        futures = [pool.submit(function, case) for case in cases]
        wait(futures)
    failed = [future for future in futures if future.exception()]
    seconds = time.perf_counter() - start
    print(f"compiled {len(cases)} cases in {seconds:.0f} s, {len(failed)} failed", flush=True)


def report(names: Sequence[str] | None, repeats: int) -> None:
    """Measure all rows, or only some, and write the document unless it would be partial."""
    cases = [
        (name, shape, dtype)
        for dtype, rows in TYPES.items()
        for shape in SHAPES
        for name in rows
        if names is None or name in names
    ]
    measured = conditions("torch", "triton", device="cuda")
    compile_first(compile_loss, cases)
    bandwidth = copied_per_ms()
    lines = [
        "# Losses on a GPU: forward and backward, time and peak memory",
        "",
        "Written by `python benchmarks/losses_cuda.py`; do not edit.",
        "",
        f"{measured}; median of {repeats} runs. A copy on the device moves "
        f"{bandwidth / 1e9:.2f} TB/s, read and written.",
        "",
        "Times and peak memory are multiples of those of torch's cross entropy, which takes turns",
        "with the loss. Both are captured in a CUDA graph and start with an empty L2 cache. The",
        "time from Python is without the graph, until the device has finished. Peak memory is what",
        "is held beyond logits and labels, the logits' gradient included.",
        "",
        "The floor is the time to read the logits and the labels twice and to write the gradient",
        "once, at the speed of the copy.",
        "",
        f"Goal: at most 1.0 in time and memory for ANL-CE, {OTHER_GOAL} for the other rows.",
    ]
    failures: list[str] = []
    output = Path(__file__).with_name("losses_cuda.md")
    for shape, (dtype, rows) in itertools.product(SHAPES, TYPES.items()):
        makers = {name: partial(create, name) for name in rows}
        if names is not None:
            makers = {name: makers[name] for name in rows if name in names}
        section, failed = measure(peers(shape) | makers, shape, dtype, repeats, bandwidth)
        section = [f"## {shape}, {str(dtype).removeprefix('torch.')}", "", *section]
        print("\n".join(section), flush=True)
        lines += ["", *section]
        failures += failed
        if names is None:  # after each table, so that nothing is lost
            write_text(output, wrapped("\n".join(lines) + "\n"))
    print(f"{len(failures)} failed", *failures, sep="\n")


def kernel_calls(
    name: str, logits: Tensor, labels: Tensor, tile: int, warps: int
) -> dict[str, Callable[[], object]]:
    """Return the two passes of a loss with this tile and number of warps."""
    from anl_seg.losses import kernels

    summands = losses.create(name).summands
    number = labels.numel()
    scale = torch.full((), 1 / number, device="cuda").expand(labels.shape)
    starred = name.endswith("*")
    samples = len(logits) if logits.ndim > 2 else 1
    grad_sums = torch.full((samples, logits.shape[1]), 1 / number, device="cuda")
    z = logits.detach()

    def chosen(classes: int, pixels: int) -> tuple[int, int]:
        return tile, warps

    def forward() -> object:
        kernels.tile_and_warps = chosen
        if starred:
            return kernels.loss_and_sums(z, labels, None, summands, probability)
        return kernels.loss(z, labels, summands)

    def backward() -> object:
        kernels.tile_and_warps = chosen
        sums = (None, probability, grad_sums) if starred else ()
        return kernels.gradient(z, labels, summands, scale, *sums)

    return {"forward": forward, "backward": backward}


def tune(output: Path, repeats: int) -> None:
    """Time the kernels for each of `PROGRAMS`, write all times and print a summary."""
    from anl_seg.losses import kernels

    gc.freeze()  # torch collects garbage before each capture
    choose = kernels.tile_and_warps
    cases = [(n, s, t) for t, rows in TUNED.items() for s in SHAPES for n in rows]
    compile_first(compile_program, [(c, *program) for c in cases for program in PROGRAMS])
    times: dict[tuple[Any, ...], dict[tuple[int, int], float]] = defaultdict(dict)
    for (name, shape, dtype), program in itertools.product(cases, PROGRAMS):
        logits, labels = draw(shape, dtype)
        clock = Clock(20 if len(shape) == 2 else 1)
        for way, work in kernel_calls(name, logits, labels, *program).items():
            try:
                graph = capture(work)
                found = [clock.on_device(graph.replay) for _ in range(repeats)]
            except Exception:  # such as too much shared memory; the others are measured
                print(name, shape, dtype, program, traceback.format_exc(), flush=True)
                torch.cuda.synchronize()  # fails, and ends the run, if the device is lost
                continue
            times[name, shape, dtype, way][program] = statistics.median(found)
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["loss", "shape", "type", "pass", "tile", "warps", "ms"])
        for key, found in times.items():
            writer.writerows([*key, *program, ms] for program, ms in found.items())
    print("| loss | shape | type | pass | ms now | ms best | tile | warps |\n" + "|---" * 8 + "|")
    for (name, shape, dtype, way), found in times.items():
        best = min(found, key=found.__getitem__)
        now = choose(shape[1], math.prod(shape) // shape[1])
        known = f"{found[now]:.4f}" if now in found else "-"
        cells = [name, shape, str(dtype)[6:], way, known, f"{found[best]:.4f}", *best]
        print(f"| {' | '.join(map(str, cells))} |")
    print("\nGeometric mean over losses and types of the time over the best one:")
    columns = list(dict.fromkeys((shape, way) for _, shape, _, way in times))
    print("| tile, warps |", " | ".join(f"K={s[1]} {way}" for s, way in columns), "|")
    for program in PROGRAMS:
        means = []
        for column in columns:
            ratios = [
                found[program] / min(found.values())
                for (_, shape, _, way), found in times.items()
                if (shape, way) == column and program in found
            ]
            means.append(math.exp(statistics.mean(map(math.log, ratios))) if ratios else math.nan)
        print(f"| {program} |", " | ".join(f"{mean:.2f}" for mean in means), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--losses", nargs="+", metavar="LOSS", help="measure only these; print")
    parser.add_argument("--tune", type=Path, metavar="CSV", help="time the kernels; write to CSV")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("there is no NVIDIA GPU here; benchmarks/losses.py measures on the CPU")
    # a loss that falls back to PyTorch has failed here
    warnings.filterwarnings("error", "losses on .* use a slower path", RuntimeWarning)
    if arguments.tune:
        tune(arguments.tune, arguments.repeats)
    else:
        report(arguments.losses, arguments.repeats)


if __name__ == "__main__":
    main()
