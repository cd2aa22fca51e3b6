"""Common parts of the pages of an evaluation and of a comparison, and their rendering."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.reports.grid import Grid
from anl_seg.evaluation.reports.overlays import Overlay

#: Number of cases of each kind (worst, near the median, best) shown on the page itself.
GALLERY = 3
#: Largest number of cases with a picture. If there are more, the worst have one.
MAX_PICTURES = 50
#: Kinds of columns of the table of cases: how they are sorted and aligned.
TEXT, NUMBER = "text", "number"


@dataclass(frozen=True)
class CaseRow:
    """A row of the table of cases.

    Attributes:
        case: Name of the case, which opens on a click.
        target: The class or the foreground.
        value: Value for the filter "at most".
        cells: Text of the columns after the name.
    """

    case: str
    target: str
    value: float
    cells: Sequence[str]


@dataclass(frozen=True)
class Case:
    """The view of a case that opens on a click.

    Attributes:
        case: Name of the case.
        rank: Reason to show it on the page itself ("worst"), or "".
        summary: Its result in a few words.
        overlay: Its drawing, or None beyond `MAX_PICTURES`.
        panels: Title of the panel of each prediction. The reference is in every panel.
        grid: Table of all its figures.
    """

    case: str
    rank: str
    summary: str
    overlay: Overlay | None
    panels: Mapping[str, str]
    grid: Grid


def ranks(
    values: Mapping[str, float],
    names: tuple[str, str, str] = ("worst", "near the median", "best"),
) -> dict[str, str]:
    """Choose the cases for the page itself, lowest first, each with its rank in words.

    The middle cases are those with the values nearest to the median. The cases at the places
    beside the middle can be far from it: of 0.63, 0.75, 0.89, 0.91, 0.93, 0.94 the third to fifth
    are nearest to the median 0.90, and the second is not near.

    Args:
        values: Value of each case, higher is better; NaN is not chosen.
        names: Words for the lowest, the middle and the highest cases.
    """
    ranked = sorted((value, case) for case, value in values.items() if value == value)
    count = min(GALLERY, max(1, len(ranked) // 3))
    middle = median(value for value, _ in ranked) if ranked else math.nan
    others = range(count, len(ranked) - count)
    nearest = sorted(others, key=lambda place: abs(ranked[place][0] - middle))
    lowest, around, highest = names
    places = {  # a single case is both the highest and the lowest
        highest: range(len(ranked) - count, len(ranked)),
        lowest: range(count),
        around: nearest[:count],
    }
    chosen: dict[str, str] = {}
    for name, wanted in places.items():
        for place in wanted if ranked else ():
            chosen.setdefault(ranked[place][1], name)
    return {case: chosen[case] for _, case in ranked if case in chosen}


def class_names(labels: LabelSet) -> list[str]:
    """Return the names of the outlined classes, in the order of their colours."""
    return [labels.title(label) for label in labels.names if label != 0]


def in_words(conventions: Conventions) -> list[str]:
    """Describe the conventions, one per line."""
    return [f"{name.replace('_', ' ')}: {words}" for name, words in conventions.described().items()]


def render(template: str, **context: Any) -> str:  # noqa: ANN401 (whatever the template shows)
    """Fill a template of this folder; an undefined variable is an error.

    The page contains its style, script, plots and pictures, and refers to no other file.
    """
    environment = Environment(
        loader=PackageLoader("anl_seg.evaluation.reports", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    versions = {name: version(name) for name in ("anl-seg", "numpy", "scipy", "matplotlib")}
    return environment.get_template(template).render(versions=versions, **context)
