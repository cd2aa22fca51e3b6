"""`anl-seg table`: a table of the paper, ours beside the published figures."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.execution import ExecutorName, Executors, Gpus, Retries, Runs, Slurm, Workers

if TYPE_CHECKING:
    from anl_seg.experiments.tables.report import Report


#: Options that decide which runs make the table, and where they lie.
ABOUT_RUNS = frozenset(
    {"runs", "row", "column", "seed", "dataset", "scale", "data", "human", "values"}
)


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
        int, typer.Argument(min=1, max=8, help="Of the paper's table.", show_default=False)
    ],
    runs: Runs = Path("runs"),
    run: Annotated[bool, typer.Option("--run", help="Do the missing runs first.")] = False,
    row: Annotated[
        list[str] | None,
        typer.Option(
            "--row", help="A method, such as anl-ce or APL; any other loss too. May be repeated."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Such as Sym-0.4, or 0.7/0.7. May be repeated."),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="Else 1, 2, 3. May be repeated.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Classification: the same grid on another one; digits takes seconds a run.",
        ),
    ] = None,
    scale: Annotated[
        Scales,
        typer.Option("--scale", help="Table 6: small is what a CPU does in about an hour."),
    ] = Scales.full,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of the data set; else data/DATASET.")
    ] = None,
    human: Annotated[
        Path | None, typer.Option("--human", help="File of CIFAR-N, or its folder.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="In place of the paper's value: epochs, device, precision, size, ..., or what a "
            "loss has, such as alpha. May be repeated.",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.text,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write it there.")
    ] = None,
    executor: ExecutorName = Executors.local,
    workers: Workers = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Print a table of the paper, ours beside the published figures, and what is missing.

    anl-seg table 2 --dataset digits --run

    --run does the missing runs, as `anl-seg sweep` does: it can be stopped and
    called again. Table 8 holds the hyper-parameters.
    """
    from anl_seg.cli.execution import do_runs
    from anl_seg.errors import InputError
    from anl_seg.experiments.tables.plan import Choice, lay_out, parse_settings, runs_to_do
    from anl_seg.experiments.tables.report import hyper_parameter_report, results_report

    if number == 8:
        if run:
            raise InputError("Table VIII holds hyper-parameters, there is nothing to run")
        _show(hyper_parameter_report(row or (), column or ()), form, output)
        return
    given = {"protocol": dataset, "data": data and str(data), "human": human and str(human)}
    settings = {name: value for name, value in given.items() if value is not None}
    table = lay_out(
        number,
        Choice(
            rows=row or (),
            columns=column or (),
            seeds=seed or (),
            scale=scale.value,
            settings={**settings, **parse_settings(values or [])},
        ),
    )
    failed = None
    if run:
        failed = do_runs(runs, runs_to_do(table), executor, workers, gpus, slurm, retries)
    _show(results_report(table, runs, _with_run(context)), form, output)
    if failed:
        raise failed


def _show(report: Report, form: Format, output: Path | None) -> None:
    from rich.console import Console

    from anl_seg.experiments.tables.formats import FILE_WIDTH, print_text, written
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
    """The command as it was typed, with --run, and without what is about printing."""
    import shlex

    parts = ["anl-seg", "table", str(context.params["number"])]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in ABOUT_RUNS and source is not None and source.name == "COMMANDLINE":
            given = context.params[name]
            for value in given if isinstance(given, list | tuple) else [given]:
                parts += [parameter.opts[0], getattr(value, "value", str(value))]
    return shlex.join([*parts, "--run"])
