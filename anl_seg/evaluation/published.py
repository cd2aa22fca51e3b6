"""The figures printed in the paper's Table VI (Dice on ISIC-2017), to stand beside ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from anl_seg import paper
from anl_seg.errors import InputError


@dataclass(frozen=True)
class Published:
    """One cell of Table VI.

    Attributes:
        method: Our name of the loss.
        printed: The method as the table prints it.
        eta_alpha: Share of training masks that were corrupted.
        eta_beta: Changed pixels over foreground pixels in each of them.
        mean: Mean Dice in per cent.
        std: Its standard deviation over 3 seeds, in per cent.
    """

    method: str
    printed: str
    eta_alpha: float
    eta_beta: float
    mean: float
    std: float


@cache
def table_vi() -> tuple[Published, ...]:
    """All cells of Table VI, row by row."""
    return tuple(
        Published(
            method=cell.loss,
            printed=cell.printed,
            eta_alpha=float(cell.settings["eta_alpha"]),
            eta_beta=float(cell.settings["eta_beta"]),
            mean=cell.mean,
            std=cell.std,
        )
        for cell in paper.published(6)
    )


def published_dice(
    eta_alpha: float | None, eta_beta: float | None, metric: str = "Dice"
) -> dict[str, Published]:
    """One column of Table VI, by our names of the losses.

    Args:
        eta_alpha: Share of noisy training masks; None asks for nothing and gives nothing.
        eta_beta: Noise in each of them; may be None where there are none.
        metric: What it is to stand beside.

    Raises:
        InputError: If the table has no such column, or the metric is not its own.
    """
    if eta_alpha is None and eta_beta is None:
        return {}
    if metric != "Dice":
        raise InputError(f"metric {metric}: Table VI holds Dice only; leave --eta-alpha out")
    asked = (eta_alpha, 0.0 if eta_alpha == 0 else eta_beta)
    column = {cell.method: cell for cell in table_vi() if (cell.eta_alpha, cell.eta_beta) == asked}
    if not column:
        known = sorted({(cell.eta_alpha, cell.eta_beta) for cell in table_vi()})
        raise InputError(
            f"eta_alpha {eta_alpha} with eta_beta {eta_beta}: Table VI has no such column, only "
            + ", ".join(f"{alpha} with {beta}" for alpha, beta in known)
        )
    return column


def loss_name(run: str) -> str:
    """The loss that a run is named after, in our spelling: "ANL_CE" is "anl-ce", "APL" "nce+rce".

    A name that Table VI does not hold is returned in lower case.
    """
    name = run.lower().replace("_", "-")
    return next((cell.method for cell in table_vi() if cell.printed.lower() == name), name)
