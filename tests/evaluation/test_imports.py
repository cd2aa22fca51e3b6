"""Slow modules are not imported, because that takes longer than scoring hundreds of masks."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

CODE = """
import sys
{statement}
heavy = {{"torch", "nnunetv2", "scipy", "SimpleITK", "matplotlib", "pandas"}} & sys.modules.keys()
sys.exit(f"loaded {{sorted(heavy)}}" if heavy else 0)
"""
EVALUATE = """
from pathlib import Path
from anl_seg.evaluation import evaluate_folders, summarize, write_results
write_results(summarize(evaluate_folders(Path("masks"), Path("masks"))), Path("out"))
"""


def run(statement, folder):
    command = [sys.executable, "-c", CODE.format(statement=statement)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("statement", ["import anl_seg.evaluation", EVALUATE])
def test_evaluation_of_png_is_light(tmp_path, statement):
    (tmp_path / "masks").mkdir()
    for case in ("a", "b", "c"):
        Image.fromarray(np.eye(5, dtype=np.uint8)).save(tmp_path / "masks" / f"{case}.png")
    result = run(statement, tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_check_can_fail(tmp_path):
    (tmp_path / "torch.py").touch()
    (tmp_path / "heavy.py").write_text("import torch\n")
    result = run("import heavy", tmp_path)
    assert result.returncode == 1
    assert "loaded ['torch']" in result.stderr
