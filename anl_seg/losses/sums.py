"""Sums over the pixels: what the entropy term and T-Loss need of each sample and class.

A CPU sums in blocks that stay in the cache. On a GPU `kernels` computes a loss and a sum together:
each pass over the logits then serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from anl_seg.losses import autograd
from anl_seg.losses.blocks import blocks, flatten_pixels, is_batched, is_transformed, upcast
from anl_seg.losses.functional import Addend, Summand, weighted_sum


def sum_pixels(
    addend: Addend, logits: Tensor, labels: Tensor, counts: Tensor | None = None
) -> Tensor:
    """Sum an addend over the pixels of each sample, `(B, K)`.

    Backward evaluates the addend again instead of keeping a tensor of the logits' size.

    Args:
        addend: A function of the probabilities.
        logits: `(B, K, *S)`.
        labels: `(B, *S)`, int64 in [0, K).
        counts: Mask of the pixels that count, `(B, *S)`, bool; all by default.
    """
    if is_compiling() or is_transformed():
        return _sum_block(addend, *_flatten(logits, labels, counts))
    kernels = autograd.find_kernels(logits, (), addend)
    if kernels is None:
        total: Tensor = _SumInBlocks.apply(addend, logits, labels, counts)
        return total
    if logits.ndim == 2:  # each sample is one pixel
        logits, labels = logits.unsqueeze(2), labels.unsqueeze(1)
        counts = None if counts is None else counts.unsqueeze(1)
    sums: Tensor
    _, sums = _InKernels.apply(kernels, (), addend, logits, labels, counts)
    return sums


def per_pixel_and_sums(
    summands: Sequence[Summand],
    addend: Addend,
    logits: Tensor,
    labels: Tensor,
    counts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the loss of each pixel, as `autograd.per_pixel`, and the sum of an addend.

    Args:
        summands: Terms of the loss.
        addend: A function of the probabilities.
        logits: `(B, K, *S)`.
        labels: `(B, *S)`, int64 in [0, K).
        counts: Mask of the pixels that count in the sum, `(B, *S)`, bool; all by default.

    Returns:
        The loss `(B, *S)`, and sums `(B, K)` or `(1, K)`: add them up over the first dimension.
    """
    kernels = None
    if not (is_compiling() or is_transformed()):
        kernels = autograd.find_kernels(logits, summands, addend)
    if kernels is None:
        loss = autograd.per_pixel(logits, labels, summands)
        return loss, sum_pixels(addend, logits, labels, counts)
    loss, sums = _InKernels.apply(kernels, summands, addend, logits, labels, counts)
    return loss, sums


class _InKernels(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        kernels: ModuleType,
        summands: Sequence[Summand],
        addend: Addend,
        logits: Tensor,
        labels: Tensor,
        counts: Tensor | None,
    ) -> tuple[Tensor | None, Tensor]:
        ctx.save_for_backward(logits, labels, counts)
        ctx.kernels, ctx.summands, ctx.addend = kernels, summands, addend
        results: tuple[Tensor | None, Tensor] = kernels.loss_and_sums(
            logits, labels, counts, summands, addend
        )
        return results

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        grad_loss: Tensor | None,
        grad_sums: Tensor,
    ) -> tuple[Tensor | None, ...]:
        logits, labels, counts = ctx.saved_tensors
        upstream = [grad_sums] if grad_loss is None else [grad_sums, grad_loss]
        create_graph = torch.is_grad_enabled()  # for a second derivative
        if not (create_graph or any(map(is_batched, upstream))):
            gradient = ctx.kernels.gradient(
                logits, labels, ctx.summands, grad_loss, counts, ctx.addend, grad_sums
            )
            return None, None, None, gradient, None, None
        with torch.enable_grad():
            sums = _sum_block(ctx.addend, *_flatten(logits, labels, counts))
            results = [sums.sum(0, keepdim=True) if logits.ndim == 2 else sums]
            if grad_loss is not None:
                log_probs = upcast(logits).log_softmax(1)
                results.append(weighted_sum(ctx.summands, log_probs, labels))
        (gradient,) = torch.autograd.grad(results, logits, upstream, create_graph=create_graph)
        return None, None, None, gradient, None, None


class _SumInBlocks(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        addend: Addend,
        logits: Tensor,
        labels: Tensor,
        counts: Tensor | None,
    ) -> Tensor:
        ctx.addend = addend
        ctx.save_for_backward(logits, labels, counts)
        z, y, mask = _flatten(logits, labels, counts)
        total = upcast(z[:0]).new_zeros(z.shape[:2])
        for block in blocks(z):
            total[block[0]] += _sum_block(addend, z[block], y[block], _part(mask, block))
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        logits, labels, counts = ctx.saved_tensors
        z, y, mask = _flatten(logits, labels, counts)
        create_graph = torch.is_grad_enabled()  # for a second derivative
        if create_graph or is_batched(grad_output):
            with torch.enable_grad():
                total = _sum_block(ctx.addend, z, y, mask)
            (gradient,) = torch.autograd.grad(total, logits, grad_output, create_graph=create_graph)
            return None, gradient, None, None
        gradient = torch.empty_like(z)
        for block in blocks(z):
            with torch.enable_grad():
                part = z[block].detach().requires_grad_()
                total = _sum_block(ctx.addend, part, y[block], _part(mask, block))
            (gradient[block],) = torch.autograd.grad(total, part, grad_output[block[0]])
        return None, gradient.view(logits.shape), None, None


def _flatten(
    logits: Tensor, labels: Tensor, counts: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Reshape logits to `(B, K, P)` or `(B, K)`, the others to `(B, 1, P)` or `(B, 1)`."""
    mask = None if counts is None else flatten_pixels(counts.unsqueeze(1))
    return flatten_pixels(logits), flatten_pixels(labels.unsqueeze(1)), mask


def _part(mask: Tensor | None, block: tuple[slice, ...]) -> Tensor | None:
    return None if mask is None else mask[block]


def _sum_block(addend: Addend, z: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    values = addend(upcast(z).softmax(1), y, mask)
    return values.sum(2) if values.ndim > 2 else values
