"""Reports of user errors in one line of nnU-Net's log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anl_seg.errors import InputError

#: nnU-Net's `print_to_log_file`.
Log = Callable[..., None]


@contextmanager
def exit_in_one_line(log: Log) -> Iterator[None]:
    """Report an `InputError` of a block in one line, also in nnU-Net's log, and exit with code 2.

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
    """Skip the rest of a block if a file is missing, and write the consequence to nnU-Net's log.

    Args:
        what: The consequence, such as "no test Dice".
        log: Function that writes to nnU-Net's log.
    """
    try:
        yield
    except InputError as reason:
        log(f"anl-seg: {what}: {reason}")
