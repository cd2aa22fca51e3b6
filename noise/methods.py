"""The two methods that corrupt masks: ours, and the generator behind the published tables.

A method defines its kinds of noise, assigns them to the masks of a set, and states its limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from anl_seg.errors import InputError
from anl_seg.noise import published
from anl_seg.noise.base import draw_nothing
from anl_seg.noise.kinds import KINDS, NoiseKind
from anl_seg.noise.selection import choose


class ChosenNoise(NamedTuple):
    """The noise of one chosen case.

    Attributes:
        kind: Name of the kind.
        drawn: Its parameters; None if each class draws its own from the seed, case and label.
    """

    kind: str
    drawn: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class NoiseMethod:
    """A method to corrupt masks.

    Attributes:
        name: Value of `--method`.
        kinds: Kinds of noise, by name.
        choose: Function of (cases, eta_alpha, seed, kinds) that chooses cases.
        full_masks: Whether masks without background are corrupted.
        millimetres: Whether lengths can be millimetres.
        all_kinds: Whether every set gets all kinds of the method.
        binary_2d: Whether sets must consist of binary 2D masks.
    """

    name: str
    kinds: Mapping[str, NoiseKind]
    choose: Callable[[Sequence[str], float, int, Sequence[str]], Mapping[str, ChosenNoise]]
    full_masks: bool = False
    millimetres: bool = True
    all_kinds: bool = False
    binary_2d: bool = False

    def kind(self, name: str) -> NoiseKind:
        """Look up a kind of noise.

        Args:
            name: Name of the kind.

        Returns:
            The kind of noise.

        Raises:
            InputError: If the method does not have this kind.
        """
        if name not in self.kinds:
            raise InputError(
                f"kind (--kinds) must be one of {', '.join(self.kinds)} for the {self.name} "
                f"method, got {name!r}"
            )
        return self.kinds[name]


def find_method(name: str) -> NoiseMethod:
    """Look up a method.

    Args:
        name: A key of `METHODS`.

    Returns:
        The method.

    Raises:
        InputError: If the method is unknown.

    Examples:
        >>> find_method("published").millimetres
        False
    """
    if name not in METHODS:
        raise InputError(f"method (--method) must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def _by_name(
    cases: Sequence[str], eta_alpha: float, seed: int, kinds: Sequence[str]
) -> dict[str, ChosenNoise]:
    """Choose cases by name and seed alone."""
    return {case: ChosenNoise(kind) for case, kind in choose(cases, eta_alpha, seed, kinds).items()}


def _by_stream(
    cases: Sequence[str], eta_alpha: float, seed: int, kinds: Sequence[str]
) -> dict[str, ChosenNoise]:
    """Choose cases and draw parameters as the published code does, from all its kinds."""
    drawn = published.draw_set(cases, eta_alpha, seed)
    return {case: ChosenNoise(*noise) for case, noise in drawn.items()}


#: The kinds as implemented in the published code.
PUBLISHED_KINDS = {
    "erosion": NoiseKind(draw_nothing, published.erode),
    "dilation": NoiseKind(draw_nothing, published.dilate),
    "affine": NoiseKind(published.draw_motion, published.displace),
}
#: Our method: it matches the level to the pixel if it can, without the published faults.
CORRECTED = NoiseMethod("corrected", KINDS, _by_name)
#: The generator behind the published tables, faults included.
PUBLISHED = NoiseMethod(
    "published",
    PUBLISHED_KINDS,
    _by_stream,
    full_masks=True,
    millimetres=False,
    all_kinds=True,
    binary_2d=True,
)
METHODS = {method.name: method for method in (CORRECTED, PUBLISHED)}
