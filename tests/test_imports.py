"""Imports between our packages point one way, and light modules load no heavy library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEAVES = {
    "bf16",
    "cifar100",
    "devices",
    "errors",
    "extras",
    "formats",
    "geometry",
    "paper",
    "printable",
    "processes",
    "progress",
    "provenance",
}
#: Room -> its folder, and the rooms that it may import.
ROOMS = {
    "formats": ("anl_seg/formats", LEAVES - {"paper"}),
    "losses": ("anl_seg/losses", {"errors"}),
    "noise": ("noise", LEAVES),
    "datasets": ("anl_seg/datasets", LEAVES),
    "evaluation": ("anl_seg/evaluation", LEAVES),
    "suspects": ("anl_seg/suspects", LEAVES),
    "trainers": ("trainers", LEAVES | {"losses"}),
    "classification": ("anl_seg/classification", LEAVES | {"losses", "noise", "datasets"}),
    "experiments": (
        "anl_seg/experiments",
        LEAVES
        | {"losses", "noise", "datasets", "evaluation", "suspects", "trainers", "classification"},
    ),
    "cli": (
        "anl_seg/cli",
        LEAVES
        | {
            "losses",
            "noise",
            "datasets",
            "evaluation",
            "suspects",
            "trainers",
            "classification",
            "experiments",
        },
    ),
}
DRIVES_NNUNET = {"trainers"}


def imported(path: Path) -> set[str]:
    """Full names of all modules that a file imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_of(names: set[str]) -> set[str]:
    """The rooms, or leaf modules, of anl_seg that full names of imports lead to."""
    ours = (name.split(".") for name in names if name.startswith("anl_seg."))
    return {parts[1] for parts in ours if parts[1] != "__version__"}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room):
    folder, allowed = ROOMS[room]
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        forbidden = rooms_of(imported(path)) - allowed - {room}
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


@pytest.mark.parametrize("room", sorted(set(ROOMS) - DRIVES_NNUNET))
def test_only_trainers_import_nnunet(room):
    for path in (ROOT / ROOMS[room][0]).rglob("*.py"):
        assert not any(name.startswith("nnunetv2") for name in imported(path)), path


def test_the_check_sees_a_wrong_import(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "def late():\n    from anl_seg.cli import main\n    import anl_seg.noise.masks\n"
    )
    assert rooms_of(imported(wrong)) == {"cli", "noise"}


def loaded_after(statement: str, folder: Path) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import anl_seg.noise", {"torch", "nnunetv2", "matplotlib"}),
        ("import anl_seg.evaluation", {"torch", "nnunetv2", "matplotlib"}),
        ("import anl_seg.datasets", {"torch", "nnunetv2", "matplotlib"}),
        ("import anl_seg.suspects", {"torch", "nnunetv2", "matplotlib"}),
        (
            "import anl_seg.noise.labels; from anl_seg.datasets import cifar_n, classification",
            {"torch", "nnunetv2", "sklearn", "matplotlib"},
        ),
        ("import anl_seg.losses", {"nnunetv2", "cv2", "scipy", "matplotlib"}),
        ("import anl_seg.trainers, anl_seg.trainers.defaults", {"torch", "nnunetv2"}),
        (
            "from anl_seg.cli import build_app; build_app()",
            {"torch", "numpy", "nnunetv2", "scipy", "rich.progress"},
        ),
    ],
)
def test_light_imports(statement, heavy, tmp_path):
    assert not loaded_after(statement, tmp_path) & heavy


def test_the_weight_check_can_fail(tmp_path):
    assert "json" in loaded_after("import json", tmp_path)
