"""`anl-seg compare`: tables, files, exit codes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from anl_seg.cli import main

DISC = np.hypot(*np.ogrid[-8:8, -8:8]) < 5


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["compare", *map(str, arguments)])
    return end.value.code or 0


@pytest.fixture
def folders(tmp_path):
    """References of four cases, and three runs that are shifted by 1, 2 and 3 pixels."""
    for name, shift in {"ref": 0, "one": 1, "two": 2, "three": 3}.items():
        (tmp_path / name).mkdir()
        for case in range(4):
            mask = np.roll(DISC, shift if case else 0, axis=1).astype(np.uint8)
            Image.fromarray(mask).save(tmp_path / name / f"case_{case}.png")
    return {name: tmp_path / name for name in ("ref", "one", "two", "three")}


def test_tables_and_files(folders, tmp_path, capsys):
    one, two, three = (folders[name] for name in ("one", "two", "three"))
    code = run(
        *(f"anl-ce={one}", f"anl-ce={two}", three, "--ref", folders["ref"]),
        *("-o", tmp_path / "report"),
    )
    out = capsys.readouterr().out
    assert code == 0
    for part in ("mean±std", "difference to anl-ce", "three", "written to"):
        assert part in out
    assert (tmp_path / "report" / "comparison.html").is_file()


def test_without_a_folder_nothing_is_written(folders, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert run(folders["one"], folders["two"], "--ref", folders["ref"], "--metric", "HD95") == 0
    out = capsys.readouterr().out
    assert "HD95 (px), mean" in out
    assert "nothing written" in out
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "F1"], "metric 'F1': expected one of Dice"),
        (["--eta-alpha", "0.4"], "Table VI has no such column"),
        (["--images", "none"], "none: no such folder"),
        (["--labels", "x"], "expected whole numbers"),
    ],
)
def test_wrong_options(folders, tmp_path, capsys, options, message):
    output = tmp_path / "report"
    folder_arguments = (folders["one"], folders["two"], "--ref", folders["ref"], "-o", output)
    assert run(*folder_arguments, *options) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_the_conclusion_and_the_warning_are_printed(folders, capsys):
    assert run(folders["one"], folders["two"], "--ref", folders["ref"]) == 0
    out = capsys.readouterr().out
    assert "two and one differ (mean difference -" in out
    assert "Warning: each method has a single training" in out


def test_published_figures_stand_beside_the_same_experiment_only(folders, tmp_path, capsys):
    rates = ("--eta-alpha", 0.7, "--eta-beta", 0.5)
    methods = (f"anl-ce={folders['one']}", folders["two"])
    assert run(*methods, "--ref", folders["ref"], *rates) == 2
    assert "600 test images of ISIC-2017, but these are 4 cases" in capsys.readouterr().err
    for name in ("one", "two", "ref"):
        for case in range(4, 600):
            source = folders[name] / f"case_{case % 4}.png"
            (folders[name] / f"case_{case}.png").write_bytes(source.read_bytes())
    assert run(*methods, "--ref", folders["ref"], *rates) == 0
    assert "79.6±0.6" in capsys.readouterr().out
    assert run(folders["one"], folders["two"], "--ref", folders["ref"], *rates) == 2
    assert "no method is named like a loss of Table VI" in capsys.readouterr().err


def test_one_run_cannot_be_compared(folders, capsys):
    assert run(folders["one"], "--ref", folders["ref"]) == 2
    assert "expected at least two" in capsys.readouterr().err


def test_missing_predictions_are_named(folders, capsys):
    (folders["two"] / "case_3.png").unlink()
    assert run(folders["one"], folders["two"], "--ref", folders["ref"]) == 2
    assert "case_3" in capsys.readouterr().err
