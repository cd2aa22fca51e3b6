"""Noise on one mask: draw the random parameters, apply them, measure the result.

The noisy mask is a function of the clean mask, the level and the draw (see `anl_seg.noise.kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.geometry import Mask
from anl_seg.noise.base import Surroundings, UncorruptibleError
from anl_seg.noise.measures import measure
from anl_seg.noise.methods import CORRECTED, NoiseMethod
from anl_seg.noise.rates import check_eta_beta


@dataclass(frozen=True)
class NoiseRecord:
    """Requested and achieved noise of one object.

    Attributes:
        kind: A name of `KINDS`.
        method: "corrected" or "published".
        requested: Requested eta_beta.
        achieved: Changed pixels over foreground pixels; None for an empty mask.
        dice: Overlap of the noisy with the clean mask; None for an empty mask.
        area_change: Growth of the foreground over the foreground; None for an empty mask.
        hd95: 95th percentile of the surface distances, in mm or pixels; None if a mask is empty.
        parameters: Drawn parameters, and those found for the level.
        situation: A name of `SITUATIONS` if the mask was left unchanged; "" if corrupted.
        reason: The situation in words.
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
    """A mask after its noise, not yet measured. `NoiseRecord` explains the other fields."""

    noisy: Mask
    parameters: dict[str, Any]
    situation: str = ""
    reason: str = ""


def corrupt(
    mask: NDArray[Any],
    kind: str,
    eta_beta: float,
    rng: np.random.Generator,
    method: NoiseMethod = CORRECTED,
    *,
    spacing_mm: tuple[float, ...] | None = None,
) -> tuple[NDArray[Any], NoiseRecord]:
    """Corrupt one mask.

    If a mask cannot take the noise (see `SITUATIONS` in `anl_seg.noise`), it is returned unchanged,
    and the record states the reason. For label maps see `anl_seg.noise.corrupt_labels`.

    Args:
        mask: (H, W) or (D, H, W); bool, or numbers that are 0 and one other value such as 255.
        kind: A name of `KINDS`.
        eta_beta: Changed pixels over foreground pixels, in (0, 1).
        rng: Source of the random parameters; for a case of a set, `generator(seed, case, "1")`.
        method: `CORRECTED`, or `PUBLISHED` for the paper's generator with its faults.
        spacing_mm: Size of a pixel along every axis. Erosion, dilation and displacement are then
            measured in mm instead of pixels. Not for `PUBLISHED`.

    Returns:
        A new mask of the shape, type and values of `mask`, and the record.

    Raises:
        InputError: If an argument is invalid.

    References:
        Ye et al., "Active Negative Loss", section VI-A.

    Examples:
        >>> from anl_seg.noise import generator
        >>> mask = np.zeros((64, 64), dtype=np.uint8)
        >>> mask[20:40, 20:40] = 255
        >>> noisy, record = corrupt(mask, "dilation", 0.7, generator(0, "case_1", "1"))
        >>> record.achieved, int((noisy == 255).sum()) / int((mask == 255).sum())
        (0.7, 1.7)
    """
    drawn = draw(kind, rng, mask.ndim, method)
    return apply(mask, kind, eta_beta, drawn, method, spacing_mm=spacing_mm)


def draw(
    kind: str, rng: np.random.Generator, ndim: int = 2, method: NoiseMethod = CORRECTED
) -> dict[str, Any]:
    """Draw the random parameters of one kind of noise, as plain numbers by name.

    Args:
        kind: A name of `KINDS`.
        rng: The generator to draw from.
        ndim: Dimensions of the mask, 2 or 3.
        method: `CORRECTED` or `PUBLISHED`.

    Returns:
        The argument `drawn` of `apply`.

    Raises:
        InputError: If the method does not have this kind.

    Examples:
        >>> sorted(draw("affine", np.random.default_rng(0)))
        ['direction', 'split_seed', 'turn_deg']
    """
    return method.kind(kind).draw(rng, ndim)


