"""`anl-seg sweep`: many runs on this machine or a cluster, and `anl-seg sweep status`."""

from __future__ import annotations

import re
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
    from anl_seg.experiments.runs.run import Run
    from anl_seg.experiments.runs.sweep import Standing

STATUS = "status"

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg sweep sweep.yaml --runs runs -np 2",
    "anl-seg sweep status --runs runs",
)


def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|table-N|status",
            help="A YAML file with the keys kind, base, grid, runs; or a table of the paper, such "
            "as table-2; or `status` to see the states of the runs in --runs.",
        ),
    ],
    values: Annotated[
        list[str] | None,
        set_option("Replaces a setting of a table: protocol=digits."),
    ] = None,
    runs: Runs = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list the runs and estimate their time.")
    ] = False,
    executor: ExecutorName = "local",
    processes: Processes = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Do many runs, from a file or for a table of the paper, on this machine or on SLURM.

    Each run gets a folder with record.json (settings, versions, commit, hash of
    the noise, metrics) and log.txt. Stop with Ctrl-C. The same command then
    skips finished runs, resumes stopped ones and retries failed ones. Several
    sweeps on the same folder share its runs.
    """
    from anl_seg.errors import InputError

    execution = Execution(executor, processes, gpus, slurm or (), retries)
    if what == STATUS:
        if values or dry_run:
            raise InputError("sweep status shows the runs in --runs; omit --set and --dry-run")
        _show(runs, processes)
        return
    from anl_seg.cli.execution import do_runs
    from anl_seg.experiments.runs.sweep import standings_of

    todo = _runs(what, values or [])
    if dry_run:
        _list(standings_of(runs, todo), execution.parallel)
        return
    if failed := do_runs(runs, todo, execution):
        raise failed
    print(f"all runs are done; `anl-seg collect {runs}` collects their results")


def _runs(what: str, values: list[str]) -> list[Run]:
    from anl_seg.errors import InputError
    from anl_seg.experiments.parsing import parse_settings

    if name := re.fullmatch(r"table-(\d)", what):
        from anl_seg.experiments.tables.paper_table import Choice, lay_out, runs_to_do

        return runs_to_do(lay_out(int(name[1]), Choice(settings=parse_settings(values))))
    from anl_seg.experiments.runs.sweep import read_sweep

    if values:
        raise InputError(f"--set is for a table such as table-2; write the values into {what}")
    return read_sweep(Path(what))


def _show(root: Path, processes: int | None) -> None:
    from rich.console import Console

    from anl_seg.cli.standings import table
    from anl_seg.experiments.runs.sweep import failures, standings_below

    found = standings_below(root)
    Console().print(table(found, processes))
    if text := failures([standing for standing in found if standing.state == "failed"]):
        print(text)


def _list(found: list[Standing], parallel: int) -> None:
    from anl_seg.cli.standings import summary

    for standing in found:
        print(f"{standing.state:8} {standing.record.id}")
    print(summary(found, parallel))
