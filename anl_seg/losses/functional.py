"""The losses, one value per sample or pixel: curves of log p in three forms.

A curve l(u) is the loss of a pixel whose label has the log-probability u = log p_y. Nearly all
losses against label noise are sums of curves in three forms:

    plain                L = l(u_y)
    normalized           L = l(u_y) / sum_k l(u_k)                           (eq. 2)
    normalized negative  L = 1 - (A - l(u_y)) / sum_k (A - l(u_k))           (eq. 7)

Equation numbers refer to "the paper": Ye et al., "Active Negative Loss: A Robust Framework for
Learning with Noisy Labels", arXiv:2412.02373. "The published code" is the code that it links to.

Curves take a tensor of any shape. Forms take log-probabilities `(B, K, *S)`, the log-softmax of the
logits, and labels `(B, *S)`, int64 in [0, K). They return `(B, *S)`. `S` is empty for a classifier,
`(H, W)` or `(D, H, W)` for masks. There is no reduction, no ignored label and no one-hot tensor
here, and everything can be differentiated twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

import torch
from torch import Tensor

Curve = Callable[..., Tensor]
#: What a loss of whole images sums over the pixels: `probability` or `squared_error`.
Addend = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]
Form = Literal["plain", "normalized", "normalized negative"]

#: Largest value of a curve in a normalised form. It prevents inf / inf if the label's logit is
#: -inf: the loss is then 1, its limit. (A power of 2 has an exact reciprocal.)
HUGE = 2.0**100
#: Log-probability below which p is negligible beside 1, and p log p beside log p.
NEGLIGIBLE = -100.0


def cross_entropy(u: Tensor) -> Tensor:
    """Compute cross entropy, l = -log p. It is unbounded, so wrong labels are fitted too."""
    return -u


def focal(u: Tensor, *, gamma: float) -> Tensor:
    """Compute the focal loss, l = -(1 - p)^gamma log p; cross entropy at gamma = 0.

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, eq. 4.
    """
    return -_focal_weight(u, gamma) * u


def focal_detached(u: Tensor, *, gamma: float) -> Tensor:
    """Compute the focal loss without differentiating (1 - p)^gamma, as the published code does.

    The value is that of `focal`. On random logits the gradient differs by about a sixth of its
    norm.
    """
    return -_focal_weight(u.detach(), gamma) * u


def mean_absolute_error(u: Tensor) -> Tensor:
    """Compute the mean absolute error, l = sum_k |p_k - q_k| = 2 (1 - p).

    Its slope in p_k is -1 at the label and 1 elsewhere (eq. 15).

    References:
        Ghosh et al., "Robust Loss Functions under Label Noise for Deep Neural Networks", AAAI 2017.
    """
    return 2 * _one_minus_p(u)


def half_mean_absolute_error(u: Tensor) -> Tensor:
    """Compute half the mean absolute error, l = 1 - p. The published code calls it MAE."""
    return _one_minus_p(u)


def reverse_cross_entropy(u: Tensor, *, q_min: float) -> Tensor:
    """Compute reverse cross entropy, l = -sum_k p_k log q_k = -log(q_min) (1 - p).

    Prediction p and label q are exchanged, so log 0 occurs. Wang et al. set it to a constant A < 0.
    Their code and the paper's clip q at 1e-4, so A = log(1e-4) = -9.21. For A = -4 set
    q_min = exp(-4).

    References:
        Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019.
    """
    return -math.log(q_min) * _one_minus_p(u)


def generalized_cross_entropy(u: Tensor, *, q: float) -> Tensor:
    """Compute generalised cross entropy, l = (1 - p^q) / q.

    It is half MAE at q = 1 and cross entropy as q -> 0.

    References:
        Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with
        Noisy Labels", NeurIPS 2018.
    """
    return -torch.expm1(q * u) / q


def partially_huberised_cross_entropy(u: Tensor, *, tau: float) -> Tensor:
    """Compute PHuber cross entropy: -log p, or its tangent log tau + 1 - tau p if p <= 1 / tau.

    References:
        Menon et al., "Can Gradient Clipping Mitigate Label Noise?", ICLR 2020.
    """
    return torch.where(u > -math.log(tau), -u, math.log(tau) + 1 - tau * u.exp())


def taylor_cross_entropy(u: Tensor, *, t: int) -> Tensor:
    """Compute Taylor cross entropy, l = sum_{i=1}^t (1 - p)^i / i.

    It is half MAE at t = 1 and cross entropy as t -> inf.

    References:
        Feng et al., "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI 2020.
    """
    miss = _one_minus_p(u)
    loss = torch.zeros_like(u)
    for i in range(int(t), 0, -1):  # Horner's scheme
        loss = miss * (loss + 1 / i)
    return loss


def asymmetric_generalized_cross_entropy(u: Tensor, *, a: float, q: float) -> Tensor:
    """Compute asymmetric generalised cross entropy (AGCE), l = ((a + 1)^q - (a + p)^q) / q.

    References:
        Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021.
    """
    return (math.pow(a + 1, q) - (a + u.exp()).pow(q)) / q


def asymmetric_unhinged_loss(u: Tensor, *, a: float, q: float) -> Tensor:
    """Compute the asymmetric unhinged loss (AUL), l = ((a - p)^q - (a - 1)^q) / q with a > 1.

    References:
        Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021.
    """
    return ((a - u.exp()).pow(q) - math.pow(a - 1, q)) / q


def asymmetric_exponential_loss(u: Tensor, *, a: float) -> Tensor:
    """Compute the asymmetric exponential loss (AEL), l = exp(-p / a).

    References:
        Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021.
    """
    return torch.exp(-u.exp() / a)


def plain(curve: Curve, log_probs: Tensor, labels: Tensor) -> Tensor:
    """Evaluate the curve at the label, L = l(u_y)."""
    return curve(_of_label(log_probs, labels))


def normalized(curve: Curve, log_probs: Tensor, labels: Tensor) -> Tensor:
    """Divide the curve at the label by its sum over the classes, L = l(u_y) / sum_k l(u_k) (eq. 2).

    L is in [0, 1] and symmetric: over all labels the losses of a pixel sum to 1. The denominator is
    positive for K >= 2, because p_k < 1 for some k. Like the paper and the published code, this
    clips nothing. Normalised RCE is normalised MAE, (1 - p_y) / (K - 1): the factor cancels.

    References:
        Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020. (In
        its code, NMAE has an extra factor 1/2. NRCE has the factor (K - 1) / 4 instead of the
        intended 1 / (4 (K - 1)).)
    """
    losses = curve(log_probs)
    return _of_label(losses, labels).clamp(max=HUGE) / losses.sum(1).clamp(max=HUGE)


def normalized_negative(curve: Curve, log_probs: Tensor, labels: Tensor, *, p_min: float) -> Tensor:
    """Flip and normalise the curve, L = 1 - (A - l(u_y)) / sum_k (A - l(u_k)) (eq. 7-9).

    L is in [0, 1] and symmetric: over all labels the losses of a pixel sum to K - 1 (Theorem 1). As
    in the paper and its code, probabilities are clipped at p_min, and A = l(log p_min) is the
    largest loss that remains. Curves fall with p, so clipping p is the same as capping l at A.

    A pixel with p_y < p_min (1e-7) gets no gradient from this form. In ANL the normalised form
    still gives it one, though for K = 2 that gradient also fades as p_y falls. The denominator is
    positive if p_min < 1 / K.
    """
    largest = curve(log_probs.new_tensor(math.log(p_min)))
    flipped = (largest - curve(log_probs)).clamp(min=0)
    return 1 - _of_label(flipped, labels) / flipped.sum(1)


@dataclass(frozen=True)
class Summand:
    """One weighted form of a curve, with its hyper-parameters filled in.

    Attributes:
        form: Form of the curve.
        curve: A curve and its hyper-parameters.
        weight: Factor of the form.
        p_min: Floor on probabilities, if the form is `normalized negative`.
        largest: The curve's largest value A, at p_min.
    """

    form: Form
    curve: partial[Tensor]
    weight: float
    p_min: float
    largest: float = field(init=False)

    def __post_init__(self) -> None:
        """Compute A here, because torch.compile cannot take a value out of a tensor later."""
        log_p_min = torch.tensor(self.p_min, dtype=torch.float64, device="cpu").log()
        object.__setattr__(self, "largest", self.curve(log_p_min).item())


def weighted_sum(summands: Iterable[Summand], log_probs: Tensor, labels: Tensor) -> Tensor:
    """Add up the `summands`, `(B, *S)`. This defines the result of every faster computation."""
    total = torch.zeros_like(labels, dtype=log_probs.dtype)
    for summand in summands:
        if summand.form == "plain":
            loss = plain(summand.curve, log_probs, labels)
        elif summand.form == "normalized":
            loss = normalized(summand.curve, log_probs, labels)
        else:
            loss = normalized_negative(summand.curve, log_probs, labels, p_min=summand.p_min)
        total = total + summand.weight * loss
    return total


def probability(p: Tensor, labels: Tensor, counts: Tensor | None) -> Tensor:
    """Return p, or 0 where a pixel does not count. The labels do not matter.

    Args:
        p: Probabilities, `(B, K, *S)`.
        labels: `(B, 1, *S)`, int64.
        counts: Mask of the pixels that count, `(B, 1, *S)`, bool; all by default.
    """
    return p if counts is None else p * counts


def squared_error(p: Tensor, labels: Tensor, counts: Tensor | None) -> Tensor:
    """Compute (p_k - [k = y])^2, or 0 where a pixel does not count. Arguments as `probability`."""
    error = p.scatter_add(1, labels, torch.full_like(labels, -1, dtype=p.dtype))
    return error.square() if counts is None else error.mul(counts).square()


def _of_label(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(1, labels.unsqueeze(1)).squeeze(1)


def _one_minus_p(u: Tensor) -> Tensor:
    return -torch.expm1(u)  # exact also for p close to 1


def _focal_weight(u: Tensor, gamma: float) -> Tensor:
    # Both floors keep inf * 0 out of the slope. At p = 1 a power below 1 is infinitely steep, but
    # the loss is not. At p = 0 log p is infinite, but p log p is not.
    miss = _one_minus_p(u.clamp(min=NEGLIGIBLE))
    return miss.clamp(min=torch.finfo(u.dtype).tiny) ** gamma
