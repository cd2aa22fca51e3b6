"""`anl-seg evaluate`: Dice and IoU of predicted masks against reference masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    predictions: Annotated[
        Path, typer.Argument(metavar="PRED", help="Folder of predicted masks.", show_default=False)
    ],
    references: Annotated[
        Path,
        typer.Argument(metavar="REF", help="Folder of reference masks.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Write summary.json (nnU-Net's schema) and cases.csv there. "
            "Without it the tables are only printed.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "-l",
            "--labels",
            metavar="1,2,3",
            help="Labels to score. Default: those of the dataset.json in PRED or beside REF, "
            "else all that the references hold.",
        ),
    ] = None,
    ignore_label: Annotated[
        int | None,
        typer.Option(
            "-il",
            "--ignore-label",
            metavar="N",
            help="Leave out pixels with this label in the reference.",
        ),
    ] = None,
) -> None:
    """Score predicted masks against reference masks of the same names.

    Reads PNG, BMP, TIFF, NIfTI, NRRD and MHA.
    A missing or extra prediction is an error, never a smaller n.
    A class that both masks of a case lack is left out of its mean, and counted.
    """
    from rich.console import Console

    from anl_seg.cli.progress import track
    from anl_seg.evaluation import evaluate_folders, write_results
    from anl_seg.evaluation.labels import parse_labels
    from anl_seg.evaluation.tables import case_table, class_table

    evaluation = evaluate_folders(
        predictions,
        references,
        labels=None if labels is None else parse_labels(labels),
        ignore_label=ignore_label,
        track=track,
    )
    files = write_results(evaluation, output) if output else []
    console = Console()
    console.print(case_table(evaluation), class_table(evaluation))
    typer.echo(f"labels {evaluation.labels.source}")
    if files:
        typer.echo(f"written: {' and '.join(map(str, files))}")
    else:
        typer.echo("nothing written; -o DIR keeps summary.json and cases.csv")
