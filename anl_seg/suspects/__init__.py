"""Which masks are probably wrong: scores, a ranking, and data sets revised by a person's decisions.

>>> import numpy as np
>>> from anl_seg.suspects import score
>>> disc = np.hypot(*np.mgrid[-16:16, -16:16]) < 9
>>> probability = np.clip((10 - np.hypot(*np.mgrid[-16:16, -16:16])) / 2, 0.02, 0.98)
>>> softmax = np.stack([1 - probability, probability])
>>> right, wrong = score([softmax, softmax], [disc, np.roll(disc, 6, axis=1)])
>>> bool(wrong > right)
True
"""

from __future__ import annotations

from anl_seg.suspects.classes import Classes, declared_classes, plain_classes
from anl_seg.suspects.evidence import Evidence, measure
from anl_seg.suspects.kinds import KINDS, guess_kind
from anl_seg.suspects.ranking import Ranking, Suspect, rank
from anl_seg.suspects.scoring import score

__all__ = [
    "KINDS",
    "Classes",
    "Evidence",
    "Ranking",
    "Suspect",
    "declared_classes",
    "guess_kind",
    "measure",
    "plain_classes",
    "rank",
    "score",
]
