"""A report replaces an earlier report and nothing else, whole or not at all."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest

from anl_seg.errors import InputError
from anl_seg.suspects import plain_classes, report
from anl_seg.suspects.examine import pair_files
from anl_seg.suspects.report import PARTS, write_report


def content(folder):
    """Every file at or below a folder, and what it holds."""
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def write(raw, tmp_path):
    """Write a report of the first 6 cases."""
    for path in sorted((tmp_path / "softmax").iterdir())[6:]:
        path.unlink()

    def run(output, predictions=tmp_path / "softmax", labels=raw / "labelsTr"):
        files = pair_files(predictions, labels)
        return write_report(files, plain_classes(2), output, {"title": "Discs"}, {})

    return run


def test_a_report_replaces_an_earlier_one(write, tmp_path):
    output = tmp_path / "new" / "report"
    _, written = write(output)
    assert {path.name for path in output.iterdir()} == set(PARTS)
    assert set(written) == {output / name for name in PARTS if name != "predictions"}
    first = content(output)
    decisions = output / "decisions.csv"
    decisions.write_text("case,decision\n")
    (output / "predictions" / ".DS_Store").touch()
    for path in (tmp_path / "softmax").glob("*.npz"):
        np.savez(path, probabilities=np.stack([np.ones((48, 48)), np.zeros((48, 48))]))
    write(output)
    second = content(output)
    assert set(second) == {*first, decisions}
    assert all(second[path] != first[path] for path in first)


@pytest.mark.parametrize("with_report", [False, True])
def test_predictions_of_the_user_are_kept(write, tmp_path, with_report):
    output = tmp_path / "work"
    if with_report:
        write(output)
    mine = output / "predictions" / "mine" if with_report else output / "predictions"
    mine.mkdir(parents=True)
    (mine / "case_00.png").write_bytes(b"precious")
    before = content(output)
    with pytest.raises(InputError, match=r"work/predictions, which is not of an earlier report"):
        write(output)
    assert content(output) == before


def test_files_of_another_tool_in_the_folder_are_kept(write, tmp_path):
    output = tmp_path / "work"
    write(output)
    (output / "predictions" / "plans.json").write_text("{}")
    with pytest.raises(InputError, match="not of an earlier report"):
        write(output)
    (output / "predictions" / "plans.json").unlink()
    (output / "suspects.json").write_text("[]")
    with pytest.raises(InputError, match="not of an earlier report"):
        write(output)


def test_a_link_to_a_folder_is_kept(write, tmp_path):
    output = tmp_path / "work"
    write(output)
    (output / "predictions").rename(tmp_path / "elsewhere")
    (output / "predictions").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not of an earlier report"):
        write(output)


@pytest.mark.parametrize("part", ["predictions", "labels"])
@pytest.mark.parametrize("linked", [False, True])
def test_files_that_are_judged_are_kept(write, raw, tmp_path, part, linked):
    output = tmp_path / "work"
    write(output)
    given = {"predictions": tmp_path / "softmax", "labels": raw / "labelsTr"}
    inside = output / "predictions"  # masks with the names of the cases
    if linked:
        (tmp_path / "link").symlink_to(inside)
        inside = tmp_path / "link"
    with pytest.raises(InputError, match=r"would replace the folder .*, and .*case_00\.png is in"):
        write(output, **(given | {part: inside}))
    assert len(list((output / "predictions").iterdir())) == 6


@pytest.mark.parametrize("step", ["write_files", "write_gallery", "rename"])
def test_an_error_leaves_the_earlier_report(write, tmp_path, monkeypatch, step):
    output = tmp_path / "report"
    write(output)
    before = content(output)
    for path in (tmp_path / "softmax").glob("*.npz"):
        np.savez(path, probabilities=np.stack([np.ones((48, 48)), np.zeros((48, 48))]))
    full = OSError(errno.ENOSPC, "No space left on device")
    rename = Path.rename

    def fails(*_, **__):
        raise full

    def fails_at_the_masks(path, target):
        if path.name == "predictions" and path.parent.name == "new":
            raise full
        return rename(path, target)

    if step == "rename":
        monkeypatch.setattr(Path, "rename", fails_at_the_masks)
    else:
        monkeypatch.setattr(report, step, fails)
    with pytest.raises(OSError, match="No space left"):
        write(output)
    assert content(output) == before
    assert {path.name for path in output.iterdir()} == set(PARTS)
    shutil.rmtree(output)
    with pytest.raises(OSError, match="No space left"):
        write(output)
    assert not output.exists()
