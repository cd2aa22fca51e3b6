"""Noise on one mask: draw what is random, apply it, and measure what it did.

The level of every kind of noise is the same figure: pixels that change over foreground pixels of
the clean mask. What is drawn depends neither on the mask nor on the level, so the noise of a case
grows with the level instead of starting anew; the rest is a function of mask, level and draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.noise import affine, beyond, morphology, published
from anl_seg.noise.base import Mask, Surroundings, UncorruptibleError
from anl_seg.noise.measures import measure


class Kind(NamedTuple):
    """One kind of noise.

    Attributes:
        draw: Draws its parameters from (rng, number of dimensions).
        apply: Applies it to (mask, eta_beta, surroundings, **drawn).
    """

    draw: Callable[[np.random.Generator, int], dict[str, Any]]
    apply: Callable[..., tuple[Mask, dict[str, Any]]]


#: The kinds of the paper (section VI-A).
PAPER_KINDS = ("erosion", "dilation", "affine")
#: All kinds; a new kind is one more row.
KINDS = {
    "erosion": Kind(morphology.draw_split, morphology.erode),
    "dilation": Kind(morphology.draw_split, morphology.dilate),
    "affine": Kind(affine.draw_motion, affine.displace),
    "jitter": Kind(beyond.draw_field, beyond.jitter),
    "polygon": Kind(beyond.draw_nothing, beyond.simplify),
    "missing-component": Kind(beyond.draw_order, beyond.drop_components),
    "spurious-blob": Kind(beyond.draw_place, beyond.add_blob),
    "class-swap": Kind(beyond.draw_cut, beyond.cut),
}
#: The kinds as the published code makes them.
PUBLISHED_KINDS = {
    "erosion": Kind(published.draw_nothing, published.erode),
    "dilation": Kind(published.draw_nothing, published.dilate),
    "affine": Kind(published.draw_motion, published.displace),
}
METHODS = {"corrected": KINDS, "published": PUBLISHED_KINDS}


@dataclass(frozen=True)
class Record:
    """What was asked of one object and what came of it.

    Attributes:
        kind: A name of `KINDS`.
        method: "corrected" or "published".
        requested: The eta_beta asked for.
        achieved: Changed pixels over foreground pixels; None for an empty mask.
        dice: Overlap of the noisy with the clean mask; None for an empty mask.
        area_change: Growth of the foreground over the foreground; None for an empty mask.
        hd95: 95th percentile of the surface distances, in mm or pixels; None if a mask is empty.
        parameters: What was drawn and what the level turned it into.
        situation: A name of `SITUATIONS` if the mask was left as it is; empty if corrupted.
        reason: The same in words.
    """

    kind: str
    method: str
    requested: float
    achieved: float | None
    dice: float | None
    area_change: float | None
    hd95: float | None
    parameters: Mapping[str, Any]
    situation: str = ""
    reason: str = ""


class Distortion(NamedTuple):
    """A mask after its noise, not yet measured; see `Record` for the rest."""

    noisy: Mask
    parameters: dict[str, Any]
    situation: str = ""
    reason: str = ""


def corrupt(
    mask: NDArray[Any],
    kind: str,
    eta_beta: float,
    rng: np.random.Generator,
    method: str = "corrected",
    *,
    spacing_mm: tuple[float, ...] | None = None,
) -> tuple[NDArray[Any], Record]:
    """Corrupt one mask.

    A mask that cannot take the noise (empty, full, vanishing, out of room) is returned as it is,
    with the reason in the record. For label maps see `anl_seg.noise.corrupt_labels`.

    Args:
        mask: (H, W) or (D, H, W); bool, or numbers that are 0 and one other value such as 255.
        kind: A name of `KINDS`.
        eta_beta: Changed pixels over foreground pixels, in (0, 1).
        rng: What is random is drawn from it; `generator(seed, case, "1")` for one case of a set.
        method: "corrected", or "published" for the faults of the paper's generator.
        spacing_mm: Size of a pixel along every axis: erosion, dilation and displacement are then
            measured in mm instead of pixels. Not for "published".

    Returns:
        A new mask of the shape, type and values of `mask`, and the record.

    Raises:
        InputError: If an argument is not as said.

    References:
        Ye et al., "Active Negative Loss", section VI-A.
    """
    drawn = draw(kind, rng, mask.ndim, method)
    return apply(mask, kind, eta_beta, drawn, method, spacing_mm=spacing_mm)


def draw(
    kind: str, rng: np.random.Generator, ndim: int = 2, method: str = "corrected"
) -> dict[str, Any]:
    """Draw the random parameters of one kind of noise, as plain numbers under their names."""
    return find_kind(kind, method).draw(rng, ndim)


def apply(
    mask: NDArray[Any],
    kind: str,
    eta_beta: float,
    drawn: Mapping[str, Any],
    method: str = "corrected",
    *,
    spacing_mm: tuple[float, ...] | None = None,
) -> tuple[NDArray[Any], Record]:
    """Corrupt one mask with parameters that `draw` gave; nothing is random here.

    Arguments, results and errors are those of `corrupt`.
    """
    clean, foreground = _binary(mask)
    around = Surroundings(check_spacing(spacing_mm, mask.ndim, method))
    distortion = distort(clean, kind, eta_beta, drawn, method, around)
    measures = measure(clean, distortion.noisy, spacing_mm)
    noisy = distortion.noisy.astype(mask.dtype) * foreground
    return noisy, Record(kind, method, eta_beta, *measures, *distortion[1:])


def distort(
    mask: Mask,
    kind: str,
    eta_beta: float,
    drawn: Mapping[str, Any],
    method: str,
    around: Surroundings,
) -> Distortion:
    """Apply noise to a bool mask; one that cannot take it comes back as it is, with the reason.

    Raises:
        InputError: If `kind`, `method` or `eta_beta` is not as in `corrupt`.
    """
    found = find_kind(kind, method)
    check_eta_beta(eta_beta)
    try:
        if not mask.any():
            raise UncorruptibleError("empty", "the mask is empty")
        if method == "corrected" and mask.all():
            raise UncorruptibleError("full", "the mask is full")
        noisy, results = found.apply(mask, eta_beta, around, **drawn)
    except UncorruptibleError as error:
        return Distortion(mask.copy(), dict(drawn), error.situation, str(error))
    return Distortion(noisy, {**drawn, **results})


def find_kind(kind: str, method: str = "corrected") -> Kind:
    """Look up a kind of noise.

    Raises:
        InputError: If there is no such kind or method.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if kind not in METHODS[method]:
        raise InputError(
            f"kind must be one of {', '.join(METHODS[method])} for the {method} method, "
            f"got {kind!r}"
        )
    return METHODS[method][kind]


