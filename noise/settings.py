"""What a run of `anl-seg noise` is asked to do, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anl_seg.errors import InputError
from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.kinds import PAPER_KINDS
from anl_seg.noise.levels import check_eta_alpha, check_eta_beta
from anl_seg.noise.methods import CORRECTED, Method

#: What becomes of a case whose mask cannot take its noise: it keeps its clean mask, it is omitted
#: from the noisy set, or the run fails.
POLICIES = ("keep", "skip", "fail")


@dataclass(frozen=True)
class NoiseSettings:
    """What was asked for; checked on creation.

    Attributes:
        eta_alpha: Share of the n masks to corrupt, in [0, 1]: `round(eta_alpha * n)` are chosen.
        eta_beta: Changed pixels over foreground pixels in each class of them, in (0, 1).
        seed: Any whole number. With the names of case and class it decides on the noise alone.
        method: `CORRECTED`, or `PUBLISHED` for the generator behind the paper's tables (binary 2D
            masks; its seed is 0).
        kinds: Kinds of noise to draw from, names of `KINDS`.
        millimetres: Whether erosion, dilation and displacement are measured in mm by the spacing of
            the files, instead of pixels.
        ignore_label: Label that stays untouched; None for the one that a data set declares.
        threshold: Pixels of grey masks are foreground from this value on; None for label maps.
        policies: One of `POLICIES` for any of `SITUATIONS` in which a mask cannot take its noise;
            "keep" for the others.

    Raises:
        InputError: If a value is out of range, or the method cannot do it.

    Examples:
        >>> NoiseSettings(eta_alpha=0.7, eta_beta=0.5, kinds=("dilation",)).policy("empty")
        'keep'
    """

    eta_alpha: float
    eta_beta: float
    seed: int = 0
    method: Method = CORRECTED
    kinds: tuple[str, ...] = PAPER_KINDS
    millimetres: bool = False
    ignore_label: int | None = None
    threshold: float | None = None
    policies: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values."""
        check_eta_alpha(self.eta_alpha)
        check_eta_beta(self.eta_beta)
        if not self.kinds:
            raise InputError(f"kinds (--kinds) must name at least one of {', '.join(PAPER_KINDS)}")
        for kind in self.kinds:
            self.method.kind(kind)
        if self.millimetres and not self.method.millimetres:
            raise InputError(f"the {self.method.name} method counts pixels: omit --mm")
        if self.method.all_kinds and set(self.kinds) != set(self.method.kinds):
            raise InputError(
                f"the {self.method.name} method draws from all of {', '.join(self.method.kinds)}: "
                "omit --kinds"
            )
        for situation, policy in self.policies.items():
            if situation not in SITUATIONS or policy not in POLICIES:
                raise InputError(
                    f"policy (--policy) {situation}={policy} is unknown; "
                    f"give one of {', '.join(SITUATIONS)} = one of {', '.join(POLICIES)}"
                )

    def policy(self, situation: str) -> str:
        """Say what to do in a situation."""
        return self.policies.get(situation, "keep")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as the manifest holds them."""
        return {
            "eta_alpha": self.eta_alpha,
            "eta_beta": self.eta_beta,
            "seed": self.seed,
            "method": self.method.name,
            "kinds": list(self.kinds),
            "millimetres": self.millimetres,
            "ignore_label": self.ignore_label,
            "threshold": self.threshold,
            "policies": dict(self.policies),
        }
