"""Checks of the two rates of mask noise: share of masks, and amount of noise in each."""

from __future__ import annotations

from anl_seg.errors import InputError


def check_eta_alpha(eta_alpha: float) -> None:
    """Raise InputError unless 0 <= eta_alpha <= 1."""
    if not 0 <= eta_alpha <= 1:
        raise InputError(
            f"eta_alpha (--eta-alpha) must be in [0, 1] (share of masks to corrupt), "
            f"got {eta_alpha:g}"
        )


def check_eta_beta(eta_beta: float) -> None:
    """Raise InputError unless 0 < eta_beta < 1; at 1 an eroded object would vanish."""
    if not 0 < eta_beta < 1:
        raise InputError(
            "eta_beta (--eta-beta) must be between 0 and 1, both excluded "
            f"(changed pixels over foreground pixels), got {eta_beta:g}"
        )
