"""Tables as data: page, Markdown, LaTeX and terminal render the same cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: The best value of a column is bold, the second best underlined.
Mark = Literal["", "best", "second"]

#: Text of an undefined figure.
UNDEFINED = "–"


@dataclass(frozen=True)
class Cell:
    """Text of a cell and its mark."""

    text: str
    mark: Mark = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        title: Title of the table.
        headings: One heading per column.
        rows: Rows, with one cell per column.
        note: Explanation below the table.
        text_columns: Number of leading columns with words. The others contain figures.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    text_columns: int = 1


def figure(value: float, digits: int = 3) -> str:
    """Format a number with this many decimals; a dash if it is undefined."""
    return UNDEFINED if math.isnan(value) else f"{value:.{digits}f}"


def span(low: float, high: float, digits: int = 3) -> str:
    """Format an interval, "0.612 to 0.734"; a dash if it is undefined."""
    if math.isnan(low) or math.isnan(high):
        return UNDEFINED
    return f"{low:.{digits}f} to {high:.{digits}f}"


def p_value(p: float) -> str:
    """Format a p-value as journals print it."""
    if math.isnan(p):
        return UNDEFINED
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def marks(values: Sequence[float], *, higher_is_better: bool = True) -> list[Mark]:
    """Mark the best and the second best value; equal values share a mark, NaN has none.

    A single value is not marked.
    """
    ranked = sorted({value for value in values if not math.isnan(value)}, reverse=higher_is_better)
    if len(ranked) < 2:
        return [""] * len(values)
    names: dict[float, Mark] = dict(zip(ranked, ("best", "second"), strict=False))
    return [names.get(value, "") for value in values]
