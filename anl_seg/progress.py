"""How long work in the library lets its caller show progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

#: Takes the items of a loop and a few words on the work, and gives the items back one by one.
Track = Callable[[Sequence[Any], str], Iterable[Any]]


def untracked(items: Sequence[Any], description: str) -> Iterable[Any]:
    """Show nothing."""
    return items
