"""The curves of `functional` with their slopes dl/du, in closed form.

A curve without a row in `SLOPES` is differentiated by autograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from anl_seg.losses import functional as F
from anl_seg.losses.functional import NEGLIGIBLE, Curve

Miss = Callable[[], Tensor]
Slope = tuple[Tensor, Tensor]


def value_and_slope(curve: partial[Tensor], u: Tensor, p: Tensor, miss: Miss) -> Slope:
    """Evaluate a curve and its slope.

    Args:
        curve: A curve of `functional`, or a similar function, with its hyper-parameters.
        u: Log-probabilities, any shape; only read.
        p: Their exponentials, same shape; only read.
        miss: Computes 1 - p.

    Returns:
        The curve l(u), and dl/du or a constant slope with no dimension. Callers only read both.
    """
    if curve.func in SLOPES:
        return SLOPES[curve.func](u, p, miss, **curve.keywords)
    with torch.enable_grad():
        x = u.detach().requires_grad_()
        value = curve(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope


def _cross_entropy(u: Tensor, p: Tensor, miss: Miss) -> Slope:
    return -u, u.new_full((), -1.0)


def _focal(u: Tensor, p: Tensor, miss: Miss, gamma: float) -> Slope:
    rest = miss().clamp(min=torch.finfo(u.dtype).tiny)
    weight = (rest**gamma).neg_()
    value = weight * u
    bounded = value.clamp(max=-NEGLIGIBLE)  # p log p is 0 at p = 0, not 0 * inf
    return value, weight.addcdiv_(bounded.mul_(p), rest, value=-gamma)


def _focal_detached(u: Tensor, p: Tensor, miss: Miss, gamma: float) -> Slope:
    weight = (miss().clamp(min=torch.finfo(u.dtype).tiny) ** gamma).neg_()
    return weight * u, weight


def _half_mean_absolute_error(u: Tensor, p: Tensor, miss: Miss) -> Slope:
    return miss(), -p


def _mean_absolute_error(u: Tensor, p: Tensor, miss: Miss) -> Slope:
    return 2 * miss(), -2 * p


def _reverse_cross_entropy(u: Tensor, p: Tensor, miss: Miss, q_min: float) -> Slope:
    return -math.log(q_min) * miss(), math.log(q_min) * p


def _generalized_cross_entropy(u: Tensor, p: Tensor, miss: Miss, q: float) -> Slope:
    raised = torch.expm1(q * u)
    return raised / -q, -1 - raised


def _partially_huberised_cross_entropy(u: Tensor, p: Tensor, miss: Miss, tau: float) -> Slope:
    slope = (-tau * p).clamp_(min=-1)  # -1 on the logarithm, -tau p on the tangent
    return (slope + 1).sub_(u.clamp(min=-math.log(tau))), slope


def _taylor_cross_entropy(u: Tensor, p: Tensor, miss: Miss, t: int) -> Slope:
    rest = miss()
    value, powers = torch.zeros_like(p), torch.zeros_like(p)
    for i in range(int(t), 0, -1):
        value.add_(1 / i).mul_(rest)
        powers.mul_(rest).add_(1)  # 1 + (1 - p) + (1 - p)^2 + ...
    return value, powers.mul_(p).neg_()


def _asymmetric_generalized_cross_entropy(
    u: Tensor, p: Tensor, miss: Miss, a: float, q: float
) -> Slope:
    base = a + p
    raised = base ** (q - 1)
    return base.mul_(raised).sub_(math.pow(a + 1, q)).div_(-q), raised.mul_(p).neg_()


def _asymmetric_unhinged_loss(u: Tensor, p: Tensor, miss: Miss, a: float, q: float) -> Slope:
    base = a - p
    raised = base ** (q - 1)
    return base.mul_(raised).sub_(math.pow(a - 1, q)).div_(q), raised.mul_(p).neg_()


def _asymmetric_exponential_loss(u: Tensor, p: Tensor, miss: Miss, a: float) -> Slope:
    value = torch.exp(p / -a)
    return value, (p * value).div_(-a)


#: Maps a curve to the function that computes it with its slope, as `value_and_slope` does.
SLOPES: dict[Curve, Callable[..., Slope]] = {
    F.cross_entropy: _cross_entropy,
    F.focal: _focal,
    F.focal_detached: _focal_detached,
    F.mean_absolute_error: _mean_absolute_error,
    F.half_mean_absolute_error: _half_mean_absolute_error,
    F.reverse_cross_entropy: _reverse_cross_entropy,
    F.generalized_cross_entropy: _generalized_cross_entropy,
    F.partially_huberised_cross_entropy: _partially_huberised_cross_entropy,
    F.taylor_cross_entropy: _taylor_cross_entropy,
    F.asymmetric_generalized_cross_entropy: _asymmetric_generalized_cross_entropy,
    F.asymmetric_unhinged_loss: _asymmetric_unhinged_loss,
    F.asymmetric_exponential_loss: _asymmetric_exponential_loss,
}
