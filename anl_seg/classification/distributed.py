"""Processes started by torchrun: their ranks, and sums over all of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from anl_seg.errors import InputError

if dist.is_available():
    # DistributedDataParallel imports this module, whose functions keep the current process group as
    # a default argument. If it is imported before a group exists, they keep none.
    import torch.distributed.nn


@dataclass(frozen=True)
class Ranks:
    """Rank of this process, overall and on its machine, and number of processes, by default 1."""

    rank: int = 0
    local_rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


@contextmanager
def ranks(device: str = "auto") -> Iterator[Ranks]:
    """Join the processes that torchrun started, if any, and leave them at the end.

    Tensors on a GPU use NCCL, all others gloo. Objects that use the group, such as a network in
    `DistributedDataParallel`, must not outlive the context. The threads of gloo end with the last
    reference to the group. If a thread remains and frees a tensor while Python shuts down, it
    aborts the process. This happens on busy machines.

    Args:
        device: Device of the training. On "cpu" there may be more processes than GPUs.

    Raises:
        InputError: If the training uses GPUs, but the machine has fewer than processes.
    """
    if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    if 0 < gpus <= local_rank:
        raise InputError(
            f"torchrun started more processes on this machine than its GPUs ({gpus}); use "
            f"--nproc-per-node {gpus}"
        )
    if gpus:
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    try:
        yield Ranks(dist.get_rank(), local_rank, dist.get_world_size())
    finally:
        gc.collect()  # DistributedDataParallel is part of reference cycles
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Add `tensor` of all processes in place; with one process nothing changes."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def gather_over_ranks(tensor: Tensor) -> Tensor:
    """Concatenate `tensor` of all processes along its first axis; all must have the same length."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def share_buffers(model: nn.Module) -> None:
    """Copy the running statistics of the first process, which writes checkpoints, to all others.

    `DistributedDataParallel` does this before each step, but not after the last one of an epoch.
    """
    if dist.is_available() and dist.is_initialized():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def wait_for_all() -> None:
    """Wait until all processes have reached this call."""
    sum_over_ranks(torch.zeros(1))
