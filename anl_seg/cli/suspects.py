"""`anl-seg suspects`: which masks of a data set are probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anl_seg.cli.choices import Checkpoint, joined_folds, num_processes_option
from anl_seg.formats.nnunet import CHECKPOINT, PLANS, TRAINER

if TYPE_CHECKING:
    from anl_seg.suspects.cases import CaseFiles
    from anl_seg.suspects.classes import Classes
    from anl_seg.suspects.ranking import Ranking

#: Number of cases printed.
SHOWN = 20


EXAMPLES = (
    "anl-seg suspects -d 510 -o REPORT",
    "anl-seg suspects --predictions softmax --labels masks --images images -o REPORT",
)


def command(
    more_folds: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="REPORT", help="Folder of the report."),
    ],
    dataset: Annotated[
        str | None, typer.Option("-d", help="Id or name of the nnU-Net data set.")
    ] = None,
    configuration: Annotated[
        str, typer.Option("-c", help="Configuration of the trained network.")
    ] = "2d",
    plans: Annotated[str, typer.Option("-p", help="Plans of the trained network.")] = PLANS,
    trainer: Annotated[
        str, typer.Option("-tr", help="Trainer of the trained network; any of nnU-Net's.")
    ] = TRAINER,
    fold: Annotated[
        list[str] | None,
        typer.Option("-f", help="Trained folds, as in -f 0 1 2 (default: all trained folds)."),
    ] = None,
    in_sample: Annotated[
        bool,
        typer.Option(
            "--in-sample",
            help="Judge by fold all, which was trained on the very masks it judges: far weaker.",
        ),
    ] = False,
    checkpoint: Checkpoint = CHECKPOINT,
    device: Annotated[
        str | None,
        typer.Option("-device", help="cpu, cuda or mps (default: cuda if there is one)."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="DIR",
            help="Instead of -d: probabilities of another model, as .npz, .npy or images of floats "
            "or 8 bits (or masks), one file a case.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="DIR", help="The given masks, with --predictions."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Images for the pictures, with --labels."),
    ] = None,
    num_processes: Annotated[int, num_processes_option("Processes that judge and draw.")] = 1,
) -> None:
    """Rank training cases by how likely their mask is wrong.

    Each mask is compared with the prediction of a network that did not train on the case: the
    softmax of nnU-Net's own validation, or a new prediction by the checkpoint of the fold. Writes
    suspects.html (a gallery to mark each case), suspects.csv and suspects.json.
    """
    from anl_seg.cli.progress import track
    from anl_seg.errors import InputError, named
    from anl_seg.suspects.report import check_output, write_report

    folds = joined_folds(fold, more_folds, "suspects")
    if (dataset is None) == (predictions is None) or (predictions is None) != (labels is None):
        raise InputError("give -d for a data set of nnU-Net, or --predictions with --labels")
    source_option = "-d" if predictions is None else "--predictions"
    of_network = {"-f": folds, "--in-sample": in_sample, "-device": device}
    unused = {"--images": images} if predictions is None else of_network
    if ignored := [option for option, value in unused.items() if value]:
        raise InputError(f"{named(ignored)} has no effect with {source_option}; omit it")
    if in_sample and folds:
        raise InputError("--in-sample judges by fold all; omit -f")
    check_output(output)  # before cases are predicted
    if predictions is not None and labels is not None:
        files, classes, source, not_judged = _of_folders(predictions, labels, images)
    else:
        files, classes, source, not_judged = _of_dataset(
            str(dataset),
            (trainer, plans, configuration),
            ["all"] if in_sample else folds,
            checkpoint,
            device,
            output,
        )
    ranking, written = write_report(
        files, classes, output, source, not_judged, num_processes=num_processes, track=track
    )
    _print(ranking, several=len(classes.names) > 1)
    typer.echo(f"written to {output}: {', '.join(path.name for path in written)}")
    page = written[0]
    typer.echo(f"next: open {page}, mark the cases, download decisions.csv, then anl-seg revise")


Found = tuple["list[CaseFiles]", "Classes", dict[str, Any], dict[str, str]]


def _of_folders(predictions: Path, labels: Path, images: Path | None) -> Found:
    """List the cases of two plain folders."""
    from anl_seg.formats.masks import find_masks
    from anl_seg.suspects.examine import classes_of_folders, pair_files

    files = pair_files(predictions, labels, images)
    judged = {each.case for each in files}
    reasons = {case: "no prediction" for case in find_masks(labels) if case not in judged}
    source = {
        "title": labels.resolve().name,
        "predictions": str(predictions),
        "labels": str(labels),
    }
    return files, classes_of_folders(files), source, reasons


def _of_dataset(
    dataset: str,
    network: tuple[str, str, str],
    folds: list[str],
    checkpoint: str,
    device: str | None,
    output: Path,
) -> Found:
    """List the cases of a data set of nnU-Net; predict them first if their softmax is missing."""
    from dataclasses import replace

    from anl_seg.cli.progress import track
    from anl_seg.formats.nnunet import (
        DATASET_JSON,
        PREPROCESSED,
        RAW,
        RESULTS,
        SPLITS,
        find_dataset,
    )
    from anl_seg.suspects.classes import declared_classes
    from anl_seg.suspects.examine import dataset_files
    from anl_seg.trainers.out_of_fold import held_out_cases, predict

    raw = find_dataset(dataset, RAW)
    model = find_dataset(dataset, RESULTS) / "__".join(network)
    splits = find_dataset(dataset, PREPROCESSED) / SPLITS
    classes = declared_classes(raw / DATASET_JSON)
    cases = dataset_files(raw)
    held_out = held_out_cases(model, splits, folds, list(cases), checkpoint)
    missing = [each for each in held_out if each.file is None]
    files = {each.case: each.file for each in held_out if each.file is not None}
    if missing:
        images = {case: each.images for case, each in cases.items()}
        folder = output / "probabilities"
        files |= predict(model, missing, images, folder, device, checkpoint, track)
    fold_of = {each.case: each.fold for each in held_out}
    judged = [
        replace(cases[case], prediction=files[case], fold=fold_of[case]) for case in sorted(files)
    ]
    if "all" in folds:
        typer.echo("warning: fold all was trained on these masks, so it agrees with them", err=True)
    reasons = {case: "its fold was not trained" for case in cases if case not in files}
    source = {"title": raw.name, "model": str(model), "checkpoint": checkpoint}
    return judged, classes, source, reasons


def _print(ranking: Ranking, several: bool) -> None:
    """Print the first cases as a table, and how many are probably wrong."""
    from rich.console import Console
    from rich.table import Table

    from anl_seg.suspects.report import class_in_words

    first = ranking.suspects[:SHOWN]
    table = Table(title=f"The first {len(first)} of {len(ranking.suspects)} cases")
    names = ["rank", "case", "score", "kind", *(["class"] if several else [])]
    for name in [*names, "Dice", "area", "shift"]:
        words = name in ("case", "kind", "class")
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    for each in first:
        classes = [class_in_words(each)] if several else []
        area = "" if each.area_change != each.area_change else f"{100 * each.area_change:+.0f} %"
        table.add_row(
            *(str(each.rank), each.case, f"{each.score:.3f}", each.likely_kind, *classes),
            *(f"{each.dice:.3f}", area, f"{each.shift:.1f} {each.unit}"),
        )
    Console().print(table)
    typer.echo(f"Median Dice of given and predicted masks: {ranking.agreement:.3f}.")
    typer.echo(ranking.estimate.in_words)
    if ranking.warning:
        typer.echo(f"warning: {ranking.warning}", err=True)
    if ranking.not_judged:
        typer.echo(f"{len(ranking.not_judged)} cases were not judged; suspects.json says why.")
