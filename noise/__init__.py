"""Noise in annotation, made to order and written down: masks, label maps, whole data sets.

>>> import numpy as np
>>> from anl_seg.noise import corrupt, generator
>>> mask = np.zeros((64, 64), dtype=bool)
>>> mask[20:40, 20:40] = True
>>> noisy, record = corrupt(mask, "erosion", 0.5, generator(0, "case_1", "1"))
>>> record.achieved
0.5
"""

from __future__ import annotations

from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.dataset import POLICIES, Settings, corrupt_masks, plan_masks
from anl_seg.noise.label_maps import apply_labels, corrupt_labels
from anl_seg.noise.masks import KINDS, METHODS, PAPER_KINDS, Record, apply, corrupt, draw
from anl_seg.noise.measures import Measures, measure
from anl_seg.noise.selection import choose, generator
from anl_seg.noise.verify import verify

__all__ = [
    "KINDS",
    "METHODS",
    "PAPER_KINDS",
    "POLICIES",
    "SITUATIONS",
    "Measures",
    "Record",
    "Settings",
    "apply",
    "apply_labels",
    "choose",
    "corrupt",
    "corrupt_labels",
    "corrupt_masks",
    "draw",
    "generator",
    "measure",
    "plan_masks",
    "verify",
]
