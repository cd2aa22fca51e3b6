"""Shared parts of the kinds of mask noise: types, windows, ranking by cost, giving up."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anl_seg.geometry import Mask, Window

#: Reasons why a mask cannot take its noise.
SITUATIONS = ("empty", "full", "vanishing", "out-of-view", "too-small")


class UncorruptibleError(Exception):
    """Raised if a mask cannot take its noise. Callers then leave the mask unchanged.

    Attributes:
        situation: One of `SITUATIONS`.
    """

    def __init__(self, situation: str, reason: str) -> None:
        super().__init__(reason)
        self.situation = situation


class Surroundings(NamedTuple):
    """Inputs of noise other than the mask.

    Attributes:
        spacing_mm: Size of a pixel along every axis, or None to count in pixels.
        frozen: Pixels of the ignore label, which must not change; or None.
    """

    spacing_mm: tuple[float, ...] | None = None
    frozen: Mask | None = None

    def steps(self, mask: Mask) -> tuple[float, ...]:
        """Return the length of a step along every axis of `mask`: its spacing, or ones."""
        return self.spacing_mm or (1.0,) * mask.ndim

    def free(self, window: Window, region: Mask) -> Mask:
        """Return the part of `region` (its position is `window`) that may change."""
        return region if self.frozen is None else region & ~self.frozen[window]


def pixels_to_change(foreground: int, eta_beta: float) -> int:
    """Convert eta_beta to a number of pixels.

    Raises:
        UncorruptibleError: If the number rounds to zero.
    """
    wanted = round(eta_beta * foreground)
    if wanted == 0:
        raise UncorruptibleError(
            "too-small",
            f"eta_beta {eta_beta:g} of {foreground} foreground pixels is less than half a pixel",
        )
    return wanted


def cheapest(
    cost: NDArray[Any], candidates: Mask, wanted: int, seed: int
) -> tuple[Mask, float, int]:
    """Choose the `wanted` candidates of lowest cost; ties at the limit are broken at random.

    The pixels chosen for a smaller number are a subset of those chosen for a larger one.

    Args:
        cost: One number per pixel.
        candidates: Pixels to choose from, same shape as `cost`; at least `wanted`.
        wanted: Number of pixels to choose, at least one.
        seed: Seed that breaks ties.

    Returns:
        The chosen pixels, the highest cost among them, and the number chosen at that cost (0 if all
        candidates of that cost were chosen).
    """
    limit = np.partition(cost[candidates], wanted - 1)[wanted - 1]
    chosen = candidates & (cost < limit)
    missing = wanted - int(np.count_nonzero(chosen))
    equals = np.flatnonzero(candidates & (cost == limit))
    if missing == equals.size:
        chosen.flat[equals] = True
        return chosen, float(limit), 0
    chosen.flat[np.random.default_rng(seed).permutation(equals)[:missing]] = True
    return chosen, float(limit), missing


def draw_seed(rng: np.random.Generator) -> int:
    """Draw a seed as a plain number, so that a manifest can store it."""
    return int(rng.integers(2**32))


def draw_nothing(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Return no parameters, for kinds of noise that draw nothing."""
    return {}
