"""`anl-seg compare`: comparison of methods, paired by case."""

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
    "anl-seg compare dice+ce=A anl-ce=B --ref labelsTs -o REPORT",
    "anl-seg compare dice+ce=A/s1 dice+ce=A/s2 anl-ce=B/s1 anl-ce=B/s2 --ref labelsTs -o REPORT",
)


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Folders of predictions, or NAME=FOLDER. Several folders with the same name are "
            "the seeds or folds of one method. The others are compared with the first method.",
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
            help="Folder for comparison.html, .md, .tex, .json and cases.csv. "
            "Without -o the tables are only printed.",
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option("--metric", help="Metric to compare: Dice, IoU, HD95, ...")
    ] = "Dice",
    eta_alpha: Annotated[
        float | None,
        typer.Option(
            "--eta-alpha",
            help="Share of noisy training masks. Shows results of the paper's Table VI beside "
            "methods named like its losses (anl-ce, t-loss, gce, ...). Only for the 600 test "
            "images of ISIC-2017.",
        ),
    ] = None,
    eta_beta: Annotated[
        float | None,
        typer.Option("--eta-beta", help="Noise in each of these masks; needs --eta-alpha."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images", metavar="DIR", help="Show outlines on these images (CASE or CASE_0000)."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        labels_option("Labels to score, as in evaluate."),
    ] = None,
    ignore_label: IgnoreLabel = None,
    threshold: Threshold = None,
    tolerance: Tolerance = 2.0,
    empty: Annotated[
        Empty,
        typer.Option(
            "--empty",
            help="Score of a class in neither mask: left out of the pairs, perfect, or worst.",
        ),
    ] = Empty.nan,
    num_processes: Annotated[int, num_processes_option()] = 1,
    seed: BootstrapSeed = 1,
) -> None:
    """Compare methods on the same cases: paired differences, tests, and a report.

    Seeds of a method are averaged per case before any test, because they are not more patients.
    """
    from rich.console import Console

    from anl_seg.cli.progress import track
    from anl_seg.evaluation.compare import (
        compare,
        evaluate_methods,
        group_folders,
        needs_surfaces,
    )
    from anl_seg.evaluation.conclusions import conclude
    from anl_seg.evaluation.conventions import Conventions
    from anl_seg.evaluation.labels import parse_labels
    from anl_seg.evaluation.reports.comparison_tables import comparison_grids
    from anl_seg.evaluation.reports.terminal import terminal_table
    from anl_seg.experiments.tables.published_dice import published_column, published_dice

    cells = published_dice(eta_alpha, eta_beta, metric)
    conventions = Conventions(
        empty=empty.value,
        surfaces=needs_surfaces(metric),
        tolerance=tolerance,
        seed=seed,
        threshold=threshold,
    )
    methods = group_folders(runs)
    if images and output:
        from anl_seg.evaluation.reports.overlays import check_pictures

        check_pictures(images, [folder for group in methods.values() for folder in group])
    compared = compare(
        evaluate_methods(
            methods,
            references,
            labels=None if labels is None else parse_labels(labels),
            ignore_label=ignore_label,
            conventions=conventions,
            num_processes=num_processes,
            track=track,
        ),
        metric,
        seed=seed,
    )
    published = published_column(compared, cells)
    files = []
    if output:
        from anl_seg.evaluation.reports.comparison import write_comparison

        files = write_comparison(
            compared,
            output,
            published=published,
            images=images,
            num_processes=num_processes,
            track=track,
        )
    Console().print(*map(terminal_table, comparison_grids(compared, published)))
    for line in conclude(compared).lines:
        typer.echo(line)
    if files:
        typer.echo(f"written to {output}: {', '.join(file.name for file in files)}")
    else:
        typer.echo("nothing written; -o DIR writes the tables, a page with plots, and the values")
