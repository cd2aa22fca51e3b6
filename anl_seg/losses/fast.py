"""The pointwise losses with one analytic backward, computed block by block.

Every row of the table is a weighted sum of forms of curves l(u), u = log p (see `functional`). With

    plain                L = l(u_y)
    normalized           L = l(u_y) / T            T = sum_k l(u_k)
    normalized negative  L = 1 - (A - l(u_y)) / T  T = sum_k (A - l(u_k)), where l is capped at A

the derivative by u_k has one part at the label only and one for all classes,

    dL/du_k = [k = y] a + s_k

    plain                a = l'(u_y)          s_k = 0
    normalized           a = l'(u_y) / T      s_k = -L / T l'(u_k)
    normalized negative  a = l'(u_y) / T      s_k = -(1 - L) / T l'(u_k), both 0 where l is capped

and, as du_k/dz_j = [j = k] - p_j for the logits z,

    dL/dz_j = [j = y] a + s_j - p_j (a + sum_k s_k).

So value and gradient come from the same few sums. They are computed together, in blocks that stay
in the cache: one pass over the logits, one gradient written, nothing else of the logits' size.
Backward scales the gradient in place. (torch's own cross entropy writes three tensors of the
logits' size, autograd of the formulas about ten.)

Two classes depend on the margin t = z_y - z_other alone, which needs neither gather nor scatter:

    plain                dL/dt = l'(u_y) p_other
    either normalized    dL/dt = ((1 - R) l'(u_y) p_other + R l'(u_other) p_y) / T,

where R is the label's share of T, L or 1 - L. Of cross entropy T is even in t and grows with h:

    NCE    L = (1 - t / T) / 2    T = |t| + 2 log(1 + exp(-|t|))        dT/dt = h = tanh(t / 2)
    NNCE   L = (1 - t / T') / 2   T' = 2A - T, or |t| if that is more   dT'/dt = -h or sign t

so that dL/dt = (t h / T - 1) / (2T), and -(t h / T' + 1) / (2T') or, where capped, 0.

`functional` is the truth that this is tested against, and what a second derivative is taken from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from anl_seg.losses import functional as F
from anl_seg.losses.functional import Curve, Summand, weighted_sum

Slope = tuple[Tensor, Tensor | float]

#: Logits in a block, for each thread of the processor: less, and calls cost more than arithmetic;
#: more, and it leaves the cache. A GPU gets blocks that fill it.
BLOCK = 1 << 18
GPU_BLOCK = 1 << 26


def per_pixel(logits: Tensor, labels: Tensor, summands: Sequence[Summand]) -> Tensor:
    """Compute `weighted_sum` of the `summands` for logits `(B, K, *S)` and labels `(B, *S)`.

    Returns:
        The loss `(B, *S)`; in float32 for half precision.
    """
    loss: Tensor = _PerPixel.apply(logits, labels, summands, torch.is_grad_enabled())
    return loss


def upcast(logits: Tensor) -> Tensor:
    """Half precision to float32; what is more precise stays as it is."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


class _PerPixel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        logits: Tensor,
        labels: Tensor,
        summands: Sequence[Summand],
        grad_enabled: bool,
    ) -> Tensor:
        ctx.save_for_backward(logits, labels)
        ctx.summands = summands
        with_gradient = grad_enabled and logits.requires_grad
        loss, ctx.gradient = _blockwise(logits, labels, summands, with_gradient)
        return loss

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        grad_output: Tensor,
    ) -> tuple[Tensor, None, None, None]:
        logits, labels = ctx.saved_tensors
        if torch.is_grad_enabled():  # with create_graph, for a second derivative
            loss = weighted_sum(ctx.summands, upcast(logits).log_softmax(1), labels)
            (gradient,) = torch.autograd.grad(loss, logits, grad_output, create_graph=True)
            return gradient, None, None, None
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a retained graph, used again
            _, gradient = _blockwise(logits, labels, ctx.summands, True)
        return gradient.mul_(grad_output.unsqueeze(1)), None, None, None


