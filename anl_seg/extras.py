"""Packages that only some commands need, installed as extras of anl-seg."""

from __future__ import annotations

from importlib.util import find_spec

from anl_seg.errors import InputError

#: The extra in pyproject.toml that installs each module.
EXTRAS = {"optuna": "sweeps", "submitit": "sweeps", "tensorboardX": "classify"}


def require(module: str, user: str) -> None:
    """Check that a module of an extra is installed, without importing it.

    Args:
        module: Name of the module, one of `EXTRAS`.
        user: The command or option that needs it, for the message.

    Raises:
        InputError: If it is not installed.
    """
    if find_spec(module) is None:
        raise InputError(
            f"{user} needs {module}, which is not installed; "
            f"run: pip install 'anl-seg[{EXTRAS[module]}]'"
        )
