"""Files that are whole or absent, whatever their names and the names in them."""

from __future__ import annotations

import json
import os

import pytest

from anl_seg.formats.files import atomic_path, write_json, write_text
from anl_seg.formats.text import read_json, read_text

LATIN_1 = os.fsdecode(b"M\xfcller")


def test_names_that_are_not_utf_8_come_back(tmp_path):
    write_text(tmp_path / "a.csv", f"{LATIN_1},Jürgen\n")
    assert (tmp_path / "a.csv").read_bytes() == b"M\xfcller,J\xc3\xbcrgen\n"
    assert read_text(tmp_path / "a.csv", names=True) == f"{LATIN_1},Jürgen\n"
    content = {"case": LATIN_1, "other": 'Jürgen "\\udcfc" 𝄞'}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content
    with (tmp_path / "a.json").open(encoding="utf-8") as stream:  # as other programs do
        assert json.load(stream) == content


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".json")  # 255 bytes
    write_json(path, 1)
    assert read_json(path) == 1


def test_after_an_error_nothing_is_left(tmp_path):
    def fail():
        with atomic_path(tmp_path / "a") as partial:
            partial.touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
