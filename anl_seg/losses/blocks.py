"""Work on large tensors in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

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
