"""Value and gradient of the pointwise losses together, derived by hand.

Every row of the table is a weighted sum of forms of curves l(u), u = log p (see `functional`):

    plain                L = l(u_y)
    normalized           L = l(u_y) / T            T = sum_k l(u_k)
    normalized negative  L = 1 - (A - l(u_y)) / T  T = sum_k (A - l(u_k)), where l is capped at A

The derivative by u_k has a part a at the label only and a part s_k for every class:
    dL/du_k = [k = y] a + s_k

    plain                a = l'(u_y)          s_k = 0
    normalized           a = l'(u_y) / T      s_k = -L / T l'(u_k)
    normalized negative  a = l'(u_y) / T      s_k = -(1 - L) / T l'(u_k), both 0 where l is capped

The logits z have du_k/dz_j = [j = k] - p_j, so
    dL/dz_j = [j = y] a + s_j - p_j (a + sum_k s_k).

With two classes the loss depends on the margin t = z_y - z_other alone, and dL/dt is dL/dz_j at the
label. If the label comes first, neither gather nor scatter is needed. Let v = l(u_y),
w = l(u_other), and their derivatives by t be v' = l'(u_y) (1 - p_y) and -w' = l'(u_other) p_y:

    normalized           dL/dt = (v' w - v w') / (v + w)^2
    normalized negative  dL/dt = (v' (A - w) - (A - v) w') / (2 A - v - w)^2, 0 where one is capped

The forms of cross entropy are shorter still. Let m = t / 2:

    tau = -(u_y + u_other) / 2 = |m| + log(1 + exp(-2|m|))    d tau / dm = tanh m

    NCE    L = (1 - m / tau) / 2     dL/dm = (m tanh m / tau - 1) / (2 tau)
    NNCE   L = (1 - m / tau') / 2    dL/dm = -(m tanh m / tau' + 1) / (2 tau')    tau' = A - tau

If A - tau < |m|, one of the two classes is capped, and NNCE is (1 - sign m) / 2, which is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from anl_seg.losses import functional as F
from anl_seg.losses.blocks import upcast
from anl_seg.losses.functional import HUGE, Summand
from anl_seg.losses.slopes import Miss, Slope, value_and_slope

#: e^x is computed as 2^(x log2 e), which takes torch half the time on CPUs. Its relative error
#: grows with x, but each such value is added to a larger one.
LOG2_E = math.log2(math.e)


def many_classes(z: Tensor, y: Tensor, summands: Sequence[Summand], gradient: Tensor) -> Tensor:
    """Compute the loss and write its gradient.

    Args:
        z: Logits `(B, K, P)`.
        y: Labels `(B, 1, P)`, int64.
        summands: Terms of the loss.
        gradient: Receives the gradient, same shape as `z`.

    Returns:
        The loss `(B, 1, P)`.
    """
    u = upcast(z)
    u = u - u.amax(1, keepdim=True)
    p = torch.exp(u, out=gradient.to(u.dtype))  # in place, unless that is half precision
    total = p.sum(1, keepdim=True)
    u.sub_(total.log())
    p.div_(total)
    loss, at_label, everywhere = _derive(summands, u, p, lambda: 1 - p, lambda x: x.gather(1, y))
    total = everywhere.sum(1, keepdim=True).mul_(u.shape[1] / everywhere.shape[1]).add_(at_label)
    torch.addcmul(everywhere, p, total, value=-1, out=p)
    gradient.copy_(p.scatter_add_(1, y, at_label))
    return loss


def by_comparison(z: Tensor, y: Tensor, summands: Sequence[Summand]) -> tuple[Tensor, Tensor]:
    """Compute the same as `many_classes` without gather and scatter, which compilers fuse badly.

    Returns:
        The loss `(B, 1, P)` and its gradient `(B, K, P)`.
    """
    classes = torch.arange(z.shape[1], device=z.device).view(-1, *(1,) * (z.ndim - 2))
    u = z.log_softmax(1)
    p = u.exp()
    loss, at_label, everywhere = _derive(
        summands,
        u,
        p,
        lambda: 1 - p,
        lambda x: x.where(y == classes, 0).sum(1, keepdim=True),
    )
    slopes = everywhere + at_label.where(y == classes, 0)
    return loss, slopes - p * slopes.sum(1, keepdim=True)


def two_classes(z: Tensor, y: Tensor, summands: Sequence[Summand]) -> tuple[Tensor, Tensor]:
    """Compute loss and gradient for two classes.

    Returns:
        The loss and dL/dz_1 = -dL/dz_0, `(B, 1, P)` each.
    """
    # 1/2 at labels of class 1, -1/2 at labels of class 0; by way of int8 because it is fastest
    side = y.to(torch.int8).to(z.dtype).sub_(0.5)
    half_margin = (z[:, 1:] - z[:, :1]).mul_(side)
    if all(s.curve.func is F.cross_entropy and s.form != "plain" for s in summands):
        loss, slope = _derive_nce_and_nnce(summands, half_margin)
    else:
        loss, slope = _derive_by_margin(summands, half_margin.mul_(2))
    return loss, slope.mul_(side)


def _derive_by_margin(summands: Sequence[Summand], t: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the loss and dL/dm = 2 dL/dt for two classes and margins `t`."""
    minus_t = t.neg()
    p, p_other = t.sigmoid(), minus_t.sigmoid()
    tail = t.abs().mul_(-LOG2_E).exp2_().add_(1).log_()
    u, u_other = t.clamp(max=0).sub_(tail), minus_t.clamp_(max=0).sub_(tail)
    loss, slope = torch.zeros_like(t), torch.zeros_like(t)
    for curve, sharing in _by_curve(summands):
        value, fall = curve(u, p, lambda: p_other)
        fall = fall * p_other
        if any(summand.form != "plain" for summand in sharing):
            other, fall_other = curve(u_other, p_other, lambda: p)
            fall_other = fall_other * p
        for summand in sharing:
            weight = summand.weight
            if summand.form == "plain":
                loss.add_(value, alpha=weight)
                slope.add_(fall, alpha=weight)
            elif summand.form == "normalized":
                total = (value + other).clamp_(max=HUGE)
                share = value.clamp(max=HUGE).div_(total)
                loss.add_(share, alpha=weight)
                slope.addcdiv_(torch.lerp(fall, fall_other, share), total, value=weight)
            else:
                flipped = (summand.largest - value).clamp_(min=0)
                flipped_other = (summand.largest - other).clamp_(min=0)
                neither_capped = torch.minimum(flipped, flipped_other).gt_(0)
                total = flipped_other.add_(flipped)
                share = flipped.div_(total)
                loss.sub_(share, alpha=weight).add_(weight)
                change = torch.lerp(fall, fall_other, share).mul_(neither_capped)
                slope.addcdiv_(change, total, value=weight)
    return loss, slope.mul_(2)


