"""The pointwise losses with one analytic backward, computed block by block or by a GPU's kernels.

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

Two classes depend on the margin t = z_y - z_other alone: with the label put first neither gather
nor scatter is needed, and dL/dt is dL/dz_j at the label. With v = l(u_y), w = l(u_other) and the
derivatives v' = l'(u_y) (1 - p_y) and -w' = l'(u_other) p_y by t,

    normalized           dL/dt = (v' w - v w') / (v + w)^2
    normalized negative  dL/dt = (v' (A - w) - (A - v) w') / (2 A - v - w)^2, 0 where one is capped

Forms of cross entropy are shorter still: with m = t / 2,

    tau = -(u_y + u_other) / 2 = |m| + log(1 + exp(-2|m|))    d tau / dm = tanh m

    NCE    L = (1 - m / tau) / 2     dL/dm = (m tanh m / tau - 1) / (2 tau)
    NNCE   L = (1 - m / tau') / 2    dL/dm = -(m tanh m / tau' + 1) / (2 tau')    tau' = A - tau

and where A - tau < |m|, so that one of the two is capped, NNCE is (1 - sign m) / 2, which is flat.

On a GPU `kernels` does the same without blocks, where Triton works. torch.compile, if the caller
wants it, fuses the derivation above: one loop for two classes.

`functional` is the truth that this is tested against, and what a second derivative is taken from.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from anl_seg.losses import functional as F
from anl_seg.losses.blocks import blocks, flatten_pixels, upcast
from anl_seg.losses.functional import Curve, Summand, weighted_sum

#: 2^(x log2 e) is e^x: torch computes it on CPUs in half the time. Its relative error grows with x,
#: which is of no account in sums with something larger.
LOG2_E = math.log2(math.e)

#: Older versions of torch.compile stumble over what a summand is made of. (The string compares as a
#: version does.)
FUSES = torch.__version__ >= "2.8"

Miss = Callable[[], Tensor]
Slope = tuple[Tensor, Tensor]


def per_pixel(logits: Tensor, labels: Tensor, summands: Sequence[Summand]) -> Tensor:
    """Compute `weighted_sum` of the `summands` for logits `(B, K, *S)` and labels `(B, *S)`.

    Returns:
        The loss `(B, *S)`; in float32 for half precision.
    """
    if is_compiling():
        if not FUSES:
            return weighted_sum(summands, upcast(logits).log_softmax(1), labels)
        z, y = flatten_pixels(logits), flatten_pixels(labels.unsqueeze(1))
        compiled: Tensor = _ForCompilers.apply(z, y, summands)
        return compiled.view(labels.shape)
    loss: Tensor = _PerPixel.apply(logits, labels, summands, torch.is_grad_enabled())
    return loss


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
        ctx.kernels = find_kernels(logits, summands)
        if ctx.kernels is not None:
            ctx.gradient = None
            result: Tensor = ctx.kernels.loss(logits, labels, summands)
            return result
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
        if ctx.kernels is not None:
            return ctx.kernels.gradient(logits, labels, ctx.summands, grad_output), None, None, None
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a retained graph, used again
            _, gradient = _blockwise(logits, labels, ctx.summands, True)
        return gradient.mul_(grad_output.unsqueeze(1)), None, None, None


def find_kernels(logits: Tensor, summands: Sequence[Summand]) -> ModuleType | None:
    """Give the module `kernels` if it can compute this: on a GPU, and where Triton works.

    Warns:
        RuntimeWarning: Once for each loss, if there is a GPU but Triton fails.
    """
    if not logits.is_cuda:
        return None
    return _try_kernels(logits.device, logits.dtype, logits.shape[1], tuple(summands))


@cache
def _try_kernels(
    device: torch.device, dtype: torch.dtype, classes: int, summands: tuple[Summand, ...]
) -> ModuleType | None:
    """Import `kernels` and run them once: Triton may be missing, too old, or without a compiler."""
    try:
        from anl_seg.losses import kernels

        if not kernels.takes(classes, summands):
            return None
        logits = torch.zeros((1, classes), device=device, dtype=dtype)
        labels = torch.zeros(1, device=device, dtype=torch.int64)
        loss = kernels.loss(logits, labels, summands)
        kernels.gradient(logits, labels, summands, loss).sum().item()  # waits for the device
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # whatever goes wrong in there, the blocks give the same numbers
        message = (
            f"losses on {device} take their slower path, since Triton does not work: {error!r}"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return None
    return kernels


class _ForCompilers(torch.autograd.Function):
    """The same of logits `(B, K, P)`, in pieces that torch.compile fuses; first derivative only."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        z: Tensor,
        y: Tensor,
        summands: Sequence[Summand],
    ) -> Tensor:
        derive = _two_classes if z.shape[1] == 2 else _by_comparison
        loss, slope = derive(upcast(z), y, summands)
        ctx.save_for_backward(slope.to(z.dtype))
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (slope,) = ctx.saved_tensors
        gradient = slope * grad_output
        if slope.shape[1] == 1:
            gradient = torch.cat((-gradient, gradient), 1)
        return gradient.to(slope.dtype), None, None


