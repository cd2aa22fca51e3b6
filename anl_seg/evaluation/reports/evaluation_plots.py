"""The plots of the report of one evaluation.

This module loads nothing slow, so that another process can load Matplotlib in the meantime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anl_seg.evaluation.folders import Evaluation
from anl_seg.evaluation.foreground import FOREGROUND, case_values, target_value, targets
from anl_seg.evaluation.metrics import METRICS
from anl_seg.evaluation.reports.evaluation_tables import MAIN

if TYPE_CHECKING:
    from anl_seg.evaluation.reports.plots import Plot

Values = NDArray[np.float64]


def load_plots() -> None:
    """Load Matplotlib, which takes longer than to score hundreds of masks."""
    import anl_seg.evaluation.reports.plots  # noqa: F401


def draw_plots(evaluation: Evaluation) -> list[Plot]:
    """Draw Dice by class and by size, the other metrics, and Dice against noisy masks if given."""
    from anl_seg.evaluation.reports.plots import against_size, box_strip

    cases, shown = evaluation.cases, targets(evaluation.labels)
    first, first_members = next(iter(shown.items()))
    classes = {name: members for name, members in shown.items() if name != FOREGROUND}
    dices = {name: case_values(cases, members, MAIN) for name, members in shown.items()}
    shares = [name for name in evaluation.metrics if METRICS[name].worst == 0]
    lengths = [name for name in evaluation.metrics if METRICS[name].is_length]
    plots = [
        box_strip(f"{MAIN} of each class", dices, MAIN),
        against_size(
            f"{MAIN} against size",
            {name: case_values(cases, members, "n_ref") for name, members in classes.items()},
            dices,
            MAIN,
        ),
        box_strip(
            f"Other metrics, {first}",
            {name: case_values(cases, first_members, name) for name in shares if name != MAIN},
            "score",
        ),
    ]
    if lengths:
        distances = {name: case_values(cases, first_members, name) for name in lengths}
        unit = evaluation.conventions.unit
        plots.append(box_strip(f"Distances, {first}", distances, f"distance ({unit})"))
    if evaluation.cases[0].noise is not None:
        two = {
            f"{kind}, {reference}": values
            for kind, pair in _two_references(evaluation).items()
            for reference, values in zip(("clean", "noisy"), pair, strict=True)
        }
        plots.append(box_strip(f"{MAIN} against clean and noisy masks", two, MAIN))
    return plots


def _two_references(evaluation: Evaluation) -> dict[str, tuple[Values, Values]]:
    """Return Dice against clean and against noisy masks, of all cases and by kind of noise."""
    members = next(iter(targets(evaluation.labels).values()))
    cases = [case for case in evaluation.cases if case.noisy_values is not None]
    kinds = sorted({case.noise for case in cases if case.noise is not None})
    groups = {"all": cases, **{k: [case for case in cases if case.noise == k] for k in kinds}}
    return {
        kind: (
            np.array([target_value(case.values, members, MAIN) for case in group]),
            np.array([target_value(case.noisy_values or {}, members, MAIN) for case in group]),
        )
        for kind, group in groups.items()
    }
