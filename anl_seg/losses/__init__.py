"""Losses that withstand noisy labels, for classifiers and for masks in 2D and 3D, in pure PyTorch.

    loss = anl_seg.losses.create("anl-ce", alpha=5, beta=5)
    loss(logits, labels)  # (B, K, *S) and (B, *S)

`names()` lists the losses, `describe(name)` gives formula, hyper-parameters and source of one, and
`preset(name, dataset)` what the paper trained it with. Regularisers stand beside the losses.
"""

from anl_seg.losses.module import RobustLoss, create
from anl_seg.losses.presets import PRESETS, Preset, preset
from anl_seg.losses.regularizers import (
    add_l1_gradient,
    add_l2_gradient,
    entropy,
    jacobian_norm_squared,
    l1_norm,
    l2_norm_squared,
)
from anl_seg.losses.table import LossSpec, Parameter, canonical_name, complete, describe, names
from anl_seg.losses.tloss import TLoss

__all__ = [
    "PRESETS",
    "LossSpec",
    "Parameter",
    "Preset",
    "RobustLoss",
    "TLoss",
    "add_l1_gradient",
    "add_l2_gradient",
    "canonical_name",
    "complete",
    "create",
    "describe",
    "entropy",
    "jacobian_norm_squared",
    "l1_norm",
    "l2_norm_squared",
    "names",
    "preset",
]
