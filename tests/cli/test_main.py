"""The command line as a whole: help, errors as one line, exit codes."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from anl_seg.cli import COMMANDS, main


def run(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert run(command, "-h") == 0
    assert "Usage: anl-seg" in capsys.readouterr().out


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == version("anl-seg")


def test_unknown_command_is_exit_code_2():
    assert run("frobnicate") == 2


def test_input_error_is_one_line(tmp_path, capsys):
    assert run("evaluate", str(tmp_path / "a"), str(tmp_path / "b")) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("anl-seg: error: ")
    assert "Traceback" not in captured.err


def test_unwritable_destination_is_exit_code_2(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    masks = tmp_path / "masks"
    masks.mkdir()
    from PIL import Image

    image = Image.new("L", (32, 32))
    image.paste(1, (8, 8, 24, 24))
    image.save(masks / "a.png")
    target = str(tmp_path / "file" / "below")
    assert run("noise", str(masks), target, "--eta-alpha", "1", "--eta-beta", "0.5") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
