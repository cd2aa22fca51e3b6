"""`anl-seg sweep`: many runs, here or on a cluster; `anl-seg sweep status` from another shell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.execution import ExecutorName, Executors, Gpus, Retries, Runs, Slurm, Workers

if TYPE_CHECKING:
    from anl_seg.experiments.runs.run import Run
    from anl_seg.experiments.runs.sweep import Standing

STATUS = "status"


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|table-N|status",
            help="A YAML file with kind, base, grid, runs; or a table of the paper, such as "
            "table-2; or `status`: how the runs in the folder stand.",
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="For a table, in place of the paper's value: protocol=digits. May be repeated.",
        ),
    ] = None,
    output: Runs = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the runs, with an estimate of time.")
    ] = False,
    executor: ExecutorName = Executors.local,
    workers: Workers = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Do what is missing of many runs. Stop it with Ctrl-C, call it again to go on.

    Each run has a folder with record.json (settings, versions, commit, hash of
    the noise, metrics) and log.txt. Done runs are left alone, killed ones go on
    where they were, failed ones are tried again and reported at the end.
    Several calls on one folder share the work.
    """
    if what == STATUS:
        _show(output, workers)
        return
    from anl_seg.cli.execution import do_runs
    from anl_seg.experiments.runs.executors import at_once
    from anl_seg.experiments.runs.sweep import plan

    runs = _runs(what, values or [])
    if dry_run:
        _list(plan(output, runs), at_once(workers, gpus))
        return
    if failed := do_runs(output, runs, executor, workers, gpus, slurm, retries):
        raise failed
    print(f"{len(runs)} runs done; anl-seg collect {output} gathers their results")


def _runs(what: str, values: list[str]) -> list[Run]:
    if name := re.fullmatch(r"table-(\d)", what):
        from anl_seg.experiments.tables.plan import Choice, lay_out, parse_settings, runs_to_do

        return runs_to_do(lay_out(int(name[1]), Choice(settings=parse_settings(values))))
    from anl_seg.errors import InputError
    from anl_seg.experiments.runs.sweep import read_sweep

    if values:
        raise InputError(f"--set is for a table such as table-2; write the values into {what}")
    return read_sweep(Path(what))


def _show(root: Path, workers: int | None) -> None:
    from rich.console import Console

    from anl_seg.cli.standings import table
    from anl_seg.experiments.runs.executors import standings_below
    from anl_seg.experiments.runs.sweep import failures

    found = standings_below(root)
    Console().print(table(found, workers))
    if text := failures([standing for standing in found if standing.state == "failed"]):
        print(text)


def _list(found: list[Standing], workers: int) -> None:
    from anl_seg.cli.standings import summary

    for standing in found:
        print(f"{standing.state:8} {standing.record.id}")
    print(summary(found, workers))
