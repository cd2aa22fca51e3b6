"""Checks of the tensors that a loss is called with."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Raise a ValueError if `reduction` is not a valid reduction."""
    if reduction not in get_args(Reduction):
        valid = ", ".join(get_args(Reduction))
        raise ValueError(f"reduction must be one of {valid}, got {reduction!r}")


def check_inputs(
    logits: Tensor, labels: Tensor, ignore_index: int | None
) -> tuple[Tensor, Tensor | None]:
    """Check shapes, dtypes and the range of the labels.

    The number of dimensions tells the two shapes of labels apart: `(B, *S)` has one dimension fewer
    than the logits, `(B, 1, *S)` has the same number. So labels `(B, 1)` for logits `(B, K, 1)` are
    `(B, *S)`.

    On a GPU the range is checked where the labels are read, without waiting for the device. A label
    out of range then stops the program a little later with a device-side assertion. Compiled code
    raises a RuntimeError.

    Args:
        logits: `(B, K, *S)`, floating point, K >= 2.
        labels: `(B, *S)` or `(B, 1, *S)`, of any integer type or bool.
        ignore_index: Label of the pixels that do not count.

    Returns:
        Labels `(B, *S)`, int64 and all valid, and a mask of those that count (None if all do).

    Raises:
        TypeError: If one of them is not a tensor.
        ValueError: If a shape, dtype, device or value is wrong.
    """
    for name, value in (("logits", logits), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} must be a torch.Tensor, got {type(value).__module__}."
                f"{type(value).__qualname__}; convert with torch.as_tensor({name})"
            )
    if logits.ndim < 2 or logits.shape[1] < 2:
        raise ValueError(
            f"logits must be (B, K, ...) with at least K = 2 classes, got {tuple(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}")
    expected = (logits.shape[0], *logits.shape[2:])
    with_channel = (logits.shape[0], 1, *logits.shape[2:])
    if labels.shape == with_channel:
        labels = labels.squeeze(1)
    if labels.shape != expected:
        raise ValueError(
            f"labels must be {expected} or {with_channel} for logits {tuple(logits.shape)}, "
            f"got {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be integers or bool, got {labels.dtype}; use labels.long()")
    if labels.device != logits.device:
        raise ValueError(f"labels are on {labels.device}, but logits on {logits.device}")
    labels = labels.long()
    counts = None
    if ignore_index is not None:
        counts = labels != ignore_index
        labels = labels.where(counts, 0)
    if labels.numel():
        _check_range(labels, logits.shape[1], ignore_index)
    return labels, counts


def _check_range(labels: Tensor, classes: int, ignore_index: int | None) -> None:
    or_ignored = "" if ignore_index is None else f" or {ignore_index} (ignored)"
    message = f"labels must be in [0, {classes}) for logits of {classes} classes{or_ignored}"
    if torch.compiler.is_compiling():
        if torch._C._are_functorch_transforms_active():
            return  # `vmap` has no rule for the assertion, and `gather` in the formulas checks too
        assert_range(labels, classes, message)
        return
    while torch._C._functorch.is_functorch_wrapped_tensor(labels):  # `vmap` hides the values
        labels = torch._C._functorch.get_unwrapped(labels)
    if labels.is_cuda:
        return  # `kernels` asserts it, as do `gather` and `assert_range` for the blocks
    lowest, highest = map(int, labels.aminmax())
    if lowest < 0 or highest >= classes:
        raise ValueError(f"{message}, found {lowest} to {highest}")


def assert_range(labels: Tensor, classes: int, message: str) -> None:
    """Let the device stop the program if a label is not in [0, classes)."""
    torch._assert_async(((labels >= 0) & (labels < classes)).all(), message)
