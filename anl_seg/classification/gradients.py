"""Gradients of a normalised negative loss by the other classes than the label (Fig. 7)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from anl_seg.losses.functional import Summand
from anl_seg.losses.slopes import value_and_slope

#: Statistics of a box, by name.
Box = dict[str, float]


def negative_summand(criterion: nn.Module) -> Summand | None:
    """Return the normalised negative part of a loss, NNCE or NNFL, if it has one."""
    summands: tuple[Summand, ...] = getattr(criterion, "summands", ())
    return next((part for part in summands if part.form == "normalized negative"), None)


@torch.no_grad()
def largest_gradients(summand: Summand, logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the largest derivative of each sample's loss by the probability of another class.

    With T = sum_k (A - l(u_k)), u = log p, it is the maximum over j != y of

        dL/dp_j = (A - l(u_y)) / T^2 * -l'(u_j) / p_j

    For NNCE, l = -u, this is eq. 16. As in the loss, probabilities are first clipped at p_min. The
    derivative is by the clipped probabilities, as in eq. 16. (In training, the gradient of the loss
    is 0 below the clip.) The weight of the part is left out.

    Args:
        summand: The normalised negative part of a loss.
        logits: `(B, K)`.
        labels: `(B,)`, int64.

    Returns:
        Derivatives `(B,)`, at least 0.
    """
    own = labels.unsqueeze(1)
    unclipped = logits.log_softmax(1)
    log_probs = unclipped.clamp(min=math.log(summand.p_min))
    probs = log_probs.exp()
    losses, slopes = value_and_slope(summand.curve, log_probs, probs, lambda: 1 - probs)
    flipped = (summand.largest - losses).where(unclipped > math.log(summand.p_min), 0)
    gradients = (-slopes / probs).scatter(1, own, 0)
    shares = flipped.gather(1, own).squeeze(1) / flipped.sum(1).square()
    return gradients.amax(1) * shares


def describe_boxes(values: NDArray[np.floating], wrong: NDArray[np.bool_]) -> dict[str, Box]:
    """Describe box plots of correctly ("clean") and wrongly labelled ("mislabelled") samples.

    Args:
        values: One value per sample, `(N,)`. Values that are not finite, from a diverged training,
            are left out.
        wrong: Mask of the mislabelled samples, `(N,)`.

    Returns:
        For each group with samples: number n, mean, q1, median, q3, and the whiskers low and high,
        which reach the last samples within 1.5 times q3 - q1 of the box.
    """
    finite = np.isfinite(values)
    groups = {"clean": values[finite & ~wrong], "mislabelled": values[finite & wrong]}
    return {name: _box(group.astype(np.float64)) for name, group in groups.items() if len(group)}


def _box(values: NDArray[np.float64]) -> Box:
    q1, median, q3 = np.percentile(values, (25, 50, 75))
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    return {
        "n": len(values),
        "mean": float(values.mean()),
        "low": float(min(inside.min(), q1)),
        "q1": float(q1),
        "median": float(median),
        "q3": float(q3),
        "high": float(max(inside.max(), q3)),
    }
