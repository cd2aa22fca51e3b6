"""Mistakes of a user in nnU-Net's log, in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anl_seg.errors import InputError

#: nnU-Net's `print_to_log_file`.
Log = Callable[..., None]


@contextmanager
def exit_in_one_line(log: Log) -> Iterator[None]:
    """Report a user's mistake in a block in one line, in nnU-Net's log too, and exit with code 2.

    nnU-Net's command line would print a traceback.
    """
    try:
        yield
    except InputError as error:
        log(f"anl-seg: error: {error}", also_print_to_console=False)
        print(f"nnUNetTrainerANL: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


@contextmanager
def go_on_without(what: str, log: Log) -> Iterator[None]:
    """Skip the rest of a block if a file is missing; nnU-Net's log then says what there is not.

    Args:
        what: Such as "no test Dice".
        log: Writes to nnU-Net's log.
    """
    try:
        yield
    except InputError as reason:
        log(f"anl-seg: {what}: {reason}")
