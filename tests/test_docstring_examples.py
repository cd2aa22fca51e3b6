"""The examples in all docstrings run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import anl_seg
from anl_seg import noise, trainers

#: Where the modules lie: three folders of the repository are one package.
PACKAGES = (anl_seg, noise, trainers)


def modules_with_examples() -> list[str]:
    """Full names of the modules that hold an example."""
    found = set()
    for package in PACKAGES:
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(root).with_suffix("").parts
                found.add(".".join((package.__name__, *parts)).removesuffix(".__init__"))
    return sorted(found)


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name, tmp_path, monkeypatch):
    if name == "anl_seg.losses.kernels":
        pytest.importorskip("triton")
    monkeypatch.chdir(tmp_path)
    assert not doctest.testmod(importlib.import_module(name)).failed


def test_examples_are_found_and_a_wrong_one_is_seen(tmp_path, monkeypatch):
    names = modules_with_examples()
    assert {"anl_seg.noise", "anl_seg.losses.table", "anl_seg.suspects"} <= set(names)
    (tmp_path / "wrong_example.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert doctest.testmod(importlib.import_module("wrong_example")).failed == 1
