"""The pointwise losses as Triton kernels: what a GPU runs instead of the blocks of `fast`.

The derivation is that of `fast`. A program holds all classes of some pixels in its registers. So
the forward pass reads the logits once and writes the losses; the backward pass reads them once
more and writes their gradient, already scaled. Nothing of the logits' size is kept in between.

Importing this needs triton. With TRITON_INTERPRET=1 in the environment, set before triton is first
imported, everything runs on the CPU, slowly: that is how it is tested where there is no GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from anl_seg.losses import functional as F
from anl_seg.losses.functional import Curve, Summand

#: Logits in a program, and its warps: with 16 logits a thread all the arithmetic fits in registers.
TILE = 4096
WARPS = 8

#: With more classes than this a pixel does not fit in a program.
MOST_CLASSES = TILE

#: Floor on 1 - p where its logarithm is taken: the smallest normal float32.
TINY = tl.constexpr(2.0**-126)

Constants = tuple[str | float, ...]

#: Curve -> its name in `_value_and_slope`, and the constants used there.
CURVES: dict[Curve, Callable[..., Constants]] = {
    F.cross_entropy: lambda: ("logarithm",),
    F.focal: lambda gamma: ("focal", gamma),
    F.focal_detached: lambda gamma: ("focal, detached", gamma),
    F.mean_absolute_error: lambda: ("linear", 2.0),
    F.half_mean_absolute_error: lambda: ("linear", 1.0),
    F.reverse_cross_entropy: lambda q_min: ("linear", -math.log(q_min)),
    F.generalized_cross_entropy: lambda q: ("power", q),
    F.partially_huberised_cross_entropy: lambda tau: ("huberised", tau, math.log(tau) + 1),
    F.taylor_cross_entropy: lambda t: ("taylor", int(t)),
    F.asymmetric_generalized_cross_entropy: lambda a, q: ("rising power", a, q, (a + 1) ** q),
    F.asymmetric_unhinged_loss: lambda a, q: ("falling power", a, q, (a - 1) ** q),
    F.asymmetric_exponential_loss: lambda a: ("exponential", a),
}


def loss(logits: Tensor, labels: Tensor, summands: Sequence[Summand]) -> Tensor:
    """Compute `functional.weighted_sum` for logits `(B, K, *S)` and labels `(B, *S)`.

    Returns:
        The loss `(B, *S)`; in float32 for half precision.
    """
    z, y = _pixels_last(logits), _pixels_last(labels.unsqueeze(1))
    losses = torch.empty(y.shape, dtype=_precision(logits), device=y.device)
    _launch(_loss, summands, z, y, losses)
    return losses.view(labels.shape)


def gradient(
    logits: Tensor, labels: Tensor, summands: Sequence[Summand], grad_output: Tensor
) -> Tensor:
    """Compute the gradient of the logits, `(B, K, *S)`, from that of the loss, `(B, *S)`."""
    z, y, scale = (_pixels_last(x) for x in (logits, labels.unsqueeze(1), grad_output.unsqueeze(1)))
    slopes = torch.empty_like(z)
    _launch(_gradient, summands, z, y, scale, slopes)
    return slopes.view(logits.shape) if logits.ndim > 2 else slopes[0].t()


def _pixels_last(x: Tensor) -> Tensor:
    """`(B, K, *S)` to `(B, K, P)`; samples without pixels become the pixels of one, `(1, K, B)`."""
    return x.flatten(2) if x.ndim > 2 else x.t().unsqueeze(0)


def _precision(logits: Tensor) -> torch.dtype:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _launch(kernel: Any, summands: Sequence[Summand], z: Tensor, *others: Tensor) -> None:
    samples, classes, pixels = z.shape
    block_classes = triton.next_power_of_2(classes)
    block_pixels = TILE // block_classes
    programs = samples * triton.cdiv(pixels, block_pixels)
    if programs == 0:
        return
    with torch.cuda.device_of(z):
        kernel[(programs,)](
            *((x, *x.stride()) for x in (z, *others)),
            classes,
            pixels,
            SUMMANDS=tuple(_describe(summand) for summand in summands),
            PRECISION=tl.float64 if _precision(z) == torch.float64 else tl.float32,
            BLOCK_CLASSES=block_classes,
            BLOCK_PIXELS=block_pixels,
            num_warps=WARPS,
        )


def _describe(summand: Summand) -> tuple[str, float, float, Constants]:
    """What the kernels know of a summand when they are compiled."""
    largest = summand.largest if summand.form == "normalized negative" else 0.0
    curve = CURVES[summand.curve.func](**summand.curve.keywords)
    return summand.form, float(summand.weight), largest, curve


@triton.jit
def _loss(
    logits,
    labels,
    losses,
    classes,
    pixels,
    SUMMANDS: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
):
    b, k, n, inside = _place(classes, pixels, BLOCK_CLASSES, BLOCK_PIXELS)
    u, p, of_label = _read(logits, labels, b, k, n, inside, classes, PRECISION)
    value, _ = _derive(u, p, of_label, k < classes, SUMMANDS)
    tl.store(_at(losses, b, 0, n), value, mask=inside)


@triton.jit
def _gradient(
    logits,
    labels,
    scale,
    slopes,
    classes,
    pixels,
    SUMMANDS: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
    BLOCK_PIXELS: tl.constexpr,
):
    b, k, n, inside = _place(classes, pixels, BLOCK_CLASSES, BLOCK_PIXELS)
    u, p, of_label = _read(logits, labels, b, k, n, inside, classes, PRECISION)
    _, du = _derive(u, p, of_label, k < classes, SUMMANDS)
    dz = du - p * tl.sum(du, 0, keep_dims=True)
    dz *= tl.load(_at(scale, b, 0, n), mask=inside, other=0).to(PRECISION)
    tl.store(_at(slopes, b, k, n), dz, mask=inside & (k < classes))


@triton.jit
def _place(classes, pixels, BLOCK_CLASSES: tl.constexpr, BLOCK_PIXELS: tl.constexpr):
    """Sample, classes `(K, 1)` and pixels `(1, P)` of this program, and which pixels exist."""
    blocks = tl.cdiv(pixels, BLOCK_PIXELS)
    b = tl.program_id(0) // blocks
    k = tl.arange(0, BLOCK_CLASSES)[:, None]
    n = tl.program_id(0) % blocks * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)[None, :]
    return b, k, n, n < pixels


@triton.jit
def _at(tensor, b, k, n):
    """Pointers into a tensor that is given as (pointer, *strides); 64 bits, for large volumes."""
    pointer, per_sample, per_class, per_pixel = tensor
    start = tl.cast(b, tl.int64) * per_sample + tl.cast(k, tl.int64) * per_class
    return pointer + start + tl.cast(n, tl.int64) * per_pixel


@triton.jit
def _read(logits, labels, b, k, n, inside, classes, PRECISION: tl.constexpr):
    """Give log p and p, `(K, P)`, and where the label is; classes that do not exist have p = 0."""
    exists = k < classes
    z = tl.load(_at(logits, b, k, n), mask=inside & exists, other=0).to(PRECISION)
    largest = tl.max(tl.where(exists, z, float("-inf")), 0, keep_dims=True)
    u = tl.where(exists, z - largest, 0)
    p = tl.where(exists, tl.exp(u), 0)
    total = tl.sum(p, 0, keep_dims=True)
    y = tl.load(_at(labels, b, 0, n), mask=inside, other=0)
    return u - tl.log(total), p / total, k == y


@triton.jit
def _derive(u, p, of_label, exists, SUMMANDS: tl.constexpr):
    """The loss `(1, P)` and its derivative by log p, `(K, P)`."""
    loss = tl.zeros_like(_take(u, of_label))
    du = tl.zeros_like(u)
    for i in tl.static_range(len(SUMMANDS)):
        value, slope = _derive_summand(u, p, of_label, exists, SUMMANDS[i])
        loss += value
        du += slope
    return loss, tl.where(exists, du, 0)


@triton.jit
def _derive_summand(u, p, of_label, exists, SUMMAND: tl.constexpr):
    FORM: tl.constexpr = SUMMAND[0]
    WEIGHT: tl.constexpr = SUMMAND[1]
    LARGEST: tl.constexpr = SUMMAND[2]
    CURVE: tl.constexpr = SUMMAND[3]
    if FORM == "plain":
        value, slope = _value_and_slope(_take(u, of_label), _take(p, of_label), CURVE)
        return WEIGHT * value, tl.where(of_label, WEIGHT * slope, 0)
    else:
        value, slope = _value_and_slope(u, p, CURVE)
        if FORM == "normalized negative":
            slope = tl.where(value < LARGEST, slope, 0)
            value = tl.maximum(LARGEST - value, 0)
        total = tl.sum(tl.where(exists, value, 0), 0, keep_dims=True)
        share = _take(value, of_label) / total
        du = WEIGHT / total * slope * (tl.where(of_label, 1, 0) - share)
        if FORM == "normalized negative":
            share = 1 - share
        return WEIGHT * share, du


@triton.jit
def _take(x, of_label):
    """Of each pixel what belongs to its label, `(1, P)`."""
    return tl.sum(tl.where(of_label, x, 0), 0, keep_dims=True)


@triton.jit
def _value_and_slope(u, p, CURVE: tl.constexpr):
    """A curve and dl/du, both from u and p = exp(u)."""
    NAME: tl.constexpr = CURVE[0]
    miss = tl.maximum(1 - p, TINY)
    if NAME == "logarithm":
        value = -u
        slope = tl.full(u.shape, -1.0, u.dtype)
    elif NAME == "focal":
        weight = _power(miss, CURVE[1])
        value = -weight * u
        # p log p / (1 - p) lies in [-1, 0]; rounded, at p close to 1, it might not
        slope = weight * (CURVE[1] * tl.maximum(p * u / miss, -1) - 1)
    elif NAME == "focal, detached":
        weight = _power(miss, CURVE[1])
        value = -weight * u
        slope = -weight
    elif NAME == "linear":
        value = CURVE[1] * (1 - p)
        slope = -CURVE[1] * p
    elif NAME == "power":
        power = tl.exp(CURVE[1] * u)
        value = (1 - power) / CURVE[1]
        slope = -power
    elif NAME == "huberised":
        tangent = CURVE[2] - CURVE[1] * p
        value = tl.where(CURVE[1] * p > 1, -u, tangent)
        slope = tl.maximum(-CURVE[1] * p, -1)
    elif NAME == "taylor":
        value = tl.zeros_like(p)
        powers = tl.zeros_like(p)
        for i in tl.static_range(CURVE[1], 0, -1):  # Horner's scheme
            value = (1 - p) * (value + 1 / i)
            powers = (1 - p) * powers + 1
        slope = -p * powers
    elif NAME == "rising power":
        power = _power(CURVE[1] + p, CURVE[2])
        value = (CURVE[3] - power) / CURVE[2]
        slope = -p * power / (CURVE[1] + p)
    elif NAME == "falling power":
        power = _power(CURVE[1] - p, CURVE[2])
        value = (power - CURVE[3]) / CURVE[2]
        slope = -p * power / (CURVE[1] - p)
    else:
        tl.static_assert(NAME == "exponential")
        value = tl.exp(-p / CURVE[1])
        slope = -p * value / CURVE[1]
    return value, slope


@triton.jit
def _power(base, exponent: tl.constexpr):
    return tl.exp(exponent * tl.log(base))
