"""Choices of options that several commands have."""

from __future__ import annotations

from enum import Enum


class Empty(str, Enum):
    """Choices of --empty."""

    nan = "nan"
    one = "one"
    zero = "zero"
