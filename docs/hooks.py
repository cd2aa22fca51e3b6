"""What mkdocs generates: reference pages from the code, and the README's section on results."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import griffe
import typer
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from anl_seg import losses
from anl_seg.cli import COMMANDS, build_app
from anl_seg.trainers.settings import TrainerSettings

#: Title of the README's section on results.
RESULTS = "Does it help?"
#: The text of a block of code without a language; Pygments marks the lines of the others.
PLAIN_CODE = re.compile(r"(?<=<pre><span></span><code>)[^<]+(?=</code></pre>)")
#: Words that a line break would spoil, in the text of a page.
HYPHENATED = re.compile(r"(?<![\w$/.-])(?:anl-seg|--?[A-Za-z][\w-]*)(?![\w-])")

#: The repository as it is installed, where its three folders of source are one package.
INSTALLED = TemporaryDirectory(prefix="anl-seg-docs-")


@event_priority(100)  # before mkdocstrings, which looks for the package then
def on_config(config: Any) -> Any:  # noqa: ANN401 (mkdocs's configuration)
    """Let mkdocstrings read the package as it is installed."""
    root = Path(__file__).parents[1]
    package = Path(INSTALLED.name) / "anl_seg"
    package.mkdir(exist_ok=True)
    for part in (*(root / "anl_seg").iterdir(), root / "noise", root / "trainers"):
        link = package / part.name
        link.unlink(missing_ok=True)
        link.symlink_to(part)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [INSTALLED.name]
    return config


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401 (mkdocs's configuration)
    """Add the generated pages."""
    pages = {
        "reference/cli.md": command_line(),
        "reference/losses.md": loss_table(),
        "reference/plans.md": plans_settings(),
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, config: Any, **_: object) -> str:  # noqa: ANN401
    """Put the README's section on results where a page has its title in a comment."""
    return markdown.replace(f"<!-- {RESULTS} -->", results(config.repo_url))


def on_page_content(html: str, **_: object) -> str:
    """Mark lines of code, and words that a line break would spoil, for the style sheet."""
    html = PLAIN_CODE.sub(
        lambda code: "".join(
            f'<span class="line">{line}</span>' for line in code[0].splitlines(keepends=True)
        ),
        html,
    )
    return re.sub(
        r">[^<]+<", lambda text: HYPHENATED.sub(r'<span class="whole">\g<0></span>', text[0]), html
    )


def results(repository: str) -> str:
    """The README's section on results, with links to the files in the repository."""
    readme = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
    _, found = readme.split(f"## {RESULTS}\n")
    section, *_ = found.split("\n## ")
    linked = re.sub(
        r"\]\((?=results/|benchmarks/)", f"]({repository.rstrip('/')}/blob/main/", section
    )
    return f"## {RESULTS}\n{linked}"


def command_line() -> str:
    """All commands with their options, as `--help` shows them."""
    command: Any = typer.main.get_command(build_app())
    for name, each in command.commands.items():
        each.short_help = inspect.cleandoc(each.help).split("\n\n")[0].replace("\n", " ")
        examples = import_module(f"anl_seg.cli.{COMMANDS[name]}").EXAMPLES
        each.epilog = "\n".join(("**Examples**:", "", "```bash", *examples, "```"))
    with typer.Context(command, info_name="anl-seg") as context:
        return "# Command line\n\n" + get_docs_for_click(
            obj=command, ctx=context, name="anl-seg", indent=1
        )


def loss_table() -> str:
    """All losses with their parameters and sources."""
    lines = [
        "# Losses",
        "",
        "`anl_seg.losses.create(NAME, **parameters)` gives a `torch.nn.Module`. Call it with",
        "logits `(B, K, *S)` and labels `(B, *S)`.",
        "",
        "| name | parameters and defaults | source |",
        "|---|---|---|",
    ]
    for name in losses.names():
        row = losses.describe(name)
        parameters = ", ".join(
            f"{key} {value:g}" for key, value in losses.complete(name, {}).items()
        )
        lines.append(f"| `{name}` | {parameters or 'none'} | {row.source} |")
    return "\n".join(lines) + "\n"


def plans_settings() -> str:
    """All settings that `anl-seg plan` writes into a plans file, with their defaults."""
    lines = [
        "# Settings of plans",
        "",
        "`anl-seg plan` writes these settings into the plans file, under the key `anl_seg`. The",
        "trainer reads them from there, and checkpoints carry them. Without an entry, all defaults",
        "hold.",
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    defaults = asdict(TrainerSettings())
    docstring = griffe.Docstring(inspect.getdoc(TrainerSettings) or "")
    for section in docstring.parse("google"):
        if section.kind is griffe.DocstringSectionKind.attributes:
            for each in section.value:
                meaning = " ".join(each.description.split())
                lines.append(f"| `{each.name}` | {_in_words(defaults[each.name])} | {meaning} |")
    return "\n".join(lines) + "\n"


def _in_words(value: object) -> str:
    """Print the default of a setting."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each:g}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
