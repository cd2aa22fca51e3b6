"""Noise in class labels: symmetric, asymmetric, instance-dependent and human.

>>> import numpy as np
>>> from anl_seg.noise import labels
>>> clean = np.repeat(np.arange(10), 100)
>>> noisy = labels.draw(clean, kind="symmetric", eta=0.4, seed=1, n_classes=10)
>>> noisy.rate
0.4
"""

from __future__ import annotations

from anl_seg.noise.labels.draws import DRAWS, KINDS, check, draw
from anl_seg.noise.labels.files import load, save
from anl_seg.noise.labels.record import NoisyLabels

__all__ = ["DRAWS", "KINDS", "NoisyLabels", "check", "draw", "load", "save"]