def apply(
    mask: NDArray[Any],
    kind: str,
    eta_beta: float,
    drawn: Mapping[str, Any],
    method: NoiseMethod = CORRECTED,
    *,
    spacing_mm: tuple[float, ...] | None = None,
) -> tuple[NDArray[Any], NoiseRecord]:
    """Corrupt one mask with parameters from `draw`; nothing is random here.

    Args:
        mask: (H, W) or (D, H, W); bool, or numbers that are 0 and one other value such as 255.
        kind: A name of `KINDS`.
        eta_beta: Changed pixels over foreground pixels, in (0, 1).
        drawn: Parameters from `draw`.
        method: `CORRECTED` or `PUBLISHED`.
        spacing_mm: Size of a pixel along every axis, as in `corrupt`.

    Returns:
        A new mask of the shape, type and values of `mask`, and the record.

    Raises:
        InputError: If an argument is invalid.

    Examples:
        >>> mask = np.zeros((9, 9), dtype=bool)
        >>> mask[2:7, 2:7] = True
        >>> noisy, _ = apply(mask, "erosion", 16 / 25, {"split_seed": 0})
        >>> int(noisy.sum())
        9
    """
    check_eta_beta(eta_beta)
    clean, foreground = _binary(mask)
    around = Surroundings(check_spacing(spacing_mm, mask.ndim, method))
    distortion = distort(clean, kind, eta_beta, drawn, method, around)
    measures = measure(clean, distortion.noisy, spacing_mm)
    noisy = distortion.noisy.astype(mask.dtype) * foreground
    return noisy, NoiseRecord(kind, method.name, eta_beta, *measures, *distortion[1:])


def distort(
    mask: Mask,
    kind: str,
    eta_beta: float,
    drawn: Mapping[str, Any],
    method: NoiseMethod,
    around: Surroundings,
) -> Distortion:
    """Apply noise to a bool mask. If it cannot take the noise, return it unchanged and say why.

    Raises:
        InputError: If the method does not have this kind.
    """
    found = method.kind(kind)
    try:
        if not mask.any():
            raise UncorruptibleError("empty", "the mask is empty")
        if not method.full_masks and mask.all():
            raise UncorruptibleError("full", "the mask is full")
        noisy, results = found.apply(mask, eta_beta, around, **drawn)
    except UncorruptibleError as error:
        return Distortion(mask.copy(), dict(drawn), error.situation, str(error))
    return Distortion(noisy, {**drawn, **results})


def check_spacing(
    spacing_mm: tuple[float, ...] | None, ndim: int, method: NoiseMethod
) -> tuple[float, ...] | None:
    """Check the spacing for masks of `ndim` dimensions, and return it.

    Raises:
        InputError: If it is invalid, or if the method counts pixels only.
    """
    if spacing_mm is None:
        return None
    if not method.millimetres:
        raise InputError(f"the {method.name} method counts pixels: omit the spacing")
    if len(spacing_mm) != ndim or not all(step > 0 for step in spacing_mm):
        raise InputError(f"spacing_mm must be {ndim} positive lengths, got {spacing_mm}")
    return tuple(map(float, spacing_mm))


def _binary(mask: NDArray[Any]) -> tuple[Mask, Any]:
    """Convert a mask to bool, and return its foreground value in the mask's own type too."""
    if mask.ndim not in (2, 3) or mask.dtype.kind not in "bui" or mask.size == 0:
        raise InputError(
            "mask must be an array of bool or whole numbers, (H, W) or (D, H, W), "
            f"got {mask.dtype} {mask.shape}"
        )
    clean: Mask = mask != 0
    foreground = mask.max() if clean.any() else mask.dtype.type(1)
    if np.any(mask[clean] != foreground):
        raise InputError(
            "mask must contain 0 and one other value only; use corrupt_labels for label maps"
        )
    return clean, foreground
