"""The two methods that corrupt masks: ours, and the generator behind the published tables.

A method says which kinds of noise there are, which masks of a set get which of them, and what it
cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from anl_seg.errors import InputError
from anl_seg.noise import published
from anl_seg.noise.base import draw_nothing
from anl_seg.noise.kinds import KINDS, Kind
from anl_seg.noise.selection import choose


class Choice(NamedTuple):
    """The noise of one chosen case.

    Attributes:
        kind: Name of the kind.
        drawn: Its parameters; None if each class draws its own from the seed, case and label.
    """

    kind: str
    drawn: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Method:
    """How masks are corrupted.

    Attributes:
        name: As given to `--method`.
        kinds: The kinds of noise, by name.
        choose: Chooses cases from (cases, eta_alpha, seed, kinds).
        full_masks: Whether masks without background are corrupted.
        millimetres: Whether lengths can be millimetres.
        all_kinds: Whether every set gets all kinds of the method.
        binary_2d: Whether sets must hold binary 2D masks.
    """

    name: str
    kinds: Mapping[str, Kind]
    choose: Callable[[Sequence[str], float, int, Sequence[str]], Mapping[str, Choice]]
    full_masks: bool = False
    millimetres: bool = True
    all_kinds: bool = False
    binary_2d: bool = False

    def kind(self, name: str) -> Kind:
        """Look up a kind of noise.

        Raises:
            InputError: If the method has no such kind.
        """
        if name not in self.kinds:
            raise InputError(
                f"kind (--kinds) must be one of {', '.join(self.kinds)} for the {self.name} "
                f"method, got {name!r}"
            )
        return self.kinds[name]


def find_method(name: str) -> Method:
    """Look up a method.

    Raises:
        InputError: If there is no such method.

    Examples:
        >>> find_method("published").millimetres
        False
    """
    if name not in METHODS:
        raise InputError(f"method (--method) must be one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]


def _by_name(
    cases: Sequence[str], eta_alpha: float, seed: int, kinds: Sequence[str]
) -> dict[str, Choice]:
    """Choose by name and seed alone."""
    return {case: Choice(kind) for case, kind in choose(cases, eta_alpha, seed, kinds).items()}


def _by_stream(
    cases: Sequence[str], eta_alpha: float, seed: int, kinds: Sequence[str]
) -> dict[str, Choice]:
    """Choose and draw as the published code does, from all its kinds."""
    drawn = published.draw_set(cases, eta_alpha, seed)
    return {case: Choice(*noise) for case, noise in drawn.items()}


#: The kinds as the published code makes them.
PUBLISHED_KINDS = {
    "erosion": Kind(draw_nothing, published.erode),
    "dilation": Kind(draw_nothing, published.dilate),
    "affine": Kind(published.draw_motion, published.displace),
}
#: Meets the level to the pixel where it can; without the faults of the published generator.
CORRECTED = Method("corrected", KINDS, _by_name)
#: The generator behind the published tables, faults included.
PUBLISHED = Method(
    "published",
    PUBLISHED_KINDS,
    _by_stream,
    full_masks=True,
    millimetres=False,
    all_kinds=True,
    binary_2d=True,
)
METHODS = {method.name: method for method in (CORRECTED, PUBLISHED)}
