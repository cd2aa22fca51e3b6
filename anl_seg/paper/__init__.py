"""The paper's tables as data: Ye et al., arXiv:2412.02373.

`TRIED` has the values of alpha, beta and delta that the paper tries.
"""

from __future__ import annotations

from anl_seg.paper.tables import (
    TRIED,
    HyperParameters,
    PublishedCell,
    hyper_parameters,
    published,
)

__all__ = ["TRIED", "HyperParameters", "PublishedCell", "hyper_parameters", "published"]
