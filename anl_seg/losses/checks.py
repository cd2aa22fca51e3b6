"""What every loss checks about the tensors that it is called with."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Raise a ValueError that lists the reductions if `reduction` is none of them."""
    if reduction not in get_args(Reduction):
        valid = ", ".join(get_args(Reduction))
        raise ValueError(f"reduction must be one of {valid}, got {reduction!r}")


def check_inputs(
    logits: Tensor, labels: Tensor, ignore_index: int | None
) -> tuple[Tensor, Tensor | None]:
    """Check shapes, dtypes and the range of the labels.

    On a GPU the range is checked without waiting for the device: there a label out of range stops
    the program a little later, with a device-side assertion. Compiled code raises a RuntimeError.

    Returns:
        Labels that are all valid, and which of them count (None if all do).

    Raises:
        ValueError: Naming the argument, what was expected and what came.
    """
    if logits.ndim < 2 or logits.shape[1] < 2:
        raise ValueError(
            f"logits must be (B, K, ...) with K of at least 2 classes, got {tuple(logits.shape)}"
        )
    if not logits.is_floating_point():
        raise ValueError(f"logits must be floating point, got {logits.dtype}")
    expected = (logits.shape[0], *logits.shape[2:])
    if labels.shape != expected:
        raise ValueError(
            f"labels must be {expected} for logits {tuple(logits.shape)}, got {tuple(labels.shape)}"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64, got {labels.dtype}; call labels.long()")
    if labels.device != logits.device:
        raise ValueError(f"labels are on {labels.device}, but logits on {logits.device}")
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
        torch._assert_async(((labels >= 0) & (labels < classes)).all(), message)
        return
    ends = labels.aminmax()
    if labels.is_cuda:
        torch._assert_async((ends.min >= 0) & (ends.max < classes), message)
        return
    lowest, highest = int(ends.min), int(ends.max)
    if lowest < 0 or highest >= classes:
        raise ValueError(f"{message}, found {lowest} to {highest}")
