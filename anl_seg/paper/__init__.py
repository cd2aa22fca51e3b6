"""The paper's tables as data: Ye et al., arXiv:2412.02373."""

from __future__ import annotations

from anl_seg.paper.tables import HyperParameters, PublishedCell, hyper_parameters, published

__all__ = ["HyperParameters", "PublishedCell", "hyper_parameters", "published"]
