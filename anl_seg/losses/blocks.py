"""Work on large tensors in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

#: Logits in a block, per thread of the processor. With fewer, calls cost more than arithmetic; with
#: more, the block leaves the cache. A GPU gets blocks that fill it.
BLOCK = 1 << 18
GPU_BLOCK = 1 << 26


def upcast(logits: Tensor) -> Tensor:
    """Convert half precision to float32; leave other types as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def is_transformed() -> bool:
    """Return whether a transform of `torch.func` or forward-mode differentiation is active.

    They cannot trace an `autograd.Function` that works in blocks and in place, only formulas.
    """
    if torch._C._are_functorch_transforms_active():
        return True
    return not is_compiling() and forward_ad._current_level >= 0


def is_batched(x: Tensor) -> bool:
    """Return whether `vmap` batched this tensor, as for `jacobian(vectorize=True)`."""
    functorch = torch._C._functorch
    return functorch.is_batchedtensor(x) or functorch.is_legacy_batchedtensor(x)


def flatten_pixels(x: Tensor) -> Tensor:
    """Reshape `(B, K, *S)` to `(B, K, P)`; leave `(B, K)` as it is."""
    return x.flatten(2) if x.ndim > 2 else x


def blocks(z: Tensor) -> Iterator[tuple[slice, ...]]:
    """Cut `z`, `(B, K)` or `(B, K, P)`, along the samples, and large samples along the pixels."""
    block = BLOCK * torch.get_num_threads() if z.device.type == "cpu" else GPU_BLOCK
    rows = max(1, block // max(1, z[:1].numel()))
    columns = max(1, block // z.shape[1])
    for row in range(0, z.shape[0], rows):
        if z.ndim == 2:
            yield (slice(row, row + rows),)
        else:
            for column in range(0, z.shape[2], columns):
                yield slice(row, row + rows), slice(None), slice(column, column + columns)


def sum_pixels(function: Callable[..., Tensor], logits: Tensor, *others: Tensor) -> Tensor:
    """Sum a function of the probabilities over the pixels of each sample, `(B, K)`.

    Backward evaluates the function again instead of keeping a tensor of the logits' size.

    Args:
        function: Takes the probabilities of a block, `(B, K, P)`, and the blocks of `others`.
            Returns `(B, K, P)`. It must be differentiable by the probabilities.
        logits: `(B, K, *S)`.
        *others: Further arguments of the function, `(B, 1, *S)` each.
    """
    if is_compiling() or is_transformed():
        return _sum_block(function, *map(flatten_pixels, (logits, *others)))
    total: Tensor = _SumPixels.apply(function, logits, *others)
    return total


class _SumPixels(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        function: Callable[..., Tensor],
        logits: Tensor,
        *others: Tensor,
    ) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(logits, *others)
        z, *rest = map(flatten_pixels, (logits, *others))
        total = upcast(z[:0]).new_zeros(z.shape[:2])
        for block in blocks(z):
            total[block[0]] += _sum_block(function, z[block], *(x[block] for x in rest))
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        logits, *others = ctx.saved_tensors
        nothing = (None,) * len(others)
        z, *rest = map(flatten_pixels, (logits, *others))
        create_graph = torch.is_grad_enabled()  # for a second derivative
        if create_graph or is_batched(grad_output):
            with torch.enable_grad():
                total = _sum_block(ctx.function, z, *rest)
            (gradient,) = torch.autograd.grad(total, logits, grad_output, create_graph=create_graph)
            return None, gradient, *nothing
        gradient = torch.empty_like(z)
        for block in blocks(z):
            with torch.enable_grad():
                part = z[block].detach().requires_grad_()
                total = _sum_block(ctx.function, part, *(x[block] for x in rest))
            (gradient[block],) = torch.autograd.grad(total, part, grad_output[block[0]])
        return None, gradient.view(logits.shape), *nothing


def _sum_block(function: Callable[..., Tensor], z: Tensor, *others: Tensor) -> Tensor:
    values = function(upcast(z).softmax(1), *others)
    return values.sum(2) if values.ndim > 2 else values
