"""The console script `anl-seg`, with one module per command. Errors become exit codes here."""

from __future__ import annotations

import atexit
import gc
import inspect
import sys
from importlib import import_module
from importlib.metadata import version as installed_version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.printable import make_printable

#: Module of each command, in the order of `--help`. It has a function `command` and `EXAMPLES`.
COMMANDS = {
    "demo": "demo",
    "doctor": "doctor",
    "convert": "convert",
    "isic": "isic",
    "noise": "noise",
    "advise": "advise",
    "plan": "plan",
    "evaluate": "evaluate",
    "compare": "compare",
    "suspects": "suspects",
    "revise": "revise",
    "export": "export",
    "losses": "losses",
    "label-noise": "label_noise",
    "classify": "classify",
    "sweep": "sweep",
    "collect": "collect",
    "table": "table",
    "figure": "figure",
    "tune": "tune",
    "trainers-path": "trainers_path",
}


class _Command(TyperCommand):
    """A command whose line of usage omits hidden arguments, such as the later folds of `-f 0 1`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401 (click's or typer's own)
        hidden = [
            piece
            for each in self.get_params(ctx)
            if getattr(each, "hidden", False)
            for piece in each.get_usage_pieces(ctx)
        ]
        return [piece for piece in super().collect_usage_pieces(ctx) if piece not in hidden]


def build_app() -> typer.Typer:
    """Build the command line. Command modules import heavy packages inside their functions."""
    app = typer.Typer(
        name="anl-seg",
        callback=_options,
        help="nnU-Net, robust to bad masks: Active Negative Loss for noisy segmentation labels.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, module in COMMANDS.items():
        loaded = import_module(f"anl_seg.cli.{module}")
        epilog = "\n\n".join(("Examples:", *loaded.EXAMPLES))
        text = _unwrapped(loaded.command.__doc__)
        app.command(name, cls=_Command, help=text, epilog=epilog)(loaded.command)
    return app


def _unwrapped(docstring: str) -> str:
    """Return a docstring with each paragraph in one line, because typer keeps line breaks."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(installed_version("anl-seg"))
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of `anl-seg` itself."""


def main(arguments: list[str] | None = None) -> None:
    """Run `anl-seg` with `arguments` (by default those of the process), and exit.

    Exit codes: 0 done; 1 a check (`doctor`) or a started program failed; 2 wrong input; 130
    interrupted.
    """
    if arguments is None:  # the process ends here: no search for cycles among all that it loaded
        atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        make_printable(stream)
    try:
        build_app()(arguments, prog_name="anl-seg")
    except InputError as error:
        _fail(str(error))
    except CommandFailedError as error:
        _fail(str(error), code=1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; check the path and its permissions")


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"anl-seg: error: {message}", file=sys.stderr)
    raise SystemExit(code)
