"""Noise on one binary mask: draw what is random, apply it, and measure what it did.

The level of every kind of noise is the same figure: pixels that change over foreground pixels of
the clean mask. What is drawn depends neither on the mask nor on the level, so the noise of a case
grows with the level instead of starting anew; the rest is a function of mask, level and draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from anl_seg.errors import InputError
from anl_seg.noise.affine import displace, draw_motion
from anl_seg.noise.base import Mask, UncorruptibleError
from anl_seg.noise.morphology import dilate, draw_split, erode


class Kind(NamedTuple):
    """One kind of noise: how to draw it, and how to apply it to (mask, eta_beta, **drawn)."""

    draw: Callable[[np.random.Generator], dict[str, Any]]
    apply: Callable[..., tuple[Mask, dict[str, Any]]]


#: The kinds of the paper (section VI-A); a new kind is one more row.
KINDS = {
    "erosion": Kind(draw_split, erode),
    "dilation": Kind(draw_split, dilate),
    "affine": Kind(draw_motion, displace),
}


@dataclass(frozen=True)
class Record:
    """What was asked of one mask and what came of it.

    Attributes:
        kind: A name of `KINDS`.
        requested: The eta_beta asked for.
        achieved: Changed pixels over foreground pixels; None for an empty mask.
        dice: Overlap of the noisy with the clean mask; None for an empty mask.
        area_change: Growth of the foreground over the foreground; None for an empty mask.
        parameters: What was drawn and what the level turned it into.
        reason: Why the mask was left as it is; empty where it was corrupted.
    """

    kind: str
    requested: float
    achieved: float | None
    dice: float | None
    area_change: float | None
    parameters: Mapping[str, Any]
    reason: str = ""


def draw(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Draw the random parameters of one kind of noise, as plain numbers under their names."""
    return KINDS[check_kind(kind)].draw(rng)


def apply(mask: Mask, kind: str, eta_beta: float, drawn: Mapping[str, Any]) -> tuple[Mask, Record]:
    """Apply noise of one kind and level to a mask; nothing is random here.

    A mask that cannot take the noise (empty, full, vanishing, out of room) is returned as it is,
    with the reason in the record.

    Args:
        mask: (H, W), bool.
        kind: A name of `KINDS`.
        eta_beta: Changed pixels over foreground pixels, in (0, 1).
        drawn: What `draw` gave for this kind.

    Returns:
        A new mask, (H, W), bool, and the record.

    Raises:
        InputError: If an argument is not as said.

    References:
        Ye et al., "Active Negative Loss", section VI-A.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"mask must be a bool array (H, W), got {mask.dtype} {mask.shape}")
    check_kind(kind)
    check_eta_beta(eta_beta)
    try:
        if not mask.any():
            raise UncorruptibleError("the mask is empty")
        if mask.all():
            raise UncorruptibleError("the mask is full")
        noisy, found = KINDS[kind].apply(mask, eta_beta, **drawn)
        reason = ""
    except UncorruptibleError as error:
        noisy, found, reason = mask.copy(), {}, str(error)
    record = Record(kind, eta_beta, *measure(mask, noisy), {**drawn, **found}, reason)
    return noisy, record


def corrupt(
    mask: Mask, kind: str, eta_beta: float, rng: np.random.Generator
) -> tuple[Mask, Record]:
    """Draw noise of one kind and apply it: `apply` with what `draw` takes from `rng`."""
    return apply(mask, kind, eta_beta, draw(kind, rng))


def measure(clean: Mask, noisy: Mask) -> tuple[float | None, float | None, float | None]:
    """The share of changed pixels, Dice and area change; None thrice if the clean mask is empty."""
    before, after = int(np.count_nonzero(clean)), int(np.count_nonzero(noisy))
    if before == 0:
        return None, None, None
    changed = int(np.count_nonzero(clean ^ noisy))
    return changed / before, (before + after - changed) / (before + after), after / before - 1


def check_kind(kind: str) -> str:
    """Give `kind` back if it is a name of `KINDS`."""
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return kind


def check_eta_beta(eta_beta: float) -> None:
    """Raise InputError unless 0 < eta_beta < 1; at 1 an eroded object would be gone."""
    if not 0 < eta_beta < 1:
        raise InputError(
            "eta_beta must lie between 0 and 1, both excluded "
            f"(changed pixels over foreground pixels), got {eta_beta:g}"
        )
