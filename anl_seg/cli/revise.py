"""`anl-seg revise`: a new data set from decisions on suspects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "anl-seg revise Dataset510_Own Dataset511_Mended --decisions decisions.csv --as corrected",
    "anl-seg revise Dataset510_Own Dataset512_Revised --decisions decisions.csv --as ignore",
)

#: nnU-Net's default planner, for which its commands need no option.
PLANNER = "ExperimentPlanner"


def command(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Raw data set of nnU-Net.", show_default=False)
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="DST",
            help="New raw data set, such as $nnUNet_raw/Dataset511_Revised.",
            show_default=False,
        ),
    ],
    decisions: Annotated[
        Path,
        typer.Option(
            "--decisions", metavar="FILE", help="decisions.csv, downloaded from the gallery."
        ),
    ],
    how: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="drop|ignore|predict|DIR",
            help="drop: leave out cases marked wrong or unsure. ignore: set the pixels in which "
            "they differ from the prediction to the ignore label. predict: replace wrong masks by "
            "the prediction. DIR: replace them by the corrected masks in this folder.",
        ),
    ],
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="REPORT",
            help="Output of anl-seg suspects, with the predicted masks (default: the folder of "
            "decisions.csv).",
        ),
    ] = None,
) -> None:
    """Write a new nnU-Net data set without the wrong masks.

    Nothing is overwritten. The new data set keeps the folds and, in labelsTr_given, the given
    masks; revision.csv says what was done to each case.
    """
    from anl_seg.cli.progress import track
    from anl_seg.suspects.decisions import read_decisions
    from anl_seg.suspects.examine import dataset_files
    from anl_seg.suspects.revise import Revision, check_target, revise

    check_target(source, target)
    marks = read_decisions(decisions, list(dataset_files(source)))
    action, masks = _action(how, report or decisions.parent)
    revision = Revision(source, target, marks, action, masks)
    splits, place = _splits(source, target)
    commands = _next_commands(source, target)
    done = revise(revision, splits, track=track)
    if place is not None:
        _keep_splits(target, place)
    actions = [each.action for each in done]
    counts = (f"{actions.count(action)} {action}" for action in sorted(set(actions)))
    typer.echo(f"{target}: {', '.join(counts)}; revision.csv says what was done to each case")
    if place is None:
        typer.echo("the source has no folds yet, so nnU-Net will make new ones")
    else:
        typer.echo(f"folds kept in {place}")
    for each in commands:
        typer.echo(f"next: {each}")


def _action(how: str, report: Path) -> tuple[str, Path | None]:
    """Return the action of --as, and the folder of the masks that it needs."""
    from anl_seg.errors import InputError
    from anl_seg.suspects.report import PREDICTIONS
    from anl_seg.suspects.revise import CORRECT, DROP, IGNORE, PREDICT

    if how == DROP:
        return how, None
    if how not in (IGNORE, PREDICT):
        if not Path(how).is_dir():
            raise InputError(
                f"--as {how}: no such folder; give drop, ignore, predict or a folder of corrected "
                "masks"
            )
        return CORRECT, Path(how)
    predicted = report / PREDICTIONS
    if not predicted.is_dir():
        raise InputError(
            f"{predicted}: no such folder; give the output folder of anl-seg suspects with --report"
        )
    return how, predicted


def _splits(source: Path, target: Path) -> tuple[list[dict[str, list[str]]], Path | None]:
    """Return nnU-Net's folds of the source, and the file that holds those of the target."""
    from anl_seg.errors import InputError
    from anl_seg.formats.nnunet import SPLITS, read_splits

    folder = _preprocessed(source)
    if folder is None or not (folder / SPLITS).exists():
        return [], None
    place = folder.parent / target.name / SPLITS
    if place.exists():
        raise InputError(f"{place} exists, with the folds of another data set; delete it first")
    return read_splits(folder / SPLITS), place


def _preprocessed(source: Path) -> Path | None:
    """Return the preprocessed folder of the source; None if nnU-Net has not made it."""
    import os

    from anl_seg.formats.nnunet import PREPROCESSED

    root = os.environ.get(PREPROCESSED)
    folder = Path(root or "", source.resolve().name)
    return folder if root and folder.is_dir() else None


def _next_commands(source: Path, target: Path) -> list[str]:
    """Name the commands that plan and preprocess the target like the source."""
    from anl_seg.formats.nnunet import IMAGES

    folder = _preprocessed(source)
    wanted = _configurations(folder) if folder else {}
    if not wanted:
        wanted = {PLANNER: ["2d"] if any((source / IMAGES).glob("*.png")) else []}
    commands = []
    for planner, configurations in wanted.items():
        by = "" if planner == PLANNER else f" -pl {planner}"
        option = f" -c {' '.join(configurations)}" if configurations else ""
        commands.append(f"nnUNetv2_plan_and_preprocess -d {target.name[7:10]}{by}{option}")
    return commands


def _configurations(folder: Path) -> dict[str, list[str]]:
    """List the preprocessed configurations of all plans, by the planner that made them."""
    from anl_seg.trainers.plans import plans_names, preprocessed_images, read_plans

    found: dict[str, list[str]] = {}
    for name in plans_names(folder):
        plans = read_plans(folder / f"{name}.json")
        planner = plans.get("experiment_planner_used", PLANNER)
        for each in preprocessed_images(folder, plans["configurations"]):
            if each not in found.setdefault(planner, []):
                found[planner].append(each)
    return found


def _keep_splits(target: Path, place: Path) -> None:
    """Put the folds where nnU-Net looks for them."""
    from anl_seg.formats.files import write_json
    from anl_seg.formats.nnunet import SPLITS
    from anl_seg.formats.text import read_json

    write_json(place, read_json(target / SPLITS))
