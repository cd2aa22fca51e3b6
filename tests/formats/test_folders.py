"""A folder is whole or absent."""

from __future__ import annotations

import pytest

from anl_seg.formats.folders import atomic_folder


def test_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "target"
    with atomic_folder(target) as partial:
        (partial / "file").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert (target / "file").read_text() == "x"


def test_leaves_nothing_after_an_error(tmp_path):
    def fill():
        with atomic_folder(tmp_path / "target") as partial:
            (partial / "file").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_does_not_replace_a_folder_with_content(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target/mine").touch()
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "target"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["target", "mine"]
