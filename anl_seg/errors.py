"""Exceptions that the command line shows without a traceback, and helpers for their messages."""

from __future__ import annotations

from collections.abc import Sequence

#: Number of problems or names that a message shows.
SHOWN = 10


class InputError(ValueError):
    """Raised if the user's input cannot be used. The message states the problem and the remedy.

    The command line prints it without a traceback and exits with code 2.
    """


class CommandFailedError(RuntimeError):
    """Raised if a program that we started fails. The message contains the end of its log.

    The command line prints it without a traceback and exits with code 1.
    """


def listed(problems: Sequence[str], headline: str = "problems") -> str:
    """Join problems into one message: their number, then the first ten, one per line.

    A single problem is the message itself.

    Args:
        problems: At least one problem, each one line.
        headline: Words after the number: "problems" becomes "12 problems:".
    """
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"{len(problems)} {headline}:", *_first(problems)])


def named(names: Sequence[str]) -> str:
    """Join names for a sentence: the first ten, and the number of further ones."""
    return ", ".join(_first(names))


def _first(items: Sequence[str]) -> list[str]:
    more = len(items) - SHOWN
    return [*items[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
