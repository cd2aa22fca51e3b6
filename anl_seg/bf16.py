"""Checks for native bf16 instructions of a device."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from anl_seg.errors import InputError

CPUINFO = Path("/proc/cpuinfo")
#: CPU flags of bf16 instructions: x86 (AMX or AVX512) and ARM.
FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}


def has_bf16(kind: str) -> bool:
    """Return whether a kind of device, "cpu" or "cuda", has native bf16; emulation is slow."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == "cpu" and bool(_cpu_flags() & FLAGS)


def check_bf16(device: torch.device) -> None:
    """Check that `device` has native bf16 instructions.

    Raises:
        InputError: If it does not.
    """
    if not has_bf16(device.type):
        raise InputError(
            f"--precision bf16 needs native bf16 instructions, which {device} lacks (a CPU has one "
            f"of {', '.join(sorted(FLAGS))} among the flags in {CPUINFO}); use --precision float32"
        )


def _cpu_flags() -> set[str]:
    if not CPUINFO.exists():  # not Linux
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    return set(found[1].split()) if found else set()