def _derive_nce_and_nnce(summands: Sequence[Summand], m: Tensor) -> tuple[Tensor, Tensor]:
    """Compute cross entropy's forms and their dL/dm for two classes and half margins `m`."""
    m = m.clamp_(-HUGE, HUGE)
    distance = m.abs()
    total = distance.mul(-2 * LOG2_E).exp2_().add_(1)
    minus_growth = torch.addcdiv(distance, distance, total, value=-2)  # -m tanh m
    tau = total.log_().add_(distance)
    loss = torch.full_like(m, sum(summand.weight for summand in summands) / 2)
    slope, bend = torch.zeros_like(m), torch.zeros_like(m)
    for summand in summands:
        weight = summand.weight / 2
        if summand.form == "normalized":
            rate = tau.reciprocal()
            loss.addcmul_(m, rate, value=-weight)
            bend.addcmul_(rate, rate, value=weight)
        else:
            left = summand.largest - tau
            rate = torch.maximum(left, distance).reciprocal_()
            loss.addcmul_(m, rate, value=-weight)
            rate.mul_(left.sub_(distance).gt_(0))
            bend.addcmul_(rate, rate, value=-weight)
        slope.sub_(rate, alpha=weight)
    return loss, slope.addcmul_(minus_growth, bend, value=-1)


def _derive(
    summands: Sequence[Summand],
    u: Tensor,
    p: Tensor,
    miss: Miss,
    of_label: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the loss and its slopes a, `(B, 1, P)`, and s, which broadcasts to `(B, K, P)`.

    `miss` computes 1 - p, `(B, K, P)`. `of_label` selects the label's values of such a tensor.
    """
    u_label = of_label(u)
    loss, at_label, everywhere = (torch.zeros_like(u_label) for _ in range(3))
    for curve, sharing in _by_curve(summands):
        if all(summand.form == "plain" for summand in sharing):
            value_label, slope_label = curve(u_label, of_label(p), lambda: of_label(miss()))
        else:
            value, slope = curve(u, p, miss)
            value_label = of_label(value)
            slope_label = of_label(slope) if slope.ndim else slope
            steepness = torch.zeros_like(loss)
        for summand in sharing:
            weight = summand.weight
            if summand.form == "plain":
                loss.add_(value_label, alpha=weight)
                at_label.add_(slope_label, alpha=weight)
            elif summand.form == "normalized":
                total = value.sum(1, keepdim=True).clamp_(max=HUGE)
                share = value_label.clamp(max=HUGE).div_(total)
                loss.add_(share, alpha=weight)
                at_label.add_(slope_label / total, alpha=weight)
                steepness = steepness - share.div_(total).mul_(weight)
            else:
                flipped = (summand.largest - value).clamp_(min=0)
                flipped_label = (summand.largest - value_label).clamp_(min=0)
                total = flipped.sum(1, keepdim=True)
                share = flipped_label / total
                loss.sub_(share, alpha=weight).add_(weight)
                at_label.add_(flipped_label.gt_(0).mul_(slope_label).div_(total), alpha=weight)
                falls = flipped.gt_(0).mul_(share.div_(total).mul_(-weight))
                steepness = falls.add_(steepness)
        if any(summand.form != "plain" for summand in sharing):
            everywhere = torch.addcmul(everywhere, steepness, slope)
    return loss, at_label, everywhere


def _by_curve(
    summands: Sequence[Summand],
) -> list[tuple[Callable[[Tensor, Tensor, Miss], Slope], list[Summand]]]:
    """Group the summands that share a curve and its hyper-parameters, to evaluate it once."""
    groups: dict[tuple[object, ...], list[Summand]] = {}
    for summand in summands:
        key = (summand.curve.func, *summand.curve.keywords.items())
        groups.setdefault(key, []).append(summand)
    return [(partial(value_and_slope, sharing[0].curve), sharing) for sharing in groups.values()]
