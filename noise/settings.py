"""Settings of a run of `anl-seg noise`, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anl_seg.errors import InputError
from anl_seg.noise.base import SITUATIONS
from anl_seg.noise.kinds import PAPER_KINDS
from anl_seg.noise.methods import CORRECTED, NoiseMethod
from anl_seg.noise.rates import check_eta_alpha, check_eta_beta

#: Policies for a case whose mask cannot take its noise: keep its clean mask, omit it from the noisy
#: set, or fail.
POLICIES = ("keep", "skip", "fail")


@dataclass(frozen=True)
class NoiseSettings:
    """Settings of a run, checked on creation.

    Attributes:
        eta_alpha: Share of the n masks to corrupt, in [0, 1]: `round(eta_alpha * n)` are chosen, or
            `int(eta_alpha * n)` if published.
        eta_beta: Changed pixels over foreground pixels of each class in a chosen mask, in (0, 1).
        seed: Any whole number. The noise depends only on it and on the names of case and class.
        method: `CORRECTED`, or `PUBLISHED` for the generator behind the paper's tables (binary 2D
            masks; its seed is 0).
        kinds: Kinds of noise to draw from, names of `KINDS`.
        millimetres: Whether to measure erosion, dilation and displacement in mm, with the spacing
            of the files, instead of pixels.
        ignore_label: Label that stays unchanged; None for the one declared by the data set.
        threshold: Smallest foreground value of grey masks; None for label maps.
        policies: One of `POLICIES` for any of `SITUATIONS` in which a mask cannot take its noise;
            "keep" for situations that are not named.

    Raises:
        InputError: If a value is out of range, or not supported by the method.

    Examples:
        >>> NoiseSettings(eta_alpha=0.7, eta_beta=0.5, kinds=("dilation",)).policy("empty")
        'keep'
    """

    eta_alpha: float
    eta_beta: float
    seed: int = 0
    method: NoiseMethod = CORRECTED
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
                    f"policy (--policy) {situation}={policy} is unknown; give SITUATION=POLICY "
                    f"with one of {', '.join(SITUATIONS)} and one of {', '.join(POLICIES)}"
                )

    def policy(self, situation: str) -> str:
        """Return the policy for a situation.

        Args:
            situation: A name of `SITUATIONS`.

        Returns:
            A name of `POLICIES`.
        """
        return self.policies.get(situation, "keep")

    def as_json(self) -> dict[str, Any]:
        """Return the settings in the format of the manifest.

        Returns:
            Values by the names of the settings.
        """
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
