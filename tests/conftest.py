"""Configuration of all tests: they test the installed package, however pytest was started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Several processes at a time: each with one thread, which torch reads when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# `python -m pytest` puts the checkout first on the path; there `anl_seg` lacks noise and trainers,
# which lie beside it and become part of it by installation.
CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != CHECKOUT]

# Triton's kernels run on the CPU then; it has to know before anything imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

#: More processes than this do not shorten the tests: a few whole trainings last longest.
MOST_PROCESSES = 4


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in one process for each processor, and a part of it in this one."""
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    return min(os.cpu_count() or 1, MOST_PROCESSES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that no process is left with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
