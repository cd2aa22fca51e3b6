"""Does a device compute in bf16 by instructions of its own?"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from anl_seg.errors import InputError

CPUINFO = Path("/proc/cpuinfo")
#: Flags of the instructions: x86 (AMX or AVX512) and ARM.
FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}


def has_bf16(kind: str) -> bool:
    """Whether a device of this kind, "cpu" or "cuda", has them; emulated, bf16 is slow."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind == "cpu" and bool(_cpu_flags() & FLAGS)


def check_bf16(device: torch.device) -> None:
    """Check that `device` has them.

    Raises:
        InputError: If it has not.
    """
    if not has_bf16(device.type):
        raise InputError(
            f"precision bf16 needs a device with bf16 instructions, which {device} has not (on a "
            f"CPU one of {', '.join(sorted(FLAGS))} among the flags in {CPUINFO}); "
            "ask for --precision float32"
        )


def _cpu_flags() -> set[str]:
    if not CPUINFO.exists():  # not Linux
        return set()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    return set(found[1].split()) if found else set()