def check_eta_beta(eta_beta: float) -> None:
    """Raise InputError unless 0 < eta_beta < 1; at 1 an eroded object would be gone."""
    if not 0 < eta_beta < 1:
        raise InputError(
            "eta_beta must lie between 0 and 1, both excluded "
            f"(changed pixels over foreground pixels), got {eta_beta:g}"
        )


def check_spacing(
    spacing_mm: tuple[float, ...] | None, ndim: int, method: str
) -> tuple[float, ...] | None:
    """Give a spacing back if it is one for masks of `ndim` dimensions.

    Raises:
        InputError: If it is not, or the method does not know of spacing.
    """
    if spacing_mm is None:
        return None
    if method == "published":
        raise InputError("the published method counts pixels: leave the spacing out")
    if len(spacing_mm) != ndim or not all(step > 0 for step in spacing_mm):
        raise InputError(f"spacing_mm must be {ndim} positive lengths, got {spacing_mm}")
    return tuple(map(float, spacing_mm))


def _binary(mask: NDArray[Any]) -> tuple[Mask, Any]:
    """A mask as bool, and the value of its foreground in the mask's own type."""
    if mask.ndim not in (2, 3) or mask.dtype.kind not in "bui" or mask.size == 0:
        raise InputError(
            "mask must be an array of bool or whole numbers, (H, W) or (D, H, W), "
            f"got {mask.dtype} {mask.shape}"
        )
    clean: Mask = mask != 0
    foreground = mask.max() if clean.any() else mask.dtype.type(1)
    if np.any(mask[clean] != foreground):
        raise InputError(
            "mask must hold 0 and one other value, got several; use corrupt_labels for label maps"
        )
    return clean, foreground
