"""One seed for all random generators of a training."""

from __future__ import annotations

import random

import numpy as np
import torch


def seed_epoch(seed: int, epoch: int, rank: int) -> None:
    """Seed Python, NumPy and torch, differently for each epoch and rank.

    A resumed training thus draws the same numbers as an uninterrupted one.

    Args:
        seed: Seed of the training.
        epoch: The epoch, counted from 0.
        rank: Rank of this process among those of the training.
    """
    mixed = int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)  # noqa: NPY002 (nnU-Net's augmentation draws from the global generator)
    torch.manual_seed(mixed)
