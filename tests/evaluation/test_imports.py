"""Importing the package loads neither torch nor nnU-Net."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import {module}
heavy = {{"torch", "nnunetv2"}} & sys.modules.keys()
sys.exit(f"loaded {{sorted(heavy)}}" if heavy else 0)
"""


def run(module, folder):
    command = [sys.executable, "-c", CODE.format(module=module)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_evaluation_is_light(tmp_path):
    result = run("anl_seg.evaluation", tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_check_can_fail(tmp_path):
    (tmp_path / "torch.py").touch()
    (tmp_path / "heavy.py").write_text("import torch\n")
    result = run("heavy", tmp_path)
    assert result.returncode == 1
    assert "loaded ['torch']" in result.stderr