def _blockwise(
    logits: Tensor, labels: Tensor, summands: Sequence[Summand], with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    z, y = flatten_pixels(logits), flatten_pixels(labels.unsqueeze(1))
    loss = torch.empty_like(y, dtype=upcast(z[:0]).dtype)
    gradient = torch.empty_like(z) if with_gradient else None
    for block in blocks(z):
        if gradient is None:
            log_probs = upcast(z[block]).log_softmax(1)
            loss[block] = weighted_sum(summands, log_probs, y[block].squeeze(1)).unsqueeze(1)
        elif z.shape[1] == 2:
            loss[block], slope = _two_classes(upcast(z[block]), y[block], summands)
            gradient[block][:, 1:] = slope
            gradient[block][:, :1] = slope.neg_()
        else:
            loss[block] = _many_classes(z[block], y[block], summands, gradient[block])
    return loss.view(labels.shape), None if gradient is None else gradient.view(logits.shape)


def _many_classes(z: Tensor, y: Tensor, summands: Sequence[Summand], gradient: Tensor) -> Tensor:
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


def _by_comparison(z: Tensor, y: Tensor, summands: Sequence[Summand]) -> tuple[Tensor, Tensor]:
    """As `_many_classes`, but without gather and scatter, which compilers fuse badly."""
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


def _two_classes(z: Tensor, y: Tensor, summands: Sequence[Summand]) -> tuple[Tensor, Tensor]:
    """Give the loss and dL/dz_1 = -dL/dz_0."""
    # 1/2 where the label is class 1, -1/2 where it is class 0; the way over int8 is the fast one
    side = y.to(torch.int8).to(z.dtype).sub_(0.5)
    half_margin = (z[:, 1:] - z[:, :1]).mul_(side)
    if all(s.curve.func is F.cross_entropy and s.form != "plain" for s in summands):
        loss, slope = _derive_nce_and_nnce(summands, half_margin)
    else:
        loss, slope = _derive_by_margin(summands, half_margin.mul_(2))
    return loss, slope.mul_(side)


def _derive_by_margin(summands: Sequence[Summand], t: Tensor) -> tuple[Tensor, Tensor]:
    """Give the loss and dL/dm = 2 dL/dt for two classes and margins `t`."""
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
                total = value + other
                share = value / total
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
    """Give the loss and dL/dm for two classes and half margins `m`, of cross entropy's forms."""
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
    """Give the loss and its slopes a, `(B, 1, P)`, and s, which broadcasts to `(B, K, P)`.

    `miss` gives 1 - p, `(B, K, P)`; `of_label` takes of such a tensor what belongs to the label.
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
                total = value.sum(1, keepdim=True)
                share = value_label / total
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
    return [
        (partial(SLOPES[sharing[0].curve.func], **sharing[0].curve.keywords), sharing)
        for sharing in groups.values()
    ]


def _cross_entropy(u: Tensor, p: Tensor, miss: Miss) -> Slope:
    return -u, u.new_full((), -1.0)


def _focal(u: Tensor, p: Tensor, miss: Miss, gamma: float) -> Slope:
    rest = miss().clamp(min=torch.finfo(u.dtype).tiny)
    weight = (rest**gamma).neg_()
    value = weight * u
    return value, weight.addcdiv_(value * p, rest, value=-gamma)


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
    slope = (-tau * p).clamp_(min=-1)  # -1 where -log p holds, beyond it the tangent
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


#: Curve -> the same with its slope dl/du, both from u, p = exp(u) and 1 - p; which they only read,
#: as may whoever calls them what they give.
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
