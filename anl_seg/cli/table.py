"""`anl-seg table`: a table of the paper, our results beside the published ones."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.choices import set_option
from anl_seg.cli.execution import (
    Execution,
    ExecutorName,
    Gpus,
    Processes,
    Retries,
    Runs,
    Slurm,
)

if TYPE_CHECKING:
    from anl_seg.experiments.tables.report import Report

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg table 2 --dataset digits --run",
    "anl-seg table 6 --scale small --data ISIC_FOLDER --run --format markdown",
)


#: Options that determine the runs of the table and their folder.
ABOUT_RUNS = frozenset(
    {"runs", "row", "column", "seed", "dataset", "scale", "data", "human", "values"}
)
#: Options that a table without runs has no use for.
NOT_WITHOUT_RUNS = ABOUT_RUNS - {"row", "column"} | {
    *("run", "executor", "processes", "gpus", "slurm", "retries")
}


class Format(str, Enum):
    """Choices of --format."""

    text = "text"
    markdown = "markdown"
    latex = "latex"
    html = "html"
    csv = "csv"


class Scales(str, Enum):
    """Choices of --scale."""

    full = "full"
    small = "small"


def command(
    context: typer.Context,
    number: Annotated[
        int, typer.Argument(min=1, max=8, help="Number of the table.", show_default=False)
    ],
    runs: Runs = Path("runs"),
    run: Annotated[bool, typer.Option("--run", help="Do the missing runs first.")] = False,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            help="A method, such as anl-ce or APL, or any other loss. Default: all. May be "
            "repeated.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", help="A column, such as Sym-0.4 or 0.7/0.7. Default: all. May be repeated."
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, help="Default: the paper's, 1, 2 and 3. May be repeated."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Another data set for a table of classifiers; digits takes seconds per run.",
        ),
    ] = None,
    scale: Annotated[
        Scales,
        typer.Option("--scale", help="Table 6 only: `small` takes about an hour on a CPU."),
    ] = Scales.full,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of the data set. Default: data/DATASET."),
    ] = None,
    human: Annotated[
        Path | None, typer.Option("--human", help="File of CIFAR-N's labels, or its folder.")
    ] = None,
    values: Annotated[
        list[str] | None,
        set_option(
            "Replaces a setting of the paper: epochs, device, precision, size, ..., or a "
            "hyper-parameter of a loss, such as alpha."
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the table.")] = Format.text,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="File for the table. Default: print it."
        ),
    ] = None,
    executor: ExecutorName = "local",
    processes: Processes = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Print a table of the paper with our results beside the published ones.

    The table names the missing runs. --run does them like `anl-seg sweep`: you
    can stop the command and call it again at any time. Table 8 lists the
    hyper-parameters.
    """
    from anl_seg.cli.execution import do_runs
    from anl_seg.errors import InputError, named
    from anl_seg.experiments.parsing import given_settings
    from anl_seg.experiments.tables.layouts import LAYOUTS
    from anl_seg.experiments.tables.paper_table import Choice, lay_out, runs_to_do
    from anl_seg.experiments.tables.report import WITHOUT_RUNS, results_report

    if number in WITHOUT_RUNS:
        if typed := _typed(context, NOT_WITHOUT_RUNS):
            options = named([*typed.values()])
            raise InputError(
                f"table {number} lists hyper-parameters and has no runs; omit {options}"
            )
        _show(WITHOUT_RUNS[number](row or (), column or ()), form, output)
        return
    if dataset and LAYOUTS[number].kind == "segmentation":
        raise InputError(
            f"--dataset is for tables of classifiers; table {number} takes a folder of images as "
            "--data"
        )
    table = lay_out(
        number,
        Choice(
            rows=row or (),
            columns=column or (),
            seeds=seed or (),
            scale=scale.value,
            settings=given_settings(
                {"--dataset protocol": dataset, "--data": data, "--human": human}, values or []
            ),
        ),
    )
    failed = None
    if run:
        execution = Execution(executor, processes, gpus, slurm or (), retries)
        failed = do_runs(runs, runs_to_do(table), execution)
    _show(results_report(table, runs, _with_run(context)), form, output)
    if failed:
        raise failed


def _show(report: Report, form: Format, output: Path | None) -> None:
    from rich.console import Console

    from anl_seg.experiments.tables.output_formats import FILE_WIDTH, print_text, written
    from anl_seg.formats.files import write_text

    if output is not None:
        write_text(output, written(report, form.value))
        print(f"{output}: {report.grid.title}")
    elif form is Format.text:
        console = Console()
        print_text(report, console if console.is_terminal else Console(width=FILE_WIDTH))
    else:
        print(written(report, form.value), end="")


def _with_run(context: typer.Context) -> str:
    """Return the command as typed, with --run and without options of printing."""
    import shlex

    parts = ["anl-seg", "table", str(context.params["number"])]
    for name, option in _typed(context, ABOUT_RUNS).items():
        given = context.params[name]
        for value in given if isinstance(given, list | tuple) else [given]:
            parts += [option, getattr(value, "value", str(value))]
    return shlex.join([*parts, "--run"])


def _typed(context: typer.Context, names: Collection[str]) -> dict[str, str]:
    """Return those of the named parameters that the user typed, with their options."""
    typed = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in names and source is not None and source.name == "COMMANDLINE":
            typed[name] = parameter.opts[0]
    return typed
