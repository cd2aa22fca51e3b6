"""The pointwise losses as Triton kernels. A GPU runs them instead of the blocks of `autograd`.

The formulas are those of `derivations`. A program holds all classes of some pixels in its
registers. The forward pass therefore reads the logits once and writes the losses. The backward
pass reads them once more and writes their gradient, already scaled. No other tensor of the logits'
size is kept.

The same two passes serve the entropy term and T-Loss. They need the sum over the pixels of an
addend: the probability, or the squared error. A program adds up its own pixels, and torch adds up
the programs, so the result is the same each time.

Importing this module needs triton. If TRITON_INTERPRET=1 is set before triton is first imported,
the kernels run slowly on the CPU. Tests without a GPU do this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from anl_seg.losses import functional as F
from anl_seg.losses.functional import HUGE, NEGLIGIBLE, Addend, Curve, Form, Summand

#: Fewer programs than this leave most of a large GPU idle.
FEW_PROGRAMS = 256
#: Most classes for which a pixel fits in a program.
MOST_CLASSES = 4096
#: Most terms of Taylor cross entropy that the kernel unrolls.
MOST_TERMS = 32

#: Floor under every logarithm's argument: the smallest normal float32.
TINY = tl.constexpr(2.0**-126)
LARGEST_VALUE = tl.constexpr(HUGE)
LEAST_LOGARITHM = tl.constexpr(NEGLIGIBLE)

# The kernels receive a summand as seven numbers: form, weight, largest value A, shape of the curve
# and its three constants. (Older Tritons take a flat tuple of numbers, but no text in it.)
NUMBERS = tl.constexpr(7)
PLAIN, NORMALIZED, NORMALIZED_NEGATIVE = map(tl.constexpr, range(3))
LOGARITHM, FOCAL, FOCAL_DETACHED, LINEAR, POWER = map(tl.constexpr, range(5))
HUBERISED, TAYLOR, RISING_POWER, FALLING_POWER, EXPONENTIAL = map(tl.constexpr, range(5, 10))

FORMS: dict[Form, tl.constexpr] = {
    "plain": PLAIN,
    "normalized": NORMALIZED,
    "normalized negative": NORMALIZED_NEGATIVE,
}
#: Maps a function of the probabilities that is summed over the pixels to its number.
PROBABILITY, SQUARED_ERROR = map(tl.constexpr, range(2))
ADDENDS: dict[Addend, tl.constexpr] = {
    F.probability: PROBABILITY,
    F.squared_error: SQUARED_ERROR,
}

#: Maps a curve to its shape in `_value_and_slope` and the constants used there.
CURVES: dict[Curve, Callable[..., tuple[Any, ...]]] = {
    F.cross_entropy: lambda: (LOGARITHM,),
    F.focal: lambda gamma: (FOCAL, gamma),
    F.focal_detached: lambda gamma: (FOCAL_DETACHED, gamma),
    F.mean_absolute_error: lambda: (LINEAR, 2.0),
    F.half_mean_absolute_error: lambda: (LINEAR, 1.0),
    F.reverse_cross_entropy: lambda q_min: (LINEAR, -math.log(q_min)),
    F.generalized_cross_entropy: lambda q: (POWER, q),
    F.partially_huberised_cross_entropy: lambda tau: (HUBERISED, tau, math.log(tau) + 1),
    F.taylor_cross_entropy: lambda t: (TAYLOR, int(t)),
    F.asymmetric_generalized_cross_entropy: lambda a, q: (RISING_POWER, a, q, (a + 1) ** q),
    F.asymmetric_unhinged_loss: lambda a, q: (FALLING_POWER, a, q, (a - 1) ** q),
    F.asymmetric_exponential_loss: lambda a: (EXPONENTIAL, a),
}


def takes(classes: int, summands: Sequence[Summand]) -> bool:
    """Return whether the kernels support this number of classes and these summands."""
    if any(summand.curve.func not in CURVES for summand in summands):
        return False
    terms = [summand.curve.keywords.get("t", 0) for summand in summands]
    return classes <= MOST_CLASSES and max(terms, default=0) <= MOST_TERMS


def loss(logits: Tensor, labels: Tensor, summands: Sequence[Summand]) -> Tensor:
    """Compute `functional.weighted_sum` for logits `(B, K, *S)` and labels `(B, *S)`.

    Returns:
        The loss `(B, *S)`, in float32 for half precision.
    """
    z, y = _pixels_last(logits), _one_class(labels)
    losses = torch.empty(y.shape, dtype=_precise(z), device=y.device)
    _launch(_loss, summands, None, z, y, None, losses, None)
    return losses.view(labels.shape)


def loss_and_sums(
    logits: Tensor,
    labels: Tensor,
    counts: Tensor | None,
    summands: Sequence[Summand],
    addend: Addend,
) -> tuple[Tensor | None, Tensor]:
    """Compute the loss, and the sum of an addend over the pixels that count.

    Args:
        logits: `(B, K, *S)`.
        labels: `(B, *S)`, int64 in [0, K).
        counts: Mask of the pixels that count in the sum, `(B, *S)`, bool; all by default.
        summands: Terms of the loss.
        addend: What is summed: a key of `ADDENDS`.

    Returns:
        The loss, `(B, *S)`, or None without summands. The sums, `(B, K)`, or `(1, K)` over all
        samples for logits `(B, K)`.
    """
    z, y = _pixels_last(logits), _one_class(labels)
    samples, classes, pixels = z.shape
    losses = z.new_empty(y.shape, dtype=_precise(z)) if summands else None
    blocks = -(-pixels // _block(z)[1])
    sums = z.new_empty((samples, blocks, classes), dtype=_precise(z)).transpose(1, 2)
    mask = None if counts is None else _one_class(counts)
    _launch(_loss, summands, addend, z, y, mask, losses, sums)
    return None if losses is None else losses.view(labels.shape), sums.sum(2)


def gradient(
    logits: Tensor,
    labels: Tensor,
    summands: Sequence[Summand],
    grad_output: Tensor | None,
    counts: Tensor | None = None,
    addend: Addend | None = None,
    grad_sums: Tensor | None = None,
) -> Tensor:
    """Compute the gradient of the logits, `(B, K, *S)`.

    Args:
        logits: `(B, K, *S)`.
        labels: `(B, *S)`, int64 in [0, K).
        summands: Terms of the loss.
        grad_output: Gradient of the loss, `(B, *S)`; None without summands.
        counts: Mask of the pixels that count in the sums, `(B, *S)`, bool; all by default.
        addend: What was summed, if anything was.
        grad_sums: Gradient of the sums, in their shape.
    """
    z, y = _pixels_last(logits), _one_class(labels)
    scale = None if grad_output is None else _one_class(grad_output)
    upstream = None if grad_sums is None else grad_sums.unsqueeze(2)
    mask = None if counts is None else _one_class(counts)
    slopes = torch.empty_like(z)
    _launch(_gradient, summands, addend, z, y, mask, scale, upstream, slopes)
    return slopes.view(logits.shape) if logits.ndim > 2 else slopes[0].t()


def _pixels_last(x: Tensor) -> Tensor:
    """Reshape `(B, K, *S)` to `(B, K, P)`, and `(B, K)` to one sample's pixels, `(1, K, B)`."""
    return x.flatten(2) if x.ndim > 2 else x.t().unsqueeze(0)


