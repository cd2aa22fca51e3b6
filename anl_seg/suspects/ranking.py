"""Rank the cases of a data set by how likely their mask is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anl_seg.formats.dataset_json import Label
from anl_seg.suspects.cases import Judged
from anl_seg.suspects.classes import Classes
from anl_seg.suspects.estimate import Estimate, disagreement, estimate_wrong
from anl_seg.suspects.evidence import Evidence
from anl_seg.suspects.kinds import guess_kind
from anl_seg.suspects.scoring import as_scores, log_odds

#: Log-odds of a case with nothing in either mask.
NOTHING = -10.0
#: A mask with a lower score is more likely right than wrong.
SUSPICIOUS = 0.5


@dataclass(frozen=True)
class Suspect:
    """One case in the ranking; the figures are those of its most suspicious class.

    Attributes:
        case: Its name.
        rank: 1 for the case that is most likely wrong.
        score: From 0 to 1, higher if the mask is more likely wrong.
        kind: What is probably wrong, a key of `KINDS`; a guess for right masks too.
        label: The class or region.
        name: The name of the class.
        dice: Dice of the given and the predicted mask.
        area_change: Given over predicted area or volume, minus one; NaN if nothing is predicted.
        shift: Distance of the centres of both masks, in `unit`.
        unit: "mm" or "px".
        box: Start and stop of the largest difference along each axis, in pixels; may be empty.
        fold: The fold whose network predicted the case, or "".
        by_class: Score of each class of the case.
    """

    case: str
    rank: int
    score: float
    kind: str
    label: Label | None
    name: str
    dice: float
    area_change: float
    shift: float
    unit: str
    box: tuple[tuple[int, int], ...]
    fold: str
    by_class: Mapping[Label, float]

    @property
    def likely_kind(self) -> str:
        """Return the kind, or "" if the mask is more likely right than wrong."""
        return self.kind if self.score >= SUSPICIOUS else ""


@dataclass(frozen=True)
class Ranking:
    """All judged cases, the most suspicious first.

    Attributes:
        suspects: The cases by rank.
        not_judged: Case -> why it was not judged.
        estimate: How many masks are probably wrong.
        agreement: Median Dice of given and predicted masks; with several classes, the Dice of a
            case is the mean over the classes that it holds.
    """

    suspects: Sequence[Suspect]
    not_judged: Mapping[str, str]
    estimate: Estimate
    agreement: float

    @property
    def warning(self) -> str:
        """Say why the order tells little about the masks; "" if the network agrees with them."""
        found = disagreement(self.agreement)
        if not found:
            return ""
        return (
            f"{found[0].upper()}{found[1:]}, so this list shows mostly errors of the network. "
            "Train it longer before you mark cases."
        )


def rank(
    judged: Iterable[Judged],
    classes: Classes,
    folds: Mapping[str, str] | None = None,
    not_judged: Mapping[str, str] | None = None,
) -> Ranking:
    """Rank cases by the score of their most suspicious class.

    Args:
        judged: Findings of each case, at least one.
        classes: The classes of the data set.
        folds: Case -> the fold whose network predicted it.
        not_judged: Case -> why it was not judged.

    Returns:
        All cases, the most suspicious first.

    Examples:
        >>> from anl_seg.suspects.cases import Case, judge
        >>> from anl_seg.suspects.classes import plain_classes
        >>> distance = np.hypot(*np.mgrid[-16:16, -16:16])
        >>> probability = (1 / (1 + np.exp(distance - 10))).astype(np.float32)
        >>> softmax, predicted = np.stack([1 - probability, probability]), distance < 10
        >>> judged = []
        >>> for name, given in (("right", distance < 10), ("wrong", distance < 6)):
        ...     case = Case(given, softmax, predicted, (1.0, 1.0), "px")
        ...     judged.append(judge(case, plain_classes(2), name))
        >>> [suspect.case for suspect in rank(judged, plain_classes(2)).suspects]
        ['wrong', 'right']
    """
    cases = list(judged)
    by_case = log_odds([case.evidence for case in cases])
    worst = np.array([max(found.values(), default=NOTHING) for found in by_case])
    order = sorted(range(len(cases)), key=lambda place: (-worst[place], cases[place].case))
    suspects = [
        _suspect(cases[place], by_case[place], number, classes, (folds or {}))
        for number, place in enumerate(order, 1)
    ]
    agreement = float(np.median([_mean_dice(case) for case in cases]))
    soft = any(case.soft for case in cases)
    estimate = estimate_wrong(worst, agreement, soft, len(classes.names))
    return Ranking(suspects, dict(not_judged or {}), estimate, agreement)


def _mean_dice(case: Judged) -> float:
    """Average the Dice of the classes in one of both masks; 1 if there is none."""
    return float(np.mean([evidence.dice for evidence in case.evidence.values()] or [1.0]))


def _suspect(
    case: Judged,
    odds: Mapping[Label, float],
    number: int,
    classes: Classes,
    folds: Mapping[str, str],
) -> Suspect:
    fold = folds.get(case.case, "")
    if not odds:  # nothing is given and nothing predicted
        return Suspect(case.case, number, 0.0, "", None, "", 1.0, 0.0, 0.0, case.unit, (), fold, {})
    label = max(odds, key=lambda each: odds[each])
    by_class = {each: float(as_scores(value)) for each, value in odds.items()}
    evidence = case.evidence[label]
    return Suspect(
        case=case.case,
        rank=number,
        score=by_class[label],
        kind=guess_kind(evidence),
        label=label,
        name=classes.names[label],
        dice=evidence.dice,
        area_change=_area_change(evidence),
        shift=evidence.shift * evidence.radius,
        unit=case.unit,
        box=case.boxes[label],
        fold=fold,
        by_class=by_class,
    )


def _area_change(evidence: Evidence) -> float:
    if not evidence.predicted:
        return float("nan")
    return evidence.given / evidence.predicted - 1
