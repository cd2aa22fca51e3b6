"""The two rates of mask noise, checked: how many masks, and how much of each."""

from __future__ import annotations

from anl_seg.errors import InputError


def check_eta_alpha(eta_alpha: float) -> None:
    """Raise InputError unless 0 <= eta_alpha <= 1."""
    if not 0 <= eta_alpha <= 1:
        raise InputError(
            f"eta_alpha (--eta-alpha) must lie in [0, 1] (share of masks to corrupt), "
            f"got {eta_alpha:g}"
        )


def check_eta_beta(eta_beta: float) -> None:
    """Raise InputError unless 0 < eta_beta < 1; at 1 an eroded object would be gone."""
    if not 0 < eta_beta < 1:
        raise InputError(
            "eta_beta (--eta-beta) must lie between 0 and 1, both excluded "
            f"(changed pixels over foreground pixels), got {eta_beta:g}"
        )
