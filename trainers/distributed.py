"""Work shared by the processes of a training on several GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist


def own_share(trainer: Any, cases: Sequence[str]) -> Sequence[str]:  # noqa: ANN401 (nnU-Net carries no types)
    """Return this process's share of `cases`.

    One process cannot do all of them, because NCCL fails if others wait for ten minutes.
    """
    return cases[trainer.local_rank :: dist.get_world_size()] if trainer.is_ddp else cases


def sum_over_all(trainer: Any, values: Sequence[float]) -> list[float]:  # noqa: ANN401
    """Return the sums of `values` over all processes of a training."""
    if not trainer.is_ddp:
        return list(values)
    total = torch.tensor(values, dtype=torch.float64, device=trainer.device)
    dist.all_reduce(total)
    return [float(value) for value in total]


def wait_for_all(trainer: Any) -> None:  # noqa: ANN401
    """Wait until all processes of a training have reached this call."""
    if trainer.is_ddp:
        dist.barrier()
