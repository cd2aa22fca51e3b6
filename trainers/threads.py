"""Number of threads of a training on a CPU."""

from __future__ import annotations

import os

import torch

from anl_seg.processes import processors


def keep_to_own_processors() -> None:
    """Use as many threads as OMP_NUM_THREADS says, or as processors that this process may use.

    On a CPU nnU-Net ignores both and uses a thread for every processor. Threads that share a
    processor wait for each other: a training then takes up to twenty times as long.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    chosen = int(threads) if threads.isdecimal() else 0
    torch.set_num_threads(chosen or processors())
