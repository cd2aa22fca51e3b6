"""Calls of nnU-Net's commands; test_demo.py and test_local.py run them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ON_ONE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from anl_seg.experiments.segmentation.nnunet_commands import WORKERS
print(WORKERS)
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_no_more_processes_than_this_one_has_processors(tmp_path):
    command = [sys.executable, "-c", ON_ONE]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout == "1\n"
