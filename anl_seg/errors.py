"""The exceptions that the command line shows without a traceback, and how they list things."""

from __future__ import annotations

from collections.abc import Sequence

#: How many of many problems or names a message shows.
SHOWN = 10


class InputError(ValueError):
    """What the user gave cannot be used; the message says what was found and what to do.

    The command line prints it without a traceback and exits with code 2.
    """


class CommandFailedError(RuntimeError):
    """A program that we started failed; the message holds the end of its log.

    The command line prints it without a traceback and exits with code 1.
    """


def listed(problems: Sequence[str], headline: str = "problems") -> str:
    """Put problems into one message: one as it is; several counted, the first ten a line each.

    Args:
        problems: At least one, each one line.
        headline: Follows the number: "problems" gives "12 problems:".
    """
    if len(problems) == 1:
        return problems[0]
    return "\n  ".join([f"{len(problems)} {headline}:", *_first(problems)])


def named(names: Sequence[str]) -> str:
    """Put names into a sentence: the first ten, and how many more there are."""
    return ", ".join(_first(names))


def _first(items: Sequence[str]) -> list[str]:
    more = len(items) - SHOWN
    return [*items[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
