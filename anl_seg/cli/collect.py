"""`anl-seg collect`: any tree of runs as one tidy CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[Path, typer.Argument(help="Folder with runs anywhere below it.")] = Path(
        "runs"
    ),
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV to write; else it is printed.")
    ] = None,
) -> None:
    """Gather settings, state, metrics and provenance of all runs, a row each.

    Takes runs of `sweep`, `table` and `tune`, and single ones of `classify`.
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
