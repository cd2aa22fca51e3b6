"""Every text can be printed in every encoding, and is unchanged if possible."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from anl_seg.printable import printable

OURS = "0.8±0.1 – −3 × → … Δ α ≤ “x” ━│┏"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", OURS),
        ("ascii", '0.8+/-0.1 - -3 x -> ... delta alpha <= "x" -||'),
        ("latin-1", '0.8±0.1 - -3 × -> ... delta alpha <= "x" -||'),
    ],
)
def test_our_characters(encoding, expected):
    assert printable(OURS, encoding) == expected


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp437", "cp1252", "koi8-r"])
def test_any_text(encoding):
    text = OURS + "é中🙂" + os.fsdecode(b"\xff")
    assert printable(text, encoding).encode(encoding)


def test_names_lose_their_accents_but_stay_different():
    assert printable("é", "ascii") == "e"
    assert printable("中", "ascii") == "\\u4e2d"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
def test_tables_in_terminals_of_other_encodings(tmp_path, encoding):
    """Field case 18: the table has ±, dashes and lines, the names of the cases an accent."""
    for case in ("é", "b"):
        Image.fromarray(np.eye(8, dtype=np.uint8)).save(tmp_path / f"{case}.png")
    done = subprocess.run(
        [sys.executable, "-c", "from anl_seg.cli import main; main()", "evaluate", ".", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "100"},
        capture_output=True,
        check=False,
    )
    shown = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert ("±" if encoding != "ascii" else "+/-") in shown
    lines = [line for line in shown.splitlines() if line.startswith(("|", "+"))]
    assert lines, "lines of tables are drawn with ASCII"
