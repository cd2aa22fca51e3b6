"""Noise in annotation, made to order and written down: masks today, class labels to come.

>>> import numpy as np
>>> from anl_seg.noise import corrupt, generator
>>> mask = np.zeros((64, 64), dtype=bool)
>>> mask[20:40, 20:40] = True
>>> noisy, record = corrupt(mask, "erosion", 0.5, generator(0, "case_1"))
>>> record.achieved
0.5
"""

from __future__ import annotations

from anl_seg.noise.dataset import corrupt_masks
from anl_seg.noise.masks import KINDS, Record, apply, corrupt, draw
from anl_seg.noise.selection import choose, generator

__all__ = [
    "KINDS",
    "Record",
    "apply",
    "choose",
    "corrupt",
    "corrupt_masks",
    "draw",
    "generator",
]
