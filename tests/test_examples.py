"""The examples run as their first lines say, print what they promise, and stay short."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anl_seg.datasets.phantom import render

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(EXAMPLES / name)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(script, run_name="__main__")


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask.astype(np.uint8)).save(path)


def test_a_loss_in_a_training_loop(monkeypatch, capsys):
    run("loss_in_a_training_loop.py", monkeypatch=monkeypatch)
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.split()[-1]) > 0.7


def test_corrupt_one_mask(tmp_path, monkeypatch, capsys):
    run("corrupt_one_mask.py", monkeypatch=monkeypatch)
    assert capsys.readouterr().out.count("0.500 of them changed") == 3
    mask = render(seed=3, index=0, size=64)[1]
    save(tmp_path / "mask.png", mask)
    run("corrupt_one_mask.py", str(tmp_path / "mask.png"), monkeypatch=monkeypatch)
    eroded = np.asarray(Image.open(tmp_path / "mask_erosion.png"))
    assert set(np.unique(eroded)) == {0, 255}
    assert 0 < (eroded > 0).sum() < mask.sum()


def test_compare_two_folders(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for index in range(3):
        mask = render(seed=3, index=index, size=64)[1]
        save(Path("references") / f"{index}.png", mask)
        save(Path("exact") / f"{index}.png", mask)
        save(Path("shifted") / f"{index}.png", np.roll(mask, 4, axis=0))
    arguments = ("references", "shifted", "exact", "report")
    run("compare_two_folders.py", *arguments, monkeypatch=monkeypatch)
    out = capsys.readouterr().out
    assert "exact: mean Dice 1.000" in out
    assert Path("report", "comparison.html").exists()


def test_find_suspects(monkeypatch, capsys):
    run("find_suspects.py", monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all("right" not in line for line in lines[:3])
    assert all("right" in line for line in lines[3:])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short(script):
    assert len(script.read_text(encoding="utf-8").splitlines()) < 40


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_the_code_of_a_notebook_runs_and_its_output_is_kept(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = notebook.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert str(EXAMPLES.parents[1]) not in text
    assert not re.search(r"/(home|root|tmp|Users|site-packages)/", text)
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(cell["outputs"] for cell in cells if "print(" in "".join(cell["source"]))
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in cells:
        exec("".join(cell["source"]), names)


def test_all_examples_are_known():
    assert [path.name for path in SCRIPTS] == [
        "compare_two_folders.py",
        "corrupt_one_mask.py",
        "find_suspects.py",
        "loss_in_a_training_loop.py",
    ]
    assert len(NOTEBOOKS) == 2