def _one_class(x: Tensor) -> Tensor:
    """Reshape `(B, *S)` to `(B, 1, P)`, and `(B,)` to `(1, 1, B)`."""
    return x.unsqueeze(1).flatten(2) if x.ndim > 1 else x.expand(1, 1, -1)


def _precise(z: Tensor) -> torch.dtype:
    """Return the type of the results: float32, or float64 for float64."""
    return torch.promote_types(z.dtype, torch.float32)


def tile_and_warps(classes: int, pixels: int) -> tuple[int, int]:
    """Choose the logits in a program and its warps, for this many pixels in the batch.

    A sum over the classes is fast within a warp. Between warps it goes through shared memory, with
    two barriers. With 8 warps the kernels took up to 5 times as long for 14 classes in float16. So
    a program has one warp, and 16 to 32 logits in a thread. A small batch needs more warps to keep
    the GPU busy, and many classes need them for their registers.

    On an H200 this takes 1.05 times as long as the best choice for each loss, type and pass in the
    geometric mean, and at most 1.27 times.
    """
    block = _power_of_2(classes)
    tile = 512 if block <= 16 else max(1024, block)
    if pixels * block < FEW_PROGRAMS * tile:
        return tile, 4
    return tile, tile // 1024 or 1


def _power_of_2(number: int) -> int:
    """Round up to a power of 2."""
    return 1 << (number - 1).bit_length()


