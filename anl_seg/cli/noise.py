"""`anl-seg noise`: corrupt masks, or the labels of a whole nnU-Net data set, to order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from anl_seg.noise.dataset import Plan


def command(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="SRC",
            show_default=False,
            help="Folder of masks or label maps (2D or 3D), or nnU-Net raw data set.",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="DST", show_default=False, help="New folder for the noisy copy of SRC."
        ),
    ] = None,
    eta_alpha: Annotated[
        float | None,
        typer.Option(
            "--eta-alpha", show_default=False, help="Share of the masks to corrupt, from 0 to 1."
        ),
    ] = None,
    eta_beta: Annotated[
        float | None,
        typer.Option(
            "--eta-beta",
            show_default=False,
            help="Noise in each: changed pixels over foreground pixels, between 0 and 1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another noise.")] = 0,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            help="corrected, or published: the generator behind the paper's tables, with faults.",
        ),
    ] = "corrected",
    kinds: Annotated[
        str,
        typer.Option(
            "--kinds",
            help="Kinds to draw from; there are also jitter, polygon, missing-component, "
            "spurious-blob and class-swap.",
        ),
    ] = "erosion,dilation,affine",
    millimetres: Annotated[
        bool,
        typer.Option("--mm", help="Measure in millimetres by the files' spacing, not in pixels."),
    ] = False,
    ignore_label: Annotated[
        int | None,
        typer.Option(
            "--ignore-label", help="Leave this label untouched (nnU-Net data sets declare it)."
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="[SITUATION=]POLICY",
            help="What to do with masks that cannot take their noise (empty, full, vanishing, "
            "out-of-view, too-small): keep them clean, skip the case, or fail. Repeatable.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes to work with.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, write nothing.")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Also write a contact sheet, preview/noise_preview.png."),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Allow a DST that is not empty: replace files of the same name, delete nothing.",
        ),
    ] = False,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify", metavar="DST", help="Only check the masks in DST against its manifest."
        ),
    ] = None,
) -> None:
    """Corrupt masks by erosion, dilation and displacement, and say what was done.

    DST takes the names and formats of SRC, masks that stay clean included.
    Made from an nnU-Net data set, it is one that trains at once, with the
    clean labels in labelsTr_clean. What was asked and what was achieved for
    each case stands in noise_manifest.csv and noise_manifest.json.

    round(eta_alpha n) of n masks are chosen. In label maps every class is
    corrupted; where two then overlap, the higher label wins.

    The same seed gives the same noise in any order, with any --jobs and on
    any machine. A larger --eta-alpha corrupts the same masks in the same
    way, and more. A run that was killed goes on when the same is asked again.
    """
    if verify is not None:
        _verify(verify)
        return
    if source is None or eta_alpha is None or eta_beta is None or (target is None and not dry_run):
        raise typer.BadParameter("SRC, DST, --eta-alpha and --eta-beta are needed")
    asked: dict[str, Any] = {
        "eta_alpha": eta_alpha,
        "eta_beta": eta_beta,
        "seed": seed,
        "method": method,
        "kinds": tuple(kind.strip() for kind in kinds.split(",")),
        "millimetres": millimetres,
        "ignore_label": ignore_label,
        "policies": _policies(policy or []),
    }
    if dry_run:
        from anl_seg.noise import Settings, plan_masks

        _print_plan(plan_masks(source, Settings(**asked)))
    elif target is not None:
        from anl_seg.cli.progress import track
        from anl_seg.noise import corrupt_masks

        content = corrupt_masks(
            source, target, **asked, jobs=jobs, overwrite=overwrite, track=track
        )
        _print_summary(content, target)
        if preview:
            from anl_seg.noise.preview import write_preview

            print(f"Contact sheet: {write_preview(source, target)}")


def _policies(given: list[str]) -> dict[str, str]:
    """A policy for each situation, from `SITUATION=POLICY`, or `POLICY` for all of them."""
    from anl_seg.noise import SITUATIONS

    policies = {}
    for each in given:
        situation, equals, policy = each.rpartition("=")
        policies.update(dict.fromkeys([situation] if equals else SITUATIONS, policy))
    return policies


def _print_plan(plan: Plan) -> None:
    chosen = [task for task in plan.tasks if task.kind]
    for task in chosen:
        print(f"{task.case}: {task.kind}")
    print(f"{len(chosen)} of {len(plan.tasks)} masks would be corrupted; nothing is written.")


def _print_summary(content: dict[str, Any], target: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from anl_seg.formats.noise_manifest import CSV_NAME

    summary, asked = content["summary"], content["settings"]["eta_beta"]
    table = Table("noise", "objects", "asked", "achieved", "lowest", "highest")
    for kind, part in {**summary["kinds"], "all": summary["eta_beta"]}.items():
        if part["cases"]:
            achieved = (f"{part[name]:.3f}" for name in ("mean", "min", "max"))
            table.add_row(kind, str(part["cases"]), f"{asked:g}", *achieved)
    Console().print(table)
    print(f"{summary['corrupted']} of {summary['cases']} masks corrupted.")
    if summary["left_clean"]:
        print(f"{summary['left_clean']} more were chosen but cannot take their noise: left clean.")
    if summary["skipped"]:
        print(f"{summary['skipped']} cases cannot take their noise: left out.")
    if summary["off_level"]:
        print(f"Off the level by more than 0.01: {summary['off_level']}, see the manifest.")
    if summary["vanished"]:
        print(f"Vanished under other classes or out of view: {summary['vanished']}.")
    if any(summary["situations"].values()):
        counts = (f"{name} {count}" for name, count in summary["situations"].items() if count)
        print(f"Why: {', '.join(counts)}.")
    if content["left_out"]:
        print(f"{len(content['left_out'])} files that are no masks were left out.")
    print(f"Case by case: {target / CSV_NAME}")


def _verify(folder: Path) -> None:
    from anl_seg.cli.progress import track
    from anl_seg.errors import CommandFailedError, listed
    from anl_seg.noise import verify

    checked, problems = verify(folder, track)
    if problems:
        raise CommandFailedError(f"{folder}: {listed(problems, 'masks differ')}")
    print(f"{checked} masks are as the manifest says.")
