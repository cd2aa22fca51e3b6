"""Finds the processes that a test started, by a text in the environment that they inherit."""

from __future__ import annotations

import os


def marked(text: str) -> list[int]:
    """Numbers of the processes, zombies left out, that have `text` in their environment."""
    found = []
    for number in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open(f"/proc/{number}/environ", "rb") as stream:
                environment = stream.read()  # empty for a zombie
        except OSError:
            continue
        if text.encode() in environment:
            found.append(int(number))
    return found
