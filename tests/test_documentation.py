"""Commands and code in README.md, docs/, results/ and benchmarks/ parse; the cheap ones run."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image

from anl_seg.cli import build_app, main

ROOT = Path(__file__).parents[1]
RESULTS = [*sorted((ROOT / "results").rglob("README.md")), ROOT / "benchmarks/README.md"]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *RESULTS]
GROUP = typer.main.get_command(build_app())
#: Programs that the commands in the documentation start, besides ours and nnU-Net's.
OTHER_PROGRAMS = {
    "export",
    "git",
    "mkdir",
    "mkdocs",
    "pip",
    "pytest",
    "python",
    "python3",
    "source",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
INDENTED = re.compile(r"(?:^ {4}\S.*\n(?: {4,}.*\n)*)+", re.M)
SPAN = re.compile(r"`((?:anl-seg|nnUNetv2_)[^`]*)`")


@dataclass(frozen=True)
class Found:
    """A command or a block of code, and where it stands."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def without_lists(text: str) -> str:
    """A page without fenced blocks, lists and mkdocstrings, whose lines may be indented too."""
    text = FENCE.sub("", text)
    return re.sub(r"^(?:[-*]|\d+\.|:::) .*\n(?: {2,}.*\n)*", "", text, flags=re.M)


def shell_lines(text: str) -> list[str]:
    """Single commands of a page's shell blocks."""
    blocks = [body for kind, body in FENCE.findall(text) if kind in ("", "bash", "sh", "console")]
    blocks += [
        re.sub(r"^ {4}", "", each, flags=re.M) for each in INDENTED.findall(without_lists(text))
    ]
    joined = "\n".join(blocks).replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines()]
    commands = []
    for line in filter(None, lines):
        if loop := re.fullmatch(r"for (\w+) in ([\w ]+); do (.*); done", line):
            line = loop[3].replace(f"${loop[1]}", loop[2].split()[0])
        commands += [part.strip() for part in line.split(" && ")]
    return commands


def of_all_pages(find) -> list[Found]:
    return [
        Found(str(page.relative_to(ROOT)), text)
        for page in PAGES
        for text in find(page.read_text(encoding="utf-8"))
    ]


BLOCKS = of_all_pages(shell_lines)
SPANS = of_all_pages(lambda text: [" ".join(each.split()) for each in SPAN.findall(text)])


def words_of(command: str) -> list[str]:
    """Program and arguments, without variables that are set in front of them."""
    words = shlex.split(command)
    while re.fullmatch(r"\w+=\S*", words[0]) and len(words) > 1:
        words = words[1:]
    return words


def parse_ours(words: list[str]) -> None:
    """Parse a command of ours without running it."""
    name, *arguments = words[1:]
    if name.startswith("-"):
        return
    if name not in GROUP.commands:
        raise AssertionError(f"no such command: anl-seg {name}")
    command = GROUP.commands[name]
    help_shown = contextlib.suppress(typer.Exit)
    with typer.Context(GROUP, info_name="anl-seg") as group, help_shown:
        command.make_context(name, arguments, parent=group).close()


class Parsed(Exception):
    """Raised instead of running a command of nnU-Net's."""


