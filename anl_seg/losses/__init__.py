"""Losses that withstand noisy labels, for classification and segmentation in 2D and 3D.

    loss = anl_seg.losses.create("anl-ce", alpha=5, beta=5)
    loss(logits, labels)  # (B, K, *S) and (B, *S) or (B, 1, *S)

`names()` lists the losses, and `GUIDE` recommends one per situation. `describe(name)` returns
formula, hyper-parameters and source of a loss; `preset(name, dataset)` returns the paper's values.
Regularisers are separate functions.

The losses work under `torch.func`, `vmap`, forward-mode differentiation and `torch.compile`.

A logit of -inf gives the limit of the loss for a logit that falls without bound:

- At a class other than the label, loss and gradient are finite.
- At the label, "ce", "fl" and "sce" are infinite, and all other losses reach their bound. The
  normalised and the normalised negative form are 1; the latter has gradient 0.
- If all logits of a pixel are -inf, the loss is NaN, as in `torch.nn.functional.cross_entropy`.
"""

from anl_seg.losses.guide import GUIDE, Advice
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
    "GUIDE",
    "PRESETS",
    "Advice",
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
