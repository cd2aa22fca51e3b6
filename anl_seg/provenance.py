"""Provenance of a result: versions of packages, and the state of the source that ran."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed_version
from pathlib import Path


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of packages, or "not installed"."""
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def git_state() -> dict[str, object] | None:
    """Return the commit of the checkout that this library runs from, and whether it was changed.

    The result is None if the library does not run from a checkout, or if git is missing.
    """
    here = Path(__file__)
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        commit = _git(here.parent, "rev-parse", "HEAD")
        return {
            "commit": commit,
            "changed": bool(_git(here.parent, "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def _version(package: str) -> str:
    try:
        return _installed_version(package)
    except PackageNotFoundError:
        return "not installed"
