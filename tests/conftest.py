"""What all tests share: the installed package is tested, whichever way pytest was started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

# `python -m pytest` puts the checkout first on the path; there `anl_seg` lacks noise and trainers,
# which lie beside it and become part of it by installation.
CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != CHECKOUT]

# Triton's kernels run on the CPU then; it has to know before anything imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
