"""Interface through which long work in the library shows progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

#: Function of the items of a loop and a short description. It yields the items one by one.
Track = Callable[[Sequence[Any], str], Iterable[Any]]


def untracked(items: Sequence[Any], description: str) -> Iterable[Any]:
    """Show nothing."""
    return items
