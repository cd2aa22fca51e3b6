"""`anl-seg collect`: a tree of runs as one tidy CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg collect runs",
    "anl-seg collect runs -o runs.csv",
)


def command(
    runs: Annotated[Path, typer.Argument(help="Folder with runs at any depth.")] = Path("runs"),
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write the CSV to this file. Default: print it."
        ),
    ] = None,
) -> None:
    """Collect settings, state, metrics and provenance of all runs as CSV, one row per run.

    It reads runs of `sweep`, `table`, `figure`, `tune` and `classify`.
    """
    from anl_seg.experiments.runs.collect import collect, write_csv

    rows = collect(runs)
    if output is None:
        import sys

        write_csv(rows, sys.stdout)
        return
    from anl_seg.formats.files import atomic_path

    with atomic_path(output) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        write_csv(rows, file)
    print(f"{output}: {len(rows)} runs")