def parse_nnunets(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a command of nnU-Net's with its own parser, without running it."""
    (script,) = importlib.metadata.entry_points(group="console_scripts", name=words[0])
    parse = argparse.ArgumentParser.parse_args

    def only_parse(parser: argparse.ArgumentParser, *_: object) -> None:
        parse(parser)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(Parsed):
        script.load()()


def is_nnunets(found: Found) -> bool:
    return words_of(found.text)[0].startswith("nnUNetv2_")


def is_ours(found: Found) -> bool:
    return words_of(found.text)[0] == "anl-seg"


@pytest.mark.parametrize("found", list(filter(is_ours, BLOCKS)), ids=str)
def test_our_commands_parse(found):
    parse_ours(words_of(found.text))


@pytest.mark.parametrize("found", list(filter(is_ours, SPANS)), ids=str)
def test_our_commands_in_a_sentence_parse_if_they_have_options(found):
    words = words_of(found.text)
    if len(words) == 1:
        return
    if len(words) == 2 and not words[1].startswith("-"):
        assert words[1] in GROUP.commands
        return
    try:
        parse_ours(words)
    except Exception as error:
        if type(error).__name__ != "MissingParameter":  # a sentence may leave arguments out
            raise


@pytest.mark.skipif(find_spec("nnunetv2") is None, reason="nnU-Net is not installed")
def test_commands_of_nnunet_parse(monkeypatch):
    commands = [found for found in BLOCKS if is_nnunets(found)]
    assert len(commands) > 10
    for found in commands:
        with monkeypatch.context() as patch:
            try:
                parse_nnunets(words_of(found.text), patch)
            except SystemExit as error:
                raise AssertionError(f"{found} does not parse") from error


def test_all_other_programs_are_known():
    others = {
        words_of(found.text)[0] for found in BLOCKS if not is_ours(found) and not is_nnunets(found)
    }
    assert others <= OTHER_PROGRAMS


def test_scripts_of_the_benchmarks_exist():
    words = [words_of(found.text) for found in BLOCKS]
    scripts = [each[1] for each in words if each[0] == "python"]
    ours = [script for script in scripts if script.startswith("benchmarks/")]
    assert len(ours) >= 2
    assert [script for script in ours if not (ROOT / script).exists()] == []


@pytest.mark.parametrize("page", [PAGES[0], *RESULTS], ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_link_to_files_that_exist(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    files = [link for link in links if not link.startswith("http")]
    assert len(files) > (10 if page == PAGES[0] else 0)
    assert [file for file in files if not (page.parent / file).exists()] == []


def test_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 100
    assert max(map(len, lines)) <= 100


def test_extras_that_pip_installs_exist():
    provided = set(importlib.metadata.metadata("anl-seg").get_all("Provides-Extra"))
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = {
        name
        for group in re.findall(r"pip install '\.\[(.*?)\]'", text)
        for name in group.split(",")
    }
    assert named
    assert named <= provided


def test_the_checks_see_a_wrong_command():
    text = (
        "Text.\n\n    anl-seg losses --loud\n    anl-seg plan -d 1 \\\n        --as x\n\n- item\n"
    )
    text += "\n```\nrm -r x && anl-seg loses\n```\n"
    commands = shell_lines(text)
    assert [shlex.split(each) for each in commands] == [
        ["rm", "-r", "x"],
        ["anl-seg", "loses"],
        ["anl-seg", "losses", "--loud"],
        ["anl-seg", "plan", "-d", "1", "--as", "x"],
    ]
    with pytest.raises(AssertionError, match="no such command"):
        parse_ours(words_of(commands[1]))
    with pytest.raises(Exception, match="No such option"):
        parse_ours(words_of(commands[2]))


# Runs


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """Folders by the names that the documentation uses, and nnU-Net's variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("raw", "preprocessed", "results"):
        monkeypatch.setenv(f"nnUNet_{name}", str(tmp_path / name))
    rows, columns = np.mgrid[-24:24, -24:24]
    for i in range(10):
        mask = (np.hypot(rows - i, columns) < 10 + i).astype(np.uint8) * 255
        for folder in ("IMAGES", "MASKS", "REFERENCES", "PREDICTIONS", "SRC"):
            Path(folder).mkdir(exist_ok=True)
            Image.fromarray(mask).save(f"{folder}/case{i}.png")
    for folder in ("A/seed1", "A/seed2", "B/seed1", "B/seed2"):
        shutil.copytree("PREDICTIONS", folder)
    shutil.copytree("PREDICTIONS", "predictions")
    return tmp_path


def run(command: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words_of(command)[1:])
    assert not stop.value.code, command


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("README.md", "convert"),
        ("docs/how-to/evaluate.md", "evaluate"),
        ("docs/how-to/evaluate.md", "compare"),
        ("docs/how-to/noise.md", "noise"),
    ],
)
def test_commands_run_as_written(page, name, own_data, monkeypatch):
    import anl_seg.trainers.integrity as integrity

    monkeypatch.setattr(integrity, "check_integrity", lambda *_: None)  # it starts processes
    (command, *_) = (
        found.text for found in BLOCKS if found.page == page and words_of(found.text)[1:2] == [name]
    )
    run(command)


def test_getting_started_runs_from_convert_to_noise(own_data, monkeypatch):
    import anl_seg.trainers.integrity as integrity

    monkeypatch.setattr(integrity, "check_integrity", lambda *_: None)
    commands = {
        words_of(found.text)[1]: found.text
        for found in BLOCKS
        if found.page == "docs/getting-started.md" and is_ours(found)
    }
    run(commands["convert"])
    test_labels = own_data / "raw/Dataset510_Lesions/labelsTs"
    for path in list(Path("predictions").iterdir()):
        if not (test_labels / path.name).exists():
            path.unlink()
        else:
            shutil.copy(test_labels / path.name, path)
    run(commands["evaluate"].replace("$nnUNet_raw", str(own_data / "raw")))
    assert Path("report/report.html").exists()


def test_the_sweep_of_the_documentation_is_read(own_data):
    page = "docs/how-to/sweeps.md"
    (command,) = (
        found.text for found in BLOCKS if found.page == page and found.text.endswith("--dry-run")
    )
    for _, content in FENCE.findall((ROOT / page).read_text(encoding="utf-8")):
        Path("sweep.yaml").write_text(content, encoding="utf-8")
        run(command)


# Python


def python_blocks(text: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == "python"]


def names_for(page: str) -> dict[str, object]:
    """What the blocks of a page take for granted."""
    if page == "docs/how-to/suspects.md":
        rows, columns, _ = np.mgrid[-8:8, -8:8, :4]
        mask = (np.hypot(rows, columns) < 5).astype(np.uint8)
        soft = np.clip((6 - np.hypot(rows, columns)) / 2, 0.02, 0.98).astype(np.float32)
        return {
            "probabilities": [np.stack([1 - soft, soft])] * 2,
            "labels": [mask, np.roll(mask, 3)],
        }
    logits = torch.randn(2, 2, 8, 8, requires_grad=True)
    return {"logits": logits, "labels": torch.randint(0, 2, (2, 8, 8))}


@pytest.mark.parametrize("found", of_all_pages(python_blocks), ids=lambda found: found.page)
def test_code_runs(found):
    exec(found.text, names_for(found.page))
