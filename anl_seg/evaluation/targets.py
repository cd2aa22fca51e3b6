"""What a report speaks of: each class, and the foreground where there are several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.metrics import Label
from anl_seg.evaluation.summary import defined_mean

#: Name of the mean over the classes of a case, the background left out.
FOREGROUND = "foreground"


def targets(labels: LabelSet) -> dict[str, list[Label]]:
    """Name of each target -> the classes whose mean it is, the foreground first if there is one."""
    foreground = [label for label in labels.names if label != 0]
    single: dict[str, list[Label]] = {labels.title(label): [label] for label in labels.names}
    return {FOREGROUND: foreground, **single} if len(foreground) > 1 else single


def target_value(
    values: Mapping[Label, Mapping[str, float]], members: Sequence[Label], metric: str
) -> float:
    """Mean of a metric over those classes of one case for which it is defined; NaN if none is."""
    return defined_mean(values[label][metric] for label in members)
