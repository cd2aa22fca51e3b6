"""`anl-seg compare`: runs against each other, paired by case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Empty


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Folders of predictions, or NAME=FOLDER. Several folders of one name are the "
            "seeds or folds of one method. The first is what the others are compared with.",
            show_default=False,
        ),
    ],
    references: Annotated[
        Path,
        typer.Option("--ref", metavar="DIR", help="Folder of reference masks.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Write comparison.html, .md, .tex, .json and cases.csv there. "
            "Without it the tables are only printed.",
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="What to compare: Dice, IoU, HD95, ...")
    ] = "Dice",
    eta_alpha: Annotated[
        float | None,
        typer.Option(
            "--eta-alpha",
            help="Share of noisy training masks: puts the figures of the paper's Table VI beside "
            "runs named as its losses (anl-ce, t-loss, gce, ...).",
        ),
    ] = None,
    eta_beta: Annotated[
        float | None,
        typer.Option("--eta-beta", help="Noise in each of them; belongs to --eta-alpha."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="DIR", help="Show outlines on these images (CASE or CASE_0000)."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("-l", "--labels", metavar="1,2,3", help="Labels to score, as in evaluate."),
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
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="For NSD: mm or pixels.")
    ] = 2.0,
    empty: Annotated[
        Empty,
        typer.Option(
            "--empty",
            help="A class that neither mask holds: left out of the pairs, perfect, or worst.",
        ),
    ] = Empty.nan,
    jobs: Annotated[int, typer.Option("-np", "--jobs", min=1, help="Processes.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the bootstrap intervals.")] = 1,
) -> None:
    """Compare methods on the same cases: paired differences, tests, and a report.

    anl-seg compare dice+ce=P0/s1 dice+ce=P0/s2 anl-ce=P1/s1 anl-ce=P1/s2 --ref LABELS -o REPORT

    Seeds are averaged case by case before any test: they are no further patients.
    """
    from rich.console import Console

    from anl_seg.cli.progress import track
    from anl_seg.evaluation.compare import (
        compare,
        evaluate_runs,
        group_folders,
        needs_surfaces,
    )
    from anl_seg.evaluation.conventions import Conventions
    from anl_seg.evaluation.labels import parse_labels
    from anl_seg.evaluation.published import published_dice
    from anl_seg.evaluation.reports.comparison_tables import comparison_grids
    from anl_seg.evaluation.reports.terminal import terminal_table

    published = published_dice(eta_alpha, eta_beta, metric)
    conventions = Conventions(
        empty=empty.value, surfaces=needs_surfaces(metric), tolerance=tolerance, seed=seed
    )
    compared = compare(
        evaluate_runs(
            group_folders(runs),
            references,
            labels=None if labels is None else parse_labels(labels),
            ignore_label=ignore_label,
            conventions=conventions,
            jobs=jobs,
            track=track,
        ),
        metric,
        seed=seed,
    )
    files = []
    if output:
        from anl_seg.evaluation.reports.comparison import write_comparison

        files = write_comparison(compared, output, published=published, images=images, track=track)
    Console().print(*map(terminal_table, comparison_grids(compared, published)))
    if files:
        typer.echo(f"written to {output}: {', '.join(file.name for file in files)}")
    else:
        typer.echo("nothing written; -o DIR keeps the tables, a page with plots, and the values")
