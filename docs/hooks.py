"""Pages of the reference that mkdocs generates from the code: the command line and the losses."""

from __future__ import annotations

from typing import Any

import typer
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from anl_seg import losses
from anl_seg.cli import build_app


def on_files(files: Files, config: Any) -> Files:  # noqa: ANN401 (mkdocs's configuration)
    """Add the generated pages."""
    pages = {"reference/cli.md": command_line(), "reference/losses.md": loss_table()}
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def command_line() -> str:
    """All commands with their options, as `--help` shows them."""
    command: Any = typer.main.get_command(build_app())
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
        parameters = ", ".join(f"{key} {value}" for key, value in losses.complete(name, {}).items())
        lines.append(f"| `{name}` | {parameters or 'none'} | {row.source} |")
    return "\n".join(lines) + "\n"
