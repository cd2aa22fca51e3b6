"""Work that the processes of one training share, if it runs on several GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist


def own_share(trainer: Any, cases: Sequence[str]) -> Sequence[str]:  # noqa: ANN401 (nnU-Net carries no types)
    """Return the cases that this process does of a work for all `cases`.

    Processes that wait are no choice: NCCL fails if one waits ten minutes for another.
    """
    return cases[trainer.local_rank :: dist.get_world_size()] if trainer.is_ddp else cases


def wait_for_all(trainer: Any) -> None:  # noqa: ANN401
    """Wait until all processes of a training have come here."""
    if trainer.is_ddp:
        dist.barrier()
