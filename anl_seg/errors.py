"""The exceptions that the command line shows without a traceback."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used; the message says what was found and what to do.

    The command line prints it as one line, without a traceback, and exits with code 2.
    """


class CommandFailedError(RuntimeError):
    """A program that we started failed; the message holds the end of its log.

    The command line prints it without a traceback and exits with code 1.
    """
