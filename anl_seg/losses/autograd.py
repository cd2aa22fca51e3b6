"""The pointwise losses with an analytic backward, in blocks on a CPU or as kernels on a GPU.

`derivations` computes value and gradient together from the same few sums, in blocks that stay in
the cache. One pass reads the logits, and the gradient is the only tensor of their size that it
writes. Backward scales the gradient in place. (torch's own cross entropy writes three tensors of
the logits' size, autograd of the formulas about ten.)

On a GPU, `kernels` does the same without blocks if Triton works. Under torch.compile the derivation
is fused; for two classes it becomes one loop.

Tests compare this module with `functional`. Second derivatives, forward-mode derivatives and the
transforms of `torch.func` differentiate `functional` itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from anl_seg.losses.blocks import blocks, flatten_pixels, is_batched, is_transformed, upcast
from anl_seg.losses.checks import assert_range
from anl_seg.losses.derivations import by_comparison, many_classes, two_classes
from anl_seg.losses.functional import Addend, Summand, weighted_sum
from anl_seg.losses.slopes import SLOPES

#: Older versions of torch.compile cannot trace the parts of a summand. (torch's version string
#: compares as a version.)
FUSES = torch.__version__ >= "2.8"


def per_pixel(logits: Tensor, labels: Tensor, summands: Sequence[Summand]) -> Tensor:
    """Compute `weighted_sum` of the `summands`.

    Args:
        logits: `(B, K, *S)`, floating point.
        labels: `(B, *S)`, int64 in [0, K).
        summands: Terms of the loss.

    Returns:
        The loss `(B, *S)`, in float32 for half precision.
    """
    if is_transformed() or (is_compiling() and not _fuses(summands)):
        return weighted_sum(summands, upcast(logits).log_softmax(1), labels)
    if is_compiling():
        z, y = flatten_pixels(logits), flatten_pixels(labels.unsqueeze(1))
        compiled: Tensor = _ForCompilers.apply(z, y, summands)
        return compiled.view(labels.shape)
    loss: Tensor = _PerPixel.apply(logits, labels, summands, torch.is_grad_enabled())
    return loss


def _fuses(summands: Sequence[Summand]) -> bool:
    return FUSES and all(summand.curve.func in SLOPES for summand in summands)


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
        if logits.is_cuda:
            assert_range(labels, logits.shape[1], "labels must be in [0, K) for K classes")
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
        batched = is_batched(grad_output)
        if ctx.kernels is not None and not batched:
            return ctx.kernels.gradient(logits, labels, ctx.summands, grad_output), None, None, None
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a retained graph, used again
            _, gradient = _blockwise(logits, labels, ctx.summands, True)
        scale = grad_output.unsqueeze(1)
        if batched:
            return (gradient * scale).to(gradient.dtype), None, None, None
        return gradient.mul_(scale), None, None, None


def find_kernels(
    logits: Tensor, summands: Sequence[Summand], addend: Addend | None = None
) -> ModuleType | None:
    """Import `kernels` if it can compute this: on a GPU, and if Triton works.

    Warns:
        RuntimeWarning: Once for each loss, if there is a GPU but Triton fails.
    """
    if not logits.is_cuda:
        return None
    return _try_kernels(
        logits.device, logits.dtype, logits.shape[1], tuple(summands), addend, logits.ndim > 2
    )


@cache
def _try_kernels(
    device: torch.device,
    dtype: torch.dtype,
    classes: int,
    summands: tuple[Summand, ...],
    addend: Addend | None = None,
    masks: bool = False,
) -> ModuleType | None:
    """Import `kernels` and run it once: Triton may be missing, too old, or without a compiler.

    Triton compiles again for numbers that are not multiples of 16, for other strides and another
    number of warps. The logits here share what it compiles with usual batches, and with usual
    masks, which have many pixels.
    """
    try:
        from anl_seg.losses import kernels

        if not kernels.takes(classes, summands):
            return None
        pixels = max(16, kernels.FEW_PROGRAMS * 1024 // classes // 16 * 16)
        shape = (1, classes, pixels) if masks else (16, classes)
        logits = torch.zeros(shape, device=device, dtype=dtype)
        labels = torch.zeros(shape[::2] if masks else 16, device=device, dtype=torch.int64)
        one = torch.ones((), device=device, dtype=upcast(logits[:0]).dtype)
        scale = one.expand(labels.shape) if summands else None  # as the gradient of a mean is
        if addend is None:
            kernels.loss(logits, labels, summands)
            slope = kernels.gradient(logits, labels, summands, scale)
        else:
            _, sums = kernels.loss_and_sums(logits, labels, None, summands, addend)
            slope = kernels.gradient(logits, labels, summands, scale, None, addend, sums)
        slope.sum().item()  # waits for the device
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:  # after any failure the blocks still compute the same numbers
        message = f"losses on {device} use a slower path because Triton does not work: {error!r}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return None
    return kernels


class _ForCompilers(torch.autograd.Function):
    """`_PerPixel` for logits `(B, K, P)` in operations that torch.compile fuses.

    It has a first derivative only.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        z: Tensor,
        y: Tensor,
        summands: Sequence[Summand],
    ) -> Tensor:
        derive = two_classes if z.shape[1] == 2 else by_comparison
        loss, slope = derive(upcast(z), y, summands)
        ctx.save_for_backward(slope.to(z.dtype))
        return loss.clone()  # fused away; without it torch 2.11 compiles a gradient of 0

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
            loss[block], slope = two_classes(upcast(z[block]), y[block], summands)
            gradient[block][:, 1:] = slope
            gradient[block][:, :1] = slope.neg_()
        else:
            loss[block] = many_classes(z[block], y[block], summands, gradient[block])
    return loss.view(labels.shape), None if gradient is None else gradient.view(logits.shape)
