"""Order of the training images in each epoch, cut into batches and shared among processes.

Everything random in an epoch comes from one generator on the CPU, seeded by the run's seed and the
number of the epoch. So no state has to be saved, and order and augmentation are the same on every
device.
"""

from __future__ import annotations

import numpy as np
import torch


def epoch_seed(seed: int, epoch: int) -> int:
    """Return a seed for this epoch of this run, unrelated to all other seeds."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Create the generator, on the CPU, of everything random in this epoch."""
    return torch.Generator().manual_seed(epoch_seed(seed, epoch))


def batches(n: int, batch_size: int, rank: int = 0, world: int = 1) -> list[slice]:
    """Cut positions 0 to n-1 of an order into batches, and return this process's part of each.

    The parts of all processes have the same length, so that the mean of their gradients is the
    gradient of the whole batch. The last, smaller batch therefore loses up to `world` - 1 images,
    different ones in each epoch. It is left out if a process would get a single image, which batch
    normalisation cannot use.
    """
    parts = []
    for start in range(0, n, batch_size):
        size = (min(start + batch_size, n) - start) // world
        if size > 1:
            parts.append(slice(start + rank, start + size * world, world))
    return parts
