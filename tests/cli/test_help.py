"""`--help` of each command begins with its purpose and ends with examples that parse."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from anl_seg.cli import COMMANDS, build_app

GROUP = typer.main.get_command(build_app())


def parse(example: str) -> None:
    """Parse the options of a command line without running the command."""
    _, name, *arguments = shlex.split(re.search(r"anl-seg [^)]*", example)[0])
    with typer.Context(GROUP, info_name="anl-seg") as group:
        GROUP.commands[name].make_context(name, arguments, parent=group).close()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_the_purpose_and_ends_with_two_examples(name):
    examples = import_module(f"anl_seg.cli.{COMMANDS[name]}").EXAMPLES
    assert len(examples) == 2
    shown = CliRunner().invoke(build_app(), [name, "--help"], env={"COLUMNS": "120"})
    lines = [line.strip() for line in shown.output.splitlines() if line.strip()]
    assert lines[-3:] == ["Examples:", *examples]
    assert re.fullmatch(r"[A-Z][a-z]+ .*[.:]", lines[1])
    assert "Examples" not in (GROUP.commands[name].help or "")


@pytest.mark.parametrize(
    "example",
    [
        line
        for module in COMMANDS.values()
        for line in import_module(f"anl_seg.cli.{module}").EXAMPLES
    ],
)
def test_examples_parse(example):
    parse(example)


def test_an_option_that_does_not_exist_is_seen():
    with pytest.raises(Exception, match="No such option: --loud"):
        parse("anl-seg losses --loud")


@pytest.mark.parametrize("name", ["advise", "suspects"])
def test_usage_omits_the_hidden_argument_for_more_folds(name):
    shown = CliRunner().invoke(build_app(), [name, "--help"], env={"COLUMNS": "120"})
    assert f"{name} [OPTIONS]" in shown.output
    assert "more_folds" not in shown.output.lower()
