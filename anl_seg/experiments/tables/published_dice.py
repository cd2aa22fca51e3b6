"""The column of the paper's Table VI (Dice on ISIC-2017) that belongs to a comparison of ours."""

from __future__ import annotations

from anl_seg import paper
from anl_seg.errors import InputError, named
from anl_seg.evaluation.compare import MethodComparison
from anl_seg.evaluation.reports.comparison_tables import PublishedColumn

#: Test images of ISIC-2017, on which Table VI was measured.
TEST_IMAGES = 600
SOURCE = (
    "Published: Ye et al., arXiv:2412.02373, Table VI, ISIC-2017, mean±std of 3 seeds over the "
    "last 10 epochs."
)


def published_dice(
    eta_alpha: float | None, eta_beta: float | None, metric: str = "Dice"
) -> dict[str, paper.PublishedCell]:
    """Find one column of Table VI.

    Args:
        eta_alpha: Share of noisy training masks. With None for both rates nothing is found.
        eta_beta: Noise in each of them. It may be None if `eta_alpha` is 0.
        metric: Metric of the comparison.

    Returns:
        Our name of the loss -> cell of the column.

    Raises:
        InputError: If the table has no such column, or the metric is not Dice.

    Examples:
        >>> published_dice(0.7, 0.7)["anl-ce"].mean
        77.3
    """
    if eta_alpha is None and eta_beta is None:
        return {}
    if metric != "Dice":
        raise InputError(f"--metric {metric}: Table VI holds Dice only; omit --eta-alpha")
    asked = (eta_alpha, 0.0 if eta_alpha == 0 else eta_beta)
    cells = [(_rates(cell), cell) for cell in paper.published(6)]
    column = {cell.loss: cell for rates, cell in cells if rates == asked}
    if not column:
        known = sorted({rates for rates, _ in cells})
        raise InputError(
            f"--eta-alpha {eta_alpha} with --eta-beta {eta_beta}: Table VI has no such column, "
            "only " + ", ".join(f"{alpha} with {beta}" for alpha, beta in known)
        )
    return column


def published_column(
    comparison: MethodComparison, cells: dict[str, paper.PublishedCell]
) -> PublishedColumn | None:
    """Put cells of Table VI beside the methods that are named as its losses.

    Args:
        comparison: Our methods.
        cells: Loss -> cell, of `published_dice`. Empty if nothing was asked for.

    Returns:
        The column. None if nothing was asked for.

    Raises:
        InputError: If the comparison is not the paper's experiment, or no method is named as one
            of its losses.
    """
    if not cells:
        return None
    n_cases, classes = len(comparison.cases), comparison.labels.names
    if n_cases != TEST_IMAGES or len(classes) != 1:
        raise InputError(
            f"--eta-alpha: Table VI holds Dice of one class on the {TEST_IMAGES} test images of "
            f"ISIC-2017, but these are {n_cases} cases with {len(classes)} class"
            f"{'es' * (len(classes) != 1)}; omit --eta-alpha and --eta-beta"
        )
    names = [method.name for method in comparison.methods]
    figures = {
        name: (cells[loss].mean, cells[loss].std)
        for name, loss in zip(names, map(loss_name, names), strict=True)
        if loss in cells
    }
    if not figures:
        raise InputError(
            f"--eta-alpha: no method is named as a loss of Table VI ({named(sorted(cells))}), "
            f"found {named(names)}; name them, as in anl-ce=FOLDER"
        )
    return PublishedColumn(figures, SOURCE)


def loss_name(method: str) -> str:
    """Find the loss that a method is named after.

    Args:
        method: Name that the user gave.

    Returns:
        Our name of the loss. A name that Table VI does not hold is returned in lower case.

    Examples:
        >>> loss_name("ANL_CE"), loss_name("APL")
        ('anl-ce', 'nce+rce')
    """
    name = method.lower().replace("_", "-")
    return next((cell.loss for cell in paper.published(6) if cell.printed.lower() == name), name)


def _rates(cell: paper.PublishedCell) -> tuple[float, float]:
    return float(cell.settings["eta_alpha"]), float(cell.settings["eta_beta"])
