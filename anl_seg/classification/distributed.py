"""Several processes started by torchrun: who is who, and sums over all of them."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

if dist.is_available():
    # DistributedDataParallel imports this module, whose functions keep the process group of that
    # moment as a default argument. Imported before there is a group, they keep none.
    import torch.distributed.nn


@dataclass(frozen=True)
class Ranks:
    """Number of this process, also on its machine, and number of all; one process by default."""

    rank: int = 0
    local_rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0


@contextmanager
def ranks() -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did, and leave them at the end.

    What lies on a GPU goes through NCCL, everything else through gloo. Objects that use the group,
    such as a network in `DistributedDataParallel`, must not outlive the context. The threads of
    gloo end with the last reference to the group. A thread that is left and frees a tensor while
    Python shuts down aborts the process, which happens on busy machines.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Ranks()
        return
    local_rank = int(os.environ["LOCAL_RANK"])
    if local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(dist.get_rank(), local_rank, dist.get_world_size())
    finally:
        gc.collect()  # DistributedDataParallel is part of reference cycles
        dist.destroy_process_group()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Add `tensor` of all processes, in place; alone it stays as it is."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(tensor)
    return tensor


def gather_over_ranks(tensor: Tensor) -> Tensor:
    """Join `tensor`, of the same length in all processes, along its first axis."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor)
    return torch.cat(parts)


def share_buffers(model: nn.Module) -> None:
    """Give all processes the running statistics of the first one, which its checkpoints hold.

    `DistributedDataParallel` does so before a step, hence not after the last one of an epoch.
    """
    if dist.is_available() and dist.is_initialized():
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def wait_for_all() -> None:
    """Wait until all processes have come here."""
    sum_over_ranks(torch.zeros(1))
