"""What the kinds of mask noise share: types, windows, ranking by cost, and the way to give up."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anl_seg.geometry import Mask, Window

#: Why a mask cannot take its noise.
SITUATIONS = ("empty", "full", "vanishing", "out-of-view", "too-small")


class UncorruptibleError(Exception):
    """This mask cannot take this noise, and is then left as it is.

    Attributes:
        situation: One of `SITUATIONS`.
    """

    def __init__(self, situation: str, reason: str) -> None:
        super().__init__(reason)
        self.situation = situation


class Surroundings(NamedTuple):
    """What noise must know besides the mask.

    Attributes:
        spacing_mm: Size of a pixel along every axis, or None to count in pixels.
        frozen: Pixels that must not change, those of the ignore label; or None.
    """

    spacing_mm: tuple[float, ...] | None = None
    frozen: Mask | None = None

    def steps(self, mask: Mask) -> tuple[float, ...]:
        """The length of a step along every axis of `mask`: its spacing, or ones."""
        return self.spacing_mm or (1.0,) * mask.ndim

    def free(self, window: Window, region: Mask) -> Mask:
        """The part of `region`, which lies at `window`, that may change."""
        return region if self.frozen is None else region & ~self.frozen[window]


def pixels_to_change(foreground: int, eta_beta: float) -> int:
    """Turn eta_beta into a number of pixels.

    Raises:
        UncorruptibleError: If that is none.
    """
    wanted = round(eta_beta * foreground)
    if wanted == 0:
        raise UncorruptibleError(
            "too-small",
            f"eta_beta {eta_beta:g} of {foreground} foreground pixels is no whole pixel",
        )
    return wanted


def cheapest(
    cost: NDArray[Any], candidates: Mask, wanted: int, seed: int
) -> tuple[Mask, float, int]:
    """Choose the `wanted` candidates of lowest cost; among equals at the limit, by chance.

    What is chosen for a smaller number is part of what is chosen for a larger one.

    Args:
        cost: One number a pixel.
        candidates: Pixels to choose from, of the same shape; at least `wanted`.
        wanted: How many to choose, at least one.
        seed: Decides between equals.

    Returns:
        The chosen pixels, the highest cost among them, and how many of that cost were chosen if
        not all of them were (else 0).
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
    """Draw a seed, a plain number that a manifest can hold."""
    return int(rng.integers(2**32))


def draw_nothing(rng: np.random.Generator, ndim: int) -> dict[str, Any]:
    """Return no parameters, for kinds of noise that draw nothing."""
    return {}
