"""`anl-seg evaluate`: scores of predicted masks against reference masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import (
    BootstrapSeed,
    Empty,
    IgnoreLabel,
    Threshold,
    Tolerance,
    labels_option,
    num_processes_option,
)

EXAMPLES = (
    "anl-seg evaluate PREDICTIONS $nnUNet_raw/Dataset501_X/labelsTs -o REPORT",
    "anl-seg evaluate fold_0/validation $nnUNet_raw/Dataset501_X/labelsTr --chill --surfaces",
)


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
            help="Folder for summary.json (nnU-Net's schema), cases.csv and the report (Markdown, "
            "LaTeX, one HTML page). Without -o the tables are only printed.",
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
            "--figures-only", help="Write only summary.json and cases.csv; the report takes longer."
        ),
    ] = False,
    labels: Annotated[
        str | None,
        labels_option(
            "Labels to score. Default: labels of the dataset.json in PRED or beside REF, "
            "otherwise all labels in the references."
        ),
    ] = None,
    ignore_label: IgnoreLabel = None,
    threshold: Threshold = None,
    surfaces: Annotated[
        bool,
        typer.Option(
            "--surfaces",
            help="Also compute HD95, ASSD and NSD, in mm if the files have a spacing. Slower.",
        ),
    ] = False,
    tolerance: Tolerance = 2.0,
    empty: Annotated[
        Empty,
        typer.Option(
            "--empty",
            help="Score of a class in neither mask: left out of the means, perfect, or worst.",
        ),
    ] = Empty.nan,
    noise_manifest: Annotated[
        Path | None,
        typer.Option(
            "--noise-manifest",
            metavar="FILE",
            help="noise_manifest.json or .csv of anl-seg noise. Adds Dice against the noisy masks, "
            "by kind of noise. REF must contain the clean masks.",
        ),
    ] = None,
    chill: Annotated[
        bool,
        typer.Option(
            "--chill",
            help="Score only part of the cases, such as the validation of a fold: references "
            "without a prediction are left out and counted.",
        ),
    ] = False,
    num_processes: Annotated[
        int, num_processes_option("Number of processes; more help with 3D cases.")
    ] = 1,
    seed: BootstrapSeed = 1,
) -> None:
    """Score predicted masks against reference masks of the same names.

    PRED is first and REF second; nnUNetv2_evaluate_folder takes the reverse order. Formats: PNG,
    BMP, TIFF, NIfTI, NRRD and MHA. A missing or extra prediction is an error; no case is left out
    silently. summary.json contains the conventions behind each figure.
    """
    from rich.console import Console

    from anl_seg.cli.progress import track
    from anl_seg.evaluation import Conventions, evaluate_folders, summarize, write_results
    from anl_seg.evaluation.folder_checks import swapped_folders
    from anl_seg.evaluation.labels import parse_labels
    from anl_seg.evaluation.reports.evaluation_terminal import tables

    if warning := swapped_folders(predictions, references):
        typer.echo(f"anl-seg: warning: {warning}", err=True)
    wants_report = output is not None and not figures_only
    if images and wants_report:
        from anl_seg.evaluation.reports.overlays import check_pictures

        check_pictures(images, [predictions])
    evaluation = evaluate_folders(
        predictions,
        references,
        labels=None if labels is None else parse_labels(labels),
        ignore_label=ignore_label,
        noise_manifest=noise_manifest,
        conventions=Conventions(
            empty=empty.value,
            surfaces=surfaces,
            tolerance=tolerance,
            seed=seed,
            threshold=threshold,
        ),
        only_predicted=chill,
        num_processes=num_processes,
        track=track,
    )
    summary = summarize(evaluation)
    files = write_results(summary, output) if output else []
    if output and wants_report:
        from anl_seg.evaluation.reports.evaluation import write_report

        files += write_report(
            summary, output, images=images, num_processes=num_processes, track=track
        )
    Console().print(*tables(summary))
    typer.echo(f"predictions {predictions}, references {references}")
    if evaluation.n_left_out:
        typer.echo(
            f"{len(evaluation.cases)} of {len(evaluation.cases) + evaluation.n_left_out} "
            "references have a prediction; --chill left out the others"
        )
    typer.echo(f"labels {evaluation.labels.source}")
    if files:
        typer.echo(f"written to {output}: {', '.join(file.name for file in files)}")
    else:
        typer.echo("nothing written; -o DIR writes figures and report")
