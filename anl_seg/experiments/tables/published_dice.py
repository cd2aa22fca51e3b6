"""The column of the paper's Table VI (Dice on ISIC-2017) that matches one of our comparisons."""

from __future__ import annotations

from anl_seg import paper
from anl_seg.errors import InputError, named
from anl_seg.evaluation.compare import MethodComparison
from anl_seg.evaluation.reports.comparison_tables import PublishedColumn

#: Number of test images of ISIC-2017, on which Table VI was measured.
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
        eta_alpha: Share of noisy training masks. If both rates are None, the result is empty.
        eta_beta: Amount of noise in each of them. It may be None if `eta_alpha` is 0.
        metric: Metric of the comparison.

    Returns:
        Cells of the column by our name of the loss.

    Raises:
        InputError: If the table has no such column, or the metric is not Dice.

    Examples:
        >>> published_dice(0.7, 0.7)["anl-ce"].mean
        77.3
    """
    if eta_alpha is None and eta_beta is None:
        return {}
    if metric != "Dice":
        raise InputError(f"--metric {metric}: Table VI contains Dice only; omit --eta-alpha")
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
    """Match cells of Table VI with the methods that are named like its losses.

    Args:
        comparison: Our methods.
        cells: Cells by loss, from `published_dice`. Empty if none were requested.

    Returns:
        The column. None if `cells` is empty.

    Raises:
        InputError: If the comparison is not the paper's experiment, or no method is named like one
            of its losses.
    """
    if not cells:
        return None
    n_cases, classes = len(comparison.cases), comparison.labels.names
    if n_cases != TEST_IMAGES or len(classes) != 1:
        raise InputError(
            f"--eta-alpha: Table VI has Dice of one class on the {TEST_IMAGES} test images of "
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
            f"--eta-alpha: no method is named like a loss of Table VI ({named(sorted(cells))}), "
            f"found {named(names)}; name them, as in anl-ce=FOLDER"
        )
    return PublishedColumn(figures, SOURCE)


def loss_name(method: str) -> str:
    """Find the loss that a method is named after.

    Args:
        method: Name given by the user.

    Returns:
        Our name of the loss. A name that is not in Table VI is returned in lower case.

    Examples:
        >>> loss_name("ANL_CE"), loss_name("APL")
        ('anl-ce', 'nce+rce')
    """
    name = method.lower().replace("_", "-")
    return next((cell.loss for cell in paper.published(6) if cell.printed.lower() == name), name)


def _rates(cell: paper.PublishedCell) -> tuple[float, float]:
    return float(cell.settings["eta_alpha"]), float(cell.settings["eta_beta"])
