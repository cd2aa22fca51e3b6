"""Shared parts of the benchmarks: conditions, alternating timing, and wrapped documents."""

from __future__ import annotations

import os
import platform
import random
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

from anl_seg.provenance import versions

Measured = TypeVar("Measured")


def wrapped(document: str, width: int = 100) -> str:
    """Wrap the paragraphs of a Markdown document. Tables, headings and lists stay as they are."""
    return "\n".join(
        line
        if line.startswith(("|", "#", "-", " "))
        else textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in document.split("\n")
    )


def conditions(*packages: str, device: str = "cpu", threads: int | None = None) -> str:
    """Describe the measurement. Call it before the work, so that the load is from other work.

    Args:
        packages: Names of the relevant packages.
        device: Device of the work, "cpu" or "cuda".
        threads: Number of threads of the work, if known.

    Returns:
        Machine, versions, date and load, such as "AMD EPYC, 2 threads; python 3.11.7, torch
        2.15.0; 2026-11-23; load 0.4 before". Real-time priority is stated too, because a load then
        matters little.
    """
    used = "" if threads is None else f", {threads} thread{'s' if threads > 1 else ''}"
    found = ", ".join(f"{name} {version}" for name, version in versions(*packages).items())
    load = f"load {os.getloadavg()[0]:.1f} before"
    if sys.platform == "linux" and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        load += ", of other work; all commands had real-time priority"
    return f"{processor(device)}{used}; {found}; {date.today()}; {load}"


def processor(device: str = "cpu") -> str:
    """Return the name of the processor, or of the GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    cpus = Path("/proc/cpuinfo")
    for line in cpus.read_text().splitlines() if cpus.exists() else ():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def elapsed(work: Callable[[], object], device: str = "cpu") -> float:
    """Measure the seconds of some work, including work on the GPU."""
    start = time.perf_counter()
    work()
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def take_turns(
    sides: Mapping[str, Callable[[], Measured]], repeats: int, *, shuffled: bool = False
) -> dict[str, list[Measured]]:
    """Measure all sides once in each repetition, so that other work affects all of them.

    Args:
        sides: Functions that measure once, by name.
        repeats: Number of repetitions.
        shuffled: Whether each repetition has its own order, so that no side always follows the same
            other one in the caches.

    Returns:
        Measurements by name, in the order of the repetitions.
    """
    found: dict[str, list[Measured]] = {name: [] for name in sides}
    shuffle = random.Random(0).sample
    for _ in range(repeats):
        for name in shuffle(list(sides), len(sides)) if shuffled else sides:
            found[name].append(sides[name]())
    return found
