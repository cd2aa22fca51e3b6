"""`anl-seg evaluate`: scores of predicted masks against reference masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Empty


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
            help="Write summary.json (nnU-Net's schema), cases.csv and report (Markdown, LaTeX, "
            "one HTML page) there. Without it the tables are only printed.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="DIR", help="Images of the cases, shown below the outlines."
        ),
    ] = None,
    figures_only: Annotated[
        bool,
        typer.Option(
            "--figures-only", help="Write summary.json and cases.csv only; the report takes longer."
        ),
    ] = False,
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
    surfaces: Annotated[
        bool,
        typer.Option(
            "--surfaces",
            help="Also HD95, ASSD and NSD, in mm where the files say how large a pixel is; slower.",
        ),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", min=0, help="Distance up to which surfaces agree, for NSD: mm or pixels."
        ),
    ] = 2.0,
    empty: Annotated[
        Empty,
        typer.Option(
            "--empty",
            help="A class that neither mask holds: left out of the means, perfect, or worst.",
        ),
    ] = Empty.nan,
    noise_manifest: Annotated[
        Path | None,
        typer.Option(
            "--noise-manifest",
            metavar="FILE",
            help="noise_manifest.json or .csv of anl-seg noise, REF being the clean masks: also "
            "Dice against the noisy masks, by kind of noise.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("-np", "--jobs", min=1, help="Processes; more pay with many 3D cases.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the bootstrap intervals.")] = 1,
) -> None:
    """Score predicted masks against reference masks of the same names.

    Reads PNG, BMP, TIFF, NIfTI, NRRD and MHA.
    A missing or extra prediction is an error, never a smaller n.
    The conventions behind each figure are in summary.json.
    """
    from rich.console import Console

    from anl_seg.cli.progress import track
    from anl_seg.evaluation import Conventions, evaluate_folders, write_results
    from anl_seg.evaluation.labels import parse_labels
    from anl_seg.evaluation.tables import tables

    evaluation = evaluate_folders(
        predictions,
        references,
        labels=None if labels is None else parse_labels(labels),
        ignore_label=ignore_label,
        noise_manifest=noise_manifest,
        conventions=Conventions(
            empty=empty.value, surfaces=surfaces, tolerance=tolerance, seed=seed
        ),
        jobs=jobs,
        track=track,
    )
    files = []
    if output and not figures_only:
        from anl_seg.evaluation.reports.evaluation import write_report

        files = write_report(evaluation, output, images=images, track=track)
    if output:
        files = [*write_results(evaluation, output), *files]
    Console().print(*tables(evaluation))
    typer.echo(f"labels {evaluation.labels.source}")
    if files:
        typer.echo(f"written to {output}: {', '.join(file.name for file in files)}")
    else:
        typer.echo("nothing written; -o DIR keeps figures and report")
