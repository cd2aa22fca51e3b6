"""Regularisers, which are added to a loss and use no labels: L1, L2, Jacobian and entropy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from anl_seg.losses.functional import probability
from anl_seg.losses.sums import sum_pixels


def l1_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Sum the absolute values of all `parameters`: the paper's regulariser for ANL, without delta.

    `add_l1_gradient` trains with it at less cost than autograd.

    Args:
        parameters: At least one tensor, any shapes.

    Returns:
        A scalar.

    Examples:
        >>> l1_norm([torch.tensor([1.0, -2.0]), torch.tensor([3.0])])
        tensor(6.)
    """
    return torch.stack([parameter.abs().sum() for parameter in parameters]).sum()


def l2_norm_squared(parameters: Iterable[Tensor]) -> Tensor:
    """Sum the squares of all `parameters`. Weight decay delta is delta / 2 times this.

    Args:
        parameters: At least one tensor, any shapes.

    Returns:
        A scalar.

    Examples:
        >>> l2_norm_squared([torch.tensor([1.0, -2.0]), torch.tensor([3.0])])
        tensor(14.)
    """
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()


@torch.no_grad()
def add_l1_gradient(parameters: Iterable[nn.Parameter], delta: float) -> None:
    """Add the gradient of `delta * l1_norm(parameters)`, delta sign(w), to each `.grad`.

    Call it after `backward` and `GradScaler.unscale_`. Call it before gradients are clipped if
    clipping should include it. It takes two fused calls for any number of parameters and does not
    change the reported loss. Frozen parameters stay as they are. Under DDP every rank adds the
    same.

    Args:
        parameters: Parameters of the network.
        delta: Weight of the L1 norm, >= 0.

    Examples:
        >>> weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> weight.grad = torch.zeros(2)
        >>> add_l1_gradient([weight], 0.5)
        >>> weight.grad
        tensor([ 0.5000, -0.5000])
    """
    weights, gradients = _trainable(parameters)
    torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=delta)


@torch.no_grad()
def add_l2_gradient(parameters: Iterable[nn.Parameter], delta: float) -> None:
    """Add the gradient of `delta / 2 * l2_norm_squared(parameters)`, delta w, to each `.grad`.

    An optimiser's weight decay `delta` does the same unless it is decoupled. Call it when you would
    call `add_l1_gradient`.

    Args:
        parameters: Parameters of the network.
        delta: Weight decay, >= 0.

    Examples:
        >>> weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> weight.grad = torch.zeros(2)
        >>> add_l2_gradient([weight], 0.5)
        >>> weight.grad
        tensor([ 0.5000, -1.0000])
    """
    weights, gradients = _trainable(parameters)
    torch._foreach_add_(gradients, weights, alpha=delta)


def jacobian_norm_squared(
    inputs: Tensor,
    logits: Tensor,
    *,
    projections: int = 1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Estimate the squared Frobenius norm of d logits / d inputs, averaged over the batch.

    Each projection is a random direction v on the unit sphere of one sample's C logits, and
    E[C |v^T J|^2] = |J|^2. The regulariser is lambda / 2 times this, differentiable by the weights.

    Args:
        inputs: `(B, ...)`. They must have required a gradient before the network's forward pass.
        logits: `(B, ...)`, the network's output. Each sample may depend on its own input only.
        projections: Number of random directions. The error falls with its square root.
        generator: Source of the directions; torch's global one by default.

    Returns:
        A scalar.

    Examples:
        >>> inputs = torch.ones(5, 1, requires_grad=True)
        >>> jacobian_norm_squared(inputs, 3 * inputs).item()
        9.0

    References:
        Hoffman et al., "Robust Learning with Jacobian Regularization", arXiv:1908.02729, eq. 9-11.
    """
    outputs = logits.flatten(1)
    total = outputs.new_zeros(())
    for _ in range(projections):
        v = torch.randn(
            outputs.shape, generator=generator, device=outputs.device, dtype=outputs.dtype
        )
        v = v / v.norm(dim=1, keepdim=True)
        (projected,) = torch.autograd.grad(outputs, inputs, v, create_graph=True)
        total = total + projected.square().sum()
    return outputs.shape[1] * total / (projections * len(outputs))


def entropy(logits: Tensor, counts: Tensor | None = None) -> Tensor:
    """Compute the entropy term, L = log K + sum_k pi_k log pi_k (eq. 13).

    pi is the mean prediction over the batch. The term is 0 if all classes are predicted equally
    often, and log K if only one is. It is meant for balanced classification. In masks, which are
    mostly background, it pulls the wrong way.

    Under `torch.distributed` pi is the mean over the batches of all ranks, and every rank must make
    the call. Each rank gets the same value. Gradients averaged over the ranks, as DDP does, are
    exact.

    Args:
        logits: `(B, K, *S)`, floating point.
        counts: Mask of the pixels that count, `(B, *S)`, bool; all by default. If none counts, the
            value is 0.

    Returns:
        A scalar in [0, log K].

    Examples:
        >>> entropy(torch.tensor([[0.0, 9.0], [9.0, 0.0]])).item() < 1e-6
        True
    """
    any_labels = logits.new_zeros((), dtype=torch.int64).expand(logits[:, 0].shape)
    with torch.autocast(logits.device.type, enabled=False):
        sums = sum_pixels(probability, logits, any_labels, counts)
        return entropy_of_sums(sums, any_labels.numel() if counts is None else counts.sum())


def entropy_of_sums(sums: Tensor, number: int | Tensor) -> Tensor:
    """Compute the entropy term from sums of probabilities.

    Args:
        sums: `(N, K)`; their sum over the first dimension is over all pixels that count.
        number: Number of pixels that count.

    Returns:
        As `entropy`, a scalar.
    """
    total = sums.squeeze(0) if len(sums) == 1 else sums.sum(0)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        if isinstance(number, int):
            number = torch.full((), number, device=total.device)  # does not wait for a GPU
        number = number.to(total.dtype)
        total = _SumOverRanks.apply(total)
        dist.all_reduce(number)
    at_least_1 = max(number, 1) if isinstance(number, int) else number.to(total.dtype).clamp(min=1)
    shares = total / at_least_1
    logs = shares.clamp(min=torch.finfo(shares.dtype).tiny).log()
    value = math.log(len(shares)) + (shares * logs).sum()
    return value if isinstance(number, int) and number else value * (number > 0)


class _SumOverRanks(torch.autograd.Function):
    """The sum over all ranks. Its gradient is the sum of the ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:  # noqa: ANN401
        total: Tensor = _SumOverRanks.apply(grad_output)
        return total


def _trainable(parameters: Iterable[nn.Parameter]) -> tuple[list[Tensor], list[Tensor]]:
    weights = [parameter for parameter in parameters if parameter.requires_grad]
    for weight in weights:
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    return list(weights), [weight.grad for weight in weights if weight.grad is not None]
