"""Add recorded noise to annotations: masks, label maps, whole data sets.

Examples:
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
from anl_seg.noise.dataset import corrupt_masks, rehearse
from anl_seg.noise.kinds import KINDS, PAPER_KINDS
from anl_seg.noise.label_maps import apply_labels, corrupt_labels
from anl_seg.noise.masks import NoiseRecord, apply, corrupt, draw
from anl_seg.noise.measures import Measures, measure
from anl_seg.noise.methods import CORRECTED, METHODS, PUBLISHED, NoiseMethod, find_method
from anl_seg.noise.plan import plan_masks
from anl_seg.noise.selection import choose, generator
from anl_seg.noise.settings import POLICIES, NoiseSettings
from anl_seg.noise.verify import verify

__all__ = [
    "CORRECTED",
    "KINDS",
    "METHODS",
    "PAPER_KINDS",
    "POLICIES",
    "PUBLISHED",
    "SITUATIONS",
    "Measures",
    "NoiseMethod",
    "NoiseRecord",
    "NoiseSettings",
    "apply",
    "apply_labels",
    "choose",
    "corrupt",
    "corrupt_labels",
    "corrupt_masks",
    "draw",
    "find_method",
    "generator",
    "measure",
    "plan_masks",
    "rehearse",
    "verify",
]
