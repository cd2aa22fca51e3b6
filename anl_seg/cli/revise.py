"""`anl-seg revise`: a new data set from decisions on suspects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "anl-seg revise Dataset510_Own Dataset511_Mended --decisions decisions.csv --as corrected",
    "anl-seg revise Dataset510_Own Dataset512_Revised --decisions decisions.csv --as ignore",
)


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
    from anl_seg.formats.nnunet import IMAGES
    from anl_seg.suspects.decisions import read_decisions
    from anl_seg.suspects.examine import dataset_files
    from anl_seg.suspects.revise import Revision, check_target, revise

    check_target(source, target)
    marks = read_decisions(decisions, list(dataset_files(source)))
    action, masks = _action(how, report or decisions.parent)
    revision = Revision(source, target, marks, action, masks)
    splits, place = _splits(source, target)
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
    pictures = any((target / IMAGES).glob("*.png"))
    wanted = _configurations(source) or (["2d"] if pictures else [])
    option = f" -c {' '.join(wanted)}" if wanted else ""
    typer.echo(f"next: nnUNetv2_plan_and_preprocess -d {target.name[7:10]}{option}")


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
    import os

    from anl_seg.errors import InputError
    from anl_seg.formats.nnunet import PREPROCESSED, SPLITS, read_splits

    root = os.environ.get(PREPROCESSED)
    if not root or not (Path(root) / source.resolve().name / SPLITS).exists():
        return [], None
    place = Path(root) / target.name / SPLITS
    if place.exists():
        raise InputError(f"{place} exists, with the folds of another data set; delete it first")
    return read_splits(Path(root) / source.resolve().name / SPLITS), place


def _configurations(source: Path) -> list[str]:
    """List the configurations of nnU-Net's plans for which the source is preprocessed."""
    import os

    from anl_seg.formats.nnunet import PLANS, PREPROCESSED
    from anl_seg.formats.text import read_json

    folder = Path(os.environ.get(PREPROCESSED, "")) / source.resolve().name
    plans = folder / f"{PLANS}.json"
    if not plans.exists():
        return []
    return [
        each for each in read_json(plans)["configurations"] if (folder / f"{PLANS}_{each}").is_dir()
    ]


def _keep_splits(target: Path, place: Path) -> None:
    """Put the folds where nnU-Net looks for them."""
    from anl_seg.formats.files import write_json
    from anl_seg.formats.nnunet import SPLITS
    from anl_seg.formats.text import read_json

    write_json(place, read_json(target / SPLITS))
