"""Interface through which long work in the library shows progress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class Track(Protocol):
    """Function that yields the items of a loop and shows the progress meanwhile."""

    def __call__(
        self, items: Iterable[Any], description: str, total: int | None = None, /
    ) -> Iterable[Any]:
        """Yield `items`.

        Args:
            items: Items to iterate over.
            description: Short description of the work, such as "corrupting masks".
            total: Number of items; by default the length of `items`.
        """


def untracked(items: Iterable[Any], description: str, total: int | None = None) -> Iterable[Any]:
    """Show nothing."""
    return items
