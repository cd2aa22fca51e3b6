"""Work shared by the processes of a training on several GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist


def own_share(trainer: Any, cases: Sequence[str]) -> Sequence[str]:  # noqa: ANN401 (nnU-Net carries no types)
    """Return this process's share of `cases`.

    One process cannot do all of them, because NCCL fails if others wait for ten minutes.
    """
    return cases[trainer.local_rank :: dist.get_world_size()] if trainer.is_ddp else cases


def wait_for_all(trainer: Any) -> None:  # noqa: ANN401
    """Wait until all processes of a training have reached this call."""
    if trainer.is_ddp:
        dist.barrier()
