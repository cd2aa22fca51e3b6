"""Noise memorised by a network: Dice against clean and noisy masks, by kind of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anl_seg.evaluation.folders import CaseResult, Evaluation
from anl_seg.evaluation.foreground import case_mean, defined_mean
from anl_seg.evaluation.statistics import Statistics, describe
from anl_seg.formats.noise_manifest import CLEAN

#: Row of all cases with noise of any kind.
ALL_NOISY = "all noisy"


@dataclass(frozen=True)
class Memorisation:
    """Dice (mean over the foreground classes) of the cases of one kind of noise.

    Attributes:
        kind: Kind of noise, `ALL_NOISY`, or "clean" for unchanged masks.
        n: Number of cases.
        clean: Dice against the clean masks.
        noisy: Dice against the noisy masks of the training.
        gap: Noisy minus clean Dice per case. Above 0, the prediction is nearer to the noise.
    """

    kind: str
    n: int
    clean: Statistics
    noisy: Statistics
    gap: Statistics


def memorisation(evaluation: Evaluation) -> list[Memorisation]:
    """Compare predictions with both masks: all noisy cases, each kind, then the clean cases.

    Returns:
        One row per kind; no rows if the evaluation has no noise manifest.
    """
    by_kind: dict[str, list[CaseResult]] = {}
    for case in evaluation.cases:
        if case.noise is not None:
            by_kind.setdefault(case.noise, []).append(case)
    clean = by_kind.pop(CLEAN, None)
    groups = dict(sorted(by_kind.items()))
    if len(groups) > 1:
        groups = {ALL_NOISY: [case for cases in groups.values() for case in cases], **groups}
    if clean:
        groups[CLEAN] = clean
    return [_row(kind, cases, evaluation.conventions.seed) for kind, cases in groups.items()]


def _row(kind: str, cases: Sequence[CaseResult], seed: int) -> Memorisation:
    clean = [case_mean(case, "Dice") for case in cases]
    noisy = [
        defined_mean(values["Dice"] for label, values in (case.noisy_values or {}).items() if label)
        for case in cases
    ]
    gap = [after - before for before, after in zip(clean, noisy, strict=True)]
    return Memorisation(kind, len(cases), *describe([clean, noisy, gap], seed))
