"""Choice of cases and of their kind of noise, by name and seed alone.

Every draw has its own generator, seeded by the SHA-256 of the seed and of the names of the draw. So
the result depends neither on the order of the files nor on the machine. The cases chosen at a
smaller eta_alpha are a subset of those at a larger one, each with the same kind of noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from anl_seg.errors import InputError
from anl_seg.noise.kinds import KINDS, PAPER_KINDS
from anl_seg.noise.rates import check_eta_alpha


def generator(seed: int, *names: str) -> np.random.Generator:
    """Create the random generator for `seed` and `names`, such as a case and a class.

    Args:
        seed: Seed of the noise, any whole number.
        *names: Names of the draw, such as a case and a class.

    Returns:
        A generator of its own for this seed and these names.

    Examples:
        >>> int(generator(1, "ISIC_0000003").integers(2**32))
        1720049564
    """
    digest = hashlib.sha256(
        "\0".join((str(seed), *names)).encode(errors="surrogateescape")
    ).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def choose(
    cases: Sequence[str], eta_alpha: float, seed: int, kinds: Sequence[str] = PAPER_KINDS
) -> dict[str, str]:
    """Choose exactly `round(eta_alpha * len(cases))` of the cases.

    A case whose mask cannot take its noise is not replaced by another. Otherwise the choice would
    depend on the level of the noise and on other masks.

    Args:
        cases: Unique names, in any order.
        eta_alpha: Share of cases to corrupt, in [0, 1].
        seed: Any whole number.
        kinds: Names of `KINDS` to draw from, all equally likely.

    Returns:
        The kind of noise of each chosen case.

    Raises:
        InputError: If `eta_alpha` is out of range or a kind is unknown.

    Examples:
        >>> choose(["a", "b", "c", "d"], eta_alpha=0.5, seed=1)
        {'d': 'dilation', 'b': 'affine'}
    """
    check_eta_alpha(eta_alpha)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {unknown[0]!r}")
    tickets = []
    for case in cases:
        rng = generator(seed, case, "choice")
        tickets.append((rng.random(), case, kinds[int(rng.integers(len(kinds)))]))
    return {case: kind for _, case, kind in sorted(tickets)[: round(eta_alpha * len(cases))]}
