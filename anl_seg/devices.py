"""Kinds of device that this machine has."""

from __future__ import annotations

import torch

from anl_seg.errors import InputError, named

#: Names of the setting `device`.
DEVICES = ("auto", "cpu", "cuda", "mps")


def find_devices() -> list[str]:
    """List the kinds of device that this machine has: "cuda" and "mps" if present, then "cpu"."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [kind for kind, found in present.items() if found]


def check_device(kind: str) -> None:
    """Check that this machine has a kind of device.

    Raises:
        InputError: If it does not, or there is no such kind.
    """
    if kind not in (found := find_devices()):
        raise InputError(f"this machine has no device {kind!r}; choose one of {named(found)}")


def choose_device(asked: str | None = None) -> str:
    """Choose the device for nnU-Net: the one asked for, or "cuda" if there is one, or "cpu".

    Raises:
        InputError: If this machine does not have the device.
    """
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    check_device(asked)
    return asked
