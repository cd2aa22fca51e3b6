"""What the pages of an evaluation and of a comparison have in common, and how they are rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.reports.grid import Grid
from anl_seg.evaluation.reports.overlays import Overlay

#: So many cases of each kind (worst, median, best) are shown on the page itself.
GALLERY = 3
#: So many cases can be opened with a picture; of more cases, the worst.
MAX_PICTURES = 50
#: Kinds of columns of the table of cases: how they are sorted and aligned.
TEXT, NUMBER = "text", "number"


@dataclass(frozen=True)
class CaseRow:
    """A row of the table of cases.

    Attributes:
        case: Opens when its name is clicked.
        target: The class, or the foreground, that the figures belong to.
        value: What the filter "at most" looks at.
        cells: Text of the columns after the case's name.
    """

    case: str
    target: str
    value: float
    cells: Sequence[str]


@dataclass(frozen=True)
class Case:
    """A case as it opens.

    Attributes:
        case: Its name.
        rank: Why it is on the page itself ("worst"), or "".
        summary: Its figure in a few words.
        overlay: Its outlines, or None beyond `MAX_PICTURES`.
        panels: Prediction -> title of its panel; the reference is in every panel.
        grid: All its figures.
    """

    case: str
    rank: str
    summary: str
    overlay: Overlay | None
    panels: Mapping[str, str]
    grid: Grid


def ranks(
    values: Mapping[str, float], names: tuple[str, str, str] = ("worst", "median", "best")
) -> dict[str, str]:
    """Choose the cases for the page itself: case -> why, the lowest first.

    Args:
        values: Case -> its value, higher is better; NaN is not chosen.
        names: What the lowest, the middle and the highest are called.
    """
    ranked = sorted((value, case) for case, value in values.items() if value == value)
    count = min(GALLERY, max(1, len(ranked) // 3))
    middle = (len(ranked) - count) // 2
    lowest, median, highest = names
    places = {  # of very few cases the same one may be all three
        highest: range(len(ranked) - count, len(ranked)),
        lowest: range(count),
        median: range(middle, middle + count),
    }
    chosen: dict[str, str] = {}
    for name, wanted in places.items():
        for place in wanted if ranked else ():
            chosen.setdefault(ranked[place][1], name)
    return {case: chosen[case] for _, case in ranked if case in chosen}


def class_names(labels: LabelSet) -> list[str]:
    """Names of the classes that are outlined, in the order of their colours."""
    return [labels.title(label) for label in labels.names if label != 0]


def in_words(conventions: Conventions) -> list[str]:
    """The choices behind the figures, a line each."""
    return [f"{name.replace('_', ' ')}: {words}" for name, words in conventions.described().items()]


def render(template: str, **context: Any) -> str:  # noqa: ANN401 (whatever the template shows)
    """Fill a template of this folder; a name that it lacks is an error.

    The page holds its style, its program, its plots and its pictures, and names no other file.
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