def _blockwise(
    logits: Tensor, labels: Tensor, summands: Sequence[Summand], with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    batch, classes, *size = logits.shape
    pixels = [math.prod(size)] if size else []
    z = logits.reshape(batch, classes, *pixels)
    y = labels.reshape(batch, 1, *pixels)
    loss = torch.empty_like(y, dtype=upcast(z[:0]).dtype)
    gradient = torch.empty_like(z) if with_gradient else None
    for block in _blocks(z):
        if gradient is None:
            log_probs = upcast(z[block]).log_softmax(1)
            loss[block] = weighted_sum(summands, log_probs, y[block].squeeze(1)).unsqueeze(1)
        elif classes == 2:
            loss[block] = _two_classes(z[block], y[block], summands, gradient[block])
        else:
            loss[block] = _many_classes(z[block], y[block], summands, gradient[block])
    return loss.view(labels.shape), None if gradient is None else gradient.view(logits.shape)


def _blocks(z: Tensor) -> Iterator[tuple[slice, ...]]:
    """Cut `z`, `(B, K)` or `(B, K, P)`, along its samples, and along the pixels of large ones."""
    block = BLOCK * torch.get_num_threads() if z.device.type == "cpu" else GPU_BLOCK
    rows = max(1, block // max(1, z[:1].numel()))
    columns = max(1, block // z.shape[1])
    for row in range(0, z.shape[0], rows):
        if z.ndim == 2:
            yield (slice(row, row + rows),)
        else:
            for column in range(0, z.shape[2], columns):
                yield slice(row, row + rows), slice(None), slice(column, column + columns)


def _many_classes(z: Tensor, y: Tensor, summands: Sequence[Summand], gradient: Tensor) -> Tensor:
    u = upcast(z).log_softmax(1)
    p = u.exp()
    loss, at_label, everywhere = _derive(summands, u, p, u.gather(1, y))
    total = everywhere.expand_as(u).sum(1, keepdim=True).add_(at_label)
    gradient.copy_(p.mul_(-total).add_(everywhere).scatter_add_(1, y, at_label))
    return loss


def _two_classes(z: Tensor, y: Tensor, summands: Sequence[Summand], gradient: Tensor) -> Tensor:
    z = upcast(z)
    side = y.to(z.dtype).mul_(2).sub_(1)  # which class is the label: -1 or 1
    margin = (z[:, 1:] - z[:, :1]).mul_(side)
    if all(s.curve.func is F.cross_entropy and s.form != "plain" for s in summands):
        loss, slope = _derive_nce_and_nnce_by_margin(summands, margin)
    else:
        loss, slope = _derive_by_margin(summands, margin)
    slope.mul_(side)
    gradient[:, 1:] = slope
    gradient[:, :1] = slope.neg_()
    return loss


def _derive_by_margin(summands: Sequence[Summand], margin: Tensor) -> tuple[Tensor, Tensor]:
    """Give the loss and its slope for two classes, from the margin of the label over the other."""
    tail = margin.abs().neg_().exp_().log1p_()
    u = margin.clamp(max=0).sub_(tail)
    u_other = margin.neg_().clamp_(max=0).sub_(tail)
    p, p_other = u.exp(), u_other.exp()
    loss, slope = u.new_zeros((2, *u.shape))
    for curve, sharing in _by_curve(summands):
        value, slope_label = curve(u, p)
        rise = p_other * slope_label
        if any(summand.form != "plain" for summand in sharing):
            value_other, slope_other = curve(u_other, p_other)
            fall = p * slope_other
        for summand in sharing:
            weight = summand.weight
            if summand.form == "plain":
                loss.add_(value, alpha=weight)
                slope.add_(rise, alpha=weight)
            elif summand.form == "normalized":
                total = value + value_other
                share = value / total
                loss.add_(share, alpha=weight)
                slope.add_(rise.lerp(fall, share).div_(total), alpha=weight)
            else:
                flipped = (summand.largest - value).clamp_(min=0)
                flipped_other = (summand.largest - value_other).clamp_(min=0)
                total = flipped + flipped_other
                share = flipped / total
                loss.sub_(share, alpha=weight).add_(weight)
                live, live_other = flipped.gt_(0).mul_(rise), flipped_other.gt_(0).mul_(fall)
                slope.add_(live.lerp_(live_other, share).div_(total), alpha=weight)
    return loss, slope


def _derive_nce_and_nnce_by_margin(
    summands: Sequence[Summand], margin: Tensor
) -> tuple[Tensor, Tensor]:
    """The same for forms of cross entropy alone, so for ANL-CE."""
    distance = margin.abs()
    total = distance.neg().exp_().log1p_().mul_(2).add_(distance)
    growth = (margin / 2).tanh_().mul_(margin)  # t h
    loss, slope = margin.new_zeros((2, *margin.shape))
    for summand in summands:
        weight = summand.weight / 2
        if summand.form == "normalized":
            factor = total.reciprocal()
            change = (factor * growth).sub_(1)
        else:
            flipped = 2 * summand.largest - total
            live = torch.gt(flipped, distance, out=torch.empty_like(flipped))
            factor = torch.maximum(flipped, distance, out=flipped).reciprocal_()
            change = (factor * growth).add_(1).mul_(live).neg_()
        loss.addcmul_(factor, margin, value=-weight).add_(weight)
        slope.addcmul_(factor, change, value=weight)
    return loss, slope


def _derive(
    summands: Sequence[Summand], u: Tensor, p: Tensor, u_label: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Give the loss and its slopes a, `(B, 1, P)`, and s, which broadcasts to `(B, K, P)`."""
    p_label = u_label.exp()
    loss, at_label, everywhere = u.new_zeros((3, *u_label.shape))
    for curve, sharing in _by_curve(summands):
        value_label, slope_label = curve(u_label, p_label)
        if any(summand.form != "plain" for summand in sharing):
            value, slope = curve(u, p)
        for summand in sharing:
            weight = summand.weight
            if summand.form == "plain":
                loss.add_(value_label, alpha=weight)
                at_label.add_(slope_label, alpha=weight)
            elif summand.form == "normalized":
                total = value.sum(1, keepdim=True)
                share = value_label / total
                loss.add_(share, alpha=weight)
                at_label.add_(slope_label / total, alpha=weight)
                everywhere = everywhere + slope * share.div_(total).mul_(-weight)
            else:
                flipped = (summand.largest - value).clamp_(min=0)
                flipped_label = (summand.largest - value_label).clamp_(min=0)
                total = flipped.sum(1, keepdim=True)
                share = flipped_label / total
                loss.sub_(share, alpha=weight).add_(weight)
                at_label.add_(flipped_label.gt_(0).mul_(slope_label).div_(total), alpha=weight)
                factor = slope * share.div_(total).mul_(-weight)
                everywhere = flipped.gt_(0).mul_(factor).add_(everywhere)
    return loss, at_label, everywhere


def _by_curve(
    summands: Sequence[Summand],
) -> list[tuple[Callable[[Tensor, Tensor], Slope], list[Summand]]]:
    """Group the summands that share a curve and its hyper-parameters, to evaluate it once."""
    groups: dict[tuple[object, ...], list[Summand]] = {}
    for summand in summands:
        key = (summand.curve.func, *summand.curve.keywords.items())
        groups.setdefault(key, []).append(summand)
    return [
        (partial(SLOPES[sharing[0].curve.func], **sharing[0].curve.keywords), sharing)
        for sharing in groups.values()
    ]


def _cross_entropy(u: Tensor, p: Tensor) -> Slope:
    return -u, -1.0


def _focal(u: Tensor, p: Tensor, gamma: float) -> Slope:
    miss = torch.expm1(u).neg_().clamp_(min=torch.finfo(u.dtype).tiny)
    weight = miss**gamma
    return -weight * u, (p * u).div_(miss).mul_(gamma).sub_(1).mul_(weight)


def _focal_detached(u: Tensor, p: Tensor, gamma: float) -> Slope:
    weight = torch.expm1(u).neg_().clamp_(min=torch.finfo(u.dtype).tiny) ** gamma
    return -weight * u, -weight


def _half_mean_absolute_error(u: Tensor, p: Tensor) -> Slope:
    return torch.expm1(u).neg_(), -p


def _mean_absolute_error(u: Tensor, p: Tensor) -> Slope:
    return torch.expm1(u).mul_(-2), -2 * p


def _reverse_cross_entropy(u: Tensor, p: Tensor, q_min: float) -> Slope:
    return torch.expm1(u).mul_(math.log(q_min)), math.log(q_min) * p


def _generalized_cross_entropy(u: Tensor, p: Tensor, q: float) -> Slope:
    raised = torch.expm1(q * u)
    return raised / -q, -1 - raised


def _partially_huberised_cross_entropy(u: Tensor, p: Tensor, tau: float) -> Slope:
    return F.partially_huberised_cross_entropy(u, tau=tau), (-tau * p).clamp_(min=-1)


def _taylor_cross_entropy(u: Tensor, p: Tensor, t: int) -> Slope:
    miss = 1 - p
    powers = torch.ones_like(p)
    for _ in range(int(t) - 1):
        powers.mul_(miss).add_(1)  # 1 + miss + miss^2 + ...
    return F.taylor_cross_entropy(u, t=t), -p * powers


def _asymmetric_generalized_cross_entropy(u: Tensor, p: Tensor, a: float, q: float) -> Slope:
    value = F.asymmetric_generalized_cross_entropy(u, a=a, q=q)
    return value, -p * (a + p) ** (q - 1)


def _asymmetric_unhinged_loss(u: Tensor, p: Tensor, a: float, q: float) -> Slope:
    return F.asymmetric_unhinged_loss(u, a=a, q=q), -p * (a - p) ** (q - 1)


def _asymmetric_exponential_loss(u: Tensor, p: Tensor, a: float) -> Slope:
    value = torch.exp(p / -a)
    return value, p * value / -a


#: Curve -> the same with its slope dl/du, both from u and p = exp(u).
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
