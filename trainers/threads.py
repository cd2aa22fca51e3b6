"""Number of threads of a training on a CPU."""

from __future__ import annotations

import os

import torch


def keep_to_omp_num_threads() -> None:
    """Use the number of threads in OMP_NUM_THREADS, if it is set.

    On a CPU nnU-Net ignores the variable and uses all processors. Two trainings at once then wait
    for each other's threads and take twenty times as long.
    """
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        torch.set_num_threads(int(threads))
