"""The kinds of mask noise: a function that draws parameters and one that applies them to a mask.

The level means the same for every kind: changed pixels over foreground pixels of the clean mask.
The drawn parameters depend neither on the mask nor on the level. So the noise of a case grows with
the level instead of being a different one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple

import numpy as np

from anl_seg.geometry import Mask
from anl_seg.noise import affine, class_swap, components, jitter, morphology, polygon
from anl_seg.noise.base import Surroundings, draw_nothing


class NoiseKind(NamedTuple):
    """One kind of noise.

    Attributes:
        draw: Function of (rng, number of dimensions) that draws the parameters.
        apply: Function of (mask, eta_beta, surroundings, **drawn). It returns the noisy mask and
            the parameters found for the level.
        swaps: Whether another class takes the pixels that a class loses.
    """

    draw: Callable[[np.random.Generator, int], dict[str, Any]]
    apply: Callable[Concatenate[Mask, float, Surroundings, ...], tuple[Mask, dict[str, Any]]]
    swaps: bool = False


#: The kinds of the paper (section VI-A).
PAPER_KINDS = ("erosion", "dilation", "affine")
#: All kinds; a new kind is one more row.
KINDS = {
    "erosion": NoiseKind(morphology.draw_split, morphology.erode),
    "dilation": NoiseKind(morphology.draw_split, morphology.dilate),
    "affine": NoiseKind(affine.draw_motion, affine.displace),
    "jitter": NoiseKind(jitter.draw_field, jitter.jitter),
    "polygon": NoiseKind(draw_nothing, polygon.simplify),
    "missing-component": NoiseKind(components.draw_order, components.drop_components),
    "spurious-blob": NoiseKind(components.draw_place, components.add_blob),
    "class-swap": NoiseKind(class_swap.draw_cut, class_swap.cut, swaps=True),
}
