"""Options that several commands share, each with one spelling."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from anl_seg.errors import InputError

Fold = TypeVar("Fold")

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
        help="Smallest foreground value of grey masks, such as masks resized with interpolation. "
        "Masks of 0 and 1 stay as they are.",
    ),
]


Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance",
        min=0,
        help="Distance up to which NSD counts surfaces as equal, in mm or pixels.",
    ),
]

BootstrapSeed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the bootstrap intervals.")
]

Checkpoint = Annotated[str, typer.Option("-chk", help="Checkpoint of each fold.")]

Human = Annotated[
    Path | None,
    typer.Option("--human", help="File of CIFAR-N, or its folder, for --noise human."),
]


def set_option(what: str) -> Any:  # noqa: ANN401 (typer carries no type for it)
    """Return the repeatable option --set; `what` describes the settings that it takes."""
    return typer.Option("--set", metavar="NAME=VALUE", help=f"{what} May be repeated.")


def labels_option(what: str) -> Any:  # noqa: ANN401
    """Return the option -l for the labels to score."""
    return typer.Option("-l", "--labels", metavar="1,2,3", help=what)


def num_processes_option(what: str = "Number of processes.", least: int | None = 1) -> Any:  # noqa: ANN401
    """Return the option -np, described by `what`; if `least` is None, any number is accepted."""
    return typer.Option("-np", "--num-processes", min=least, help=what)


def joined_folds(
    first: Sequence[Fold] | None, more: Sequence[Fold] | None, command: str
) -> list[Fold]:
    """Join the folds of `-f 0 1 2`, of which the parser takes only the first as the option's.

    Args:
        first: Values of the option.
        more: Arguments of the command.
        command: Name of the command.

    Raises:
        InputError: If there are arguments without the option.
    """
    if more and not first:
        raise InputError(f"unexpected argument {more[0]}; see anl-seg {command} --help")
    return [*(first or ()), *(more or ())]


class Empty(str, Enum):
    """Choices of --empty."""

    nan = "nan"
    one = "one"
    zero = "zero"
