"""Progress on a terminal and elsewhere."""

import io
import sys

import pytest

from anl_seg.cli import progress
from anl_seg.cli.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_output_during_progress_goes_to_its_file(monkeypatch):
    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", file)
    for item in track([1, 2], "working"):
        print("line", item)
    assert file.getvalue() == "line 1\nline 2\n"
    assert "working" in terminal.getvalue()


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_occasional_lines_without_a_terminal(monkeypatch, capsys, seconds):
    monkeypatch.setattr(progress, "PLAIN_LINE_SECONDS", seconds)
    assert list(track("abc", "working")) == ["a", "b", "c"]
    shown = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in shown] == (
        [] if seconds else ["working: 1/3", "working: 2/3"]
    )


def test_the_time_left_excludes_the_wait_for_the_first_item(monkeypatch, capsys):
    clock = iter([100.0, 111.0, 122.0])  # the first item comes after a start of any length
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(track(iter("abc"), "images", 3))
    shown = capsys.readouterr().err.splitlines()
    assert shown == ["images: 1/3, about 22 s left", "images: 2/3, about 11 s left"]