def _block(z: Tensor) -> tuple[int, int, int]:
    """Return a program's classes, rounded up to a power of 2, its pixels and its warps."""
    samples, classes, pixels = z.shape
    tile, warps = tile_and_warps(classes, samples * pixels)
    block_classes = _power_of_2(classes)
    return block_classes, max(1, tile // block_classes), warps


def _launch(
    kernel: Any,
    summands: Sequence[Summand],
    addend: Addend | None,
    z: Tensor,
    *others: Tensor | None,
) -> None:
    samples, classes, pixels = z.shape
    block_classes, block_pixels, warps = _block(z)
    programs = samples * -(-pixels // block_pixels)
    if programs == 0:
        return
    with torch.cuda.device_of(z):
        kernel[(programs,)](
            *(None if x is None else (x, *x.stride()) for x in (z, *others)),
            classes,
            pixels,
            SUMMANDS=sum(map(_numbers, summands), ()),
            ADDEND=None if addend is None else ADDENDS[addend].value,
            PRECISION=tl.float64 if z.dtype == torch.float64 else tl.float32,
            BLOCK_CLASSES=block_classes,
            BLOCK_PIXELS=block_pixels,
            num_warps=warps,
            debug=kernel is _loss,  # compile `device_assert`, but no other check
            sanitize_overflow=False,
        )


@lru_cache(256)  # a loop that creates many losses must not keep them all
def _numbers(summand: Summand) -> tuple[int | float, ...]:
    largest = summand.largest if summand.form == "normalized negative" else 0.0
    shape, *constants = CURVES[summand.curve.func](**summand.curve.keywords)
    constants += [0.0] * (3 - len(constants))
    return FORMS[summand.form].value, float(summand.weight), largest, shape.value, *constants


@triton.jit
def _loss(
    logits,
    labels,
    counts,
    losses,
    sums,
    classes,
    pixels,
    SUMMANDS: tl.constexpr,
    ADDEND: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
):
    b, k, n, inside = _place(classes, pixels, BLOCK_CLASSES, BLOCK_PIXELS)
    u, p, of_label = _read(logits, labels, b, k, n, inside, classes, PRECISION)
    if losses is not None:
        value, _ = _derive(u, p, of_label, k < classes, SUMMANDS)
        tl.store(_at(losses, b, 0, n), value, mask=inside)
    if sums is not None:
        addend = p
        if ADDEND == SQUARED_ERROR:
            error = p - tl.where(of_label, 1, 0)
            addend = error * error
        total = tl.sum(tl.where(_counted(counts, b, n, inside), addend, 0), 1, keep_dims=True)
        block = tl.program_id(0) % tl.cdiv(pixels, BLOCK_PIXELS)
        tl.store(_at(sums, b, k, block), total, mask=k < classes)


@triton.jit
def _gradient(
    logits,
    labels,
    counts,
    scale,
    upstream,
    slopes,
    classes,
    pixels,
    SUMMANDS: tl.constexpr,
    ADDEND: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
):
    b, k, n, inside = _place(classes, pixels, BLOCK_CLASSES, BLOCK_PIXELS)
    u, p, of_label = _read(logits, labels, b, k, n, inside, classes, PRECISION)
    du = tl.zeros_like(u)
    if scale is not None:
        _, du = _derive(u, p, of_label, k < classes, SUMMANDS)
        du *= tl.load(_at(scale, b, 0, n), mask=inside, other=0).to(PRECISION)
    if upstream is not None:
        slope = p * tl.load(_at(upstream, b, k, 0), mask=k < classes, other=0).to(PRECISION)
        if ADDEND == SQUARED_ERROR:
            slope *= 2 * (p - tl.where(of_label, 1, 0))
        du += tl.where(_counted(counts, b, n, inside), slope, 0)
    dz = du - p * tl.sum(du, 0, keep_dims=True)
    tl.store(_at(slopes, b, k, n), dz, mask=inside & (k < classes))


@triton.jit
def _counted(counts, b, n, inside):
    """Return which pixels exist and count, `(1, P)`."""
    counted = inside
    if counts is not None:
        counted = tl.load(_at(counts, b, 0, n), mask=inside, other=0) != 0
    return counted


@triton.jit
def _place(classes, pixels, BLOCK_CLASSES: tl.constexpr, BLOCK_PIXELS: tl.constexpr):
    """Return this program's sample, classes `(K, 1)`, pixels `(1, P)`, and which pixels exist."""
    blocks = tl.cdiv(pixels, BLOCK_PIXELS)
    b = tl.program_id(0) // blocks
    k = tl.arange(0, BLOCK_CLASSES)[:, None]
    n = tl.program_id(0) % blocks * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)[None, :]
    return b, k, n, n < pixels


@triton.jit
def _at(tensor, b, k, n):
    """Return pointers into a tensor, given as (pointer, *strides); 64 bits, for large volumes."""
    pointer, per_sample, per_class, per_pixel = tensor
    start = tl.cast(b, tl.int64) * per_sample + tl.cast(k, tl.int64) * per_class
    return pointer + start + tl.cast(n, tl.int64) * per_pixel


@triton.jit
def _read(logits, labels, b, k, n, inside, classes, PRECISION: tl.constexpr):
    """Return log p and p, `(K, P)`, and a mask of the label; padding classes have p = 0."""
    exists = k < classes
    z = tl.load(_at(logits, b, k, n), mask=inside & exists, other=0).to(PRECISION)
    largest = tl.max(tl.where(exists, z, float("-inf")), 0, keep_dims=True)
    u = tl.where(exists, z - largest, 0)
    p = tl.where(exists, tl.exp(u), 0)
    total = tl.sum(p, 0, keep_dims=True)
    y = tl.load(_at(labels, b, 0, n), mask=inside, other=0)
    tl.device_assert((y >= 0) & (y < classes), "labels must be in [0, K) for K classes")
    return u - tl.log(total), p / total, k == y


@triton.jit
def _derive(u, p, of_label, exists, SUMMANDS: tl.constexpr):
    """Compute the loss `(1, P)` and its derivative by log p, `(K, P)`."""
    loss = tl.zeros_like(_take(u, of_label))
    du = tl.zeros_like(u)
    for i in tl.static_range(0, len(SUMMANDS), NUMBERS):
        value, slope = _derive_summand(
            u,
            p,
            of_label,
            exists,
            FORM=SUMMANDS[i],
            WEIGHT=SUMMANDS[i + 1],
            LARGEST=SUMMANDS[i + 2],
            SHAPE=SUMMANDS[i + 3],
            A=SUMMANDS[i + 4],
            B=SUMMANDS[i + 5],
            C=SUMMANDS[i + 6],
        )
        loss += value
        du += slope
    return loss, tl.where(exists, du, 0)


@triton.jit
def _derive_summand(
    u,
    p,
    of_label,
    exists,
    FORM: tl.constexpr,
    WEIGHT: tl.constexpr,
    LARGEST: tl.constexpr,
    SHAPE: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
):
    if FORM == PLAIN:
        value, slope = _value_and_slope(_take(u, of_label), _take(p, of_label), SHAPE, A, B, C)
        return WEIGHT * value, tl.where(of_label, WEIGHT * slope, 0)
    else:
        value, slope = _value_and_slope(u, p, SHAPE, A, B, C)
        if FORM == NORMALIZED_NEGATIVE:
            slope = tl.where(value < LARGEST, slope, 0)
            value = tl.maximum(LARGEST - value, 0)
        total = tl.sum(tl.where(exists, value, 0), 0, keep_dims=True)
        total = tl.minimum(total, LARGEST_VALUE)
        share = tl.minimum(_take(value, of_label), LARGEST_VALUE) / total
        du = WEIGHT / total * slope * (tl.where(of_label, 1, 0) - share)
        if FORM == NORMALIZED_NEGATIVE:
            share = 1 - share
        return WEIGHT * share, du


@triton.jit
def _take(x, of_label):
    """Select each pixel's value at its label, `(1, P)`."""
    return tl.sum(tl.where(of_label, x, 0), 0, keep_dims=True)


@triton.jit
def _value_and_slope(u, p, SHAPE: tl.constexpr, A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """Compute a curve and dl/du from u and p = exp(u); A, B and C are its constants in CURVES."""
    if SHAPE == LOGARITHM:
        value = -u
        slope = tl.full(u.shape, -1.0, u.dtype)
    elif SHAPE == FOCAL:
        miss = tl.maximum(1 - p, TINY)
        weight = _power(miss, A)
        value = -weight * u
        # p log p / (1 - p) is in [-1, 0], but rounding at p close to 1 might push it out
        slope = weight * (A * tl.maximum(p * tl.maximum(u, LEAST_LOGARITHM) / miss, -1) - 1)
    elif SHAPE == FOCAL_DETACHED:
        weight = _power(1 - p, A)
        value = -weight * u
        slope = -weight
    elif SHAPE == LINEAR:
        value = A * (1 - p)
        slope = -A * p
    elif SHAPE == POWER:
        raised = _exp_minus_1(A * u)
        value = -raised / A
        slope = -1 - raised
    elif SHAPE == HUBERISED:
        tangent = B - A * p
        value = tl.where(A * p > 1, -u, tangent)
        slope = tl.maximum(-A * p, -1)
    elif SHAPE == TAYLOR:
        value = tl.zeros_like(p)
        powers = tl.zeros_like(p)
        for i in tl.static_range(A, 0, -1):  # Horner's scheme
            value = (1 - p) * (value + 1 / i)
            powers = (1 - p) * powers + 1
        slope = -p * powers
    elif SHAPE == RISING_POWER:
        power = _power(A + p, B - 1)
        value = (C - (A + p) * power) / B
        slope = -p * power
    elif SHAPE == FALLING_POWER:
        power = _power(A - p, B - 1)
        value = ((A - p) * power - C) / B
        slope = -p * power
    else:
        tl.static_assert(SHAPE == EXPONENTIAL)
        value = tl.exp(-p / A)
        slope = -p * value / A
    return value, slope


@triton.jit
def _power(base, exponent: tl.constexpr):
    return tl.exp(exponent * tl.log(tl.maximum(base, TINY)))


@triton.jit
def _exp_minus_1(x):
    """Compute exp(x) - 1 by Kahan's method: its error and that of log(exp(x)) cancel."""
    y = tl.exp(x)
    near = tl.where((y > 0.5) & (y != 1), y, 2)
    return tl.where(y == 1, x, tl.where(y > 0.5, (y - 1) * x / tl.log(near), y - 1))
