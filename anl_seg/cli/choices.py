"""Choices of options that several commands have."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

IgnoreLabel = Annotated[
    int | None,
    typer.Option(
        "-il",
        "--ignore-label",
        metavar="N",
        help="Leave out pixels with this label in the reference.",
    ),
]

Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="128",
        help="For grey masks, such as masks resized with interpolation: pixels of this value or "
        "more are foreground. Masks of 0 and 1 stay as they are.",
    ),
]


class Empty(str, Enum):
    """Choices of --empty."""

    nan = "nan"
    one = "one"
    zero = "zero"
