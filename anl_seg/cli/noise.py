"""`anl-seg noise`: corrupt masks, or the labels of a whole nnU-Net data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anl_seg.cli.choices import Threshold, num_processes_option

EXAMPLES = (
    "anl-seg noise masks noisy --eta-alpha 0.7 --eta-beta 0.5 --preview",
    "anl-seg noise masks large --eta-alpha 1 --eta-beta 0.3 --kinds dilation",
)


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
            help="Noise in each mask: changed pixels over foreground pixels, between 0 and 1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the noise.")] = 0,
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
            help="Kinds of noise to draw from, separated by commas. For biased noise give one: "
            "dilation (all noisy masks too large) or erosion (too small). There are also jitter, "
            "polygon, missing-component, spurious-blob and class-swap.",
        ),
    ] = "erosion,dilation,affine",
    millimetres: Annotated[
        bool,
        typer.Option("--mm", help="Measure in mm, with the spacing of the files, not in pixels."),
    ] = False,
    threshold: Threshold = None,
    ignore_label: Annotated[
        int | None,
        typer.Option(
            "--ignore-label",
            show_default=False,
            help="Label that stays unchanged. Default: the one declared in dataset.json.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="[SITUATION=]POLICY",
            show_default=False,
            help="Action for masks that cannot take their noise (empty, full, vanishing, "
            "out-of-view, too-small): keep them clean (default), skip the case, or fail. "
            "Repeatable.",
        ),
    ] = None,
    processes: Annotated[int, num_processes_option(least=None)] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would change, and write nothing.")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Also write a picture of clean and noisy outlines, preview/noise_preview.png.",
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Allow a DST that is not empty: replace files of the same name, and delete those "
            "of cases that --policy skips.",
        ),
    ] = False,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify", metavar="DST", help="Only check the masks in DST against its manifest."
        ),
    ] = None,
) -> None:
    """Corrupt masks on purpose, and record the changes of each.

    Use it to measure how much bad masks harm a training. DST has the names and
    formats of SRC. Masks that are not chosen are copied. If SRC is an nnU-Net
    data set, DST is one too, with clean labels in labelsTr_clean.
    noise_manifest.csv and .json list the requested and achieved noise of each
    mask.

    round(eta_alpha n) of n masks are chosen, and a larger --eta-alpha corrupts
    the same masks in the same way, and further ones. --method published rounds
    down, and its noise changes with --eta-alpha. In label maps every class is
    corrupted; if two classes then overlap, the higher label wins.

    The same seed gives the same noise in any order and with any -np. If a run
    was killed, the same command resumes it.
    """
    if verify is not None:
        _verify(verify)
        return
    if source is None or eta_alpha is None or eta_beta is None or (target is None and not dry_run):
        raise typer.BadParameter("SRC, DST, --eta-alpha and --eta-beta are needed")
    from anl_seg.cli.progress import track
    from anl_seg.noise import NoiseSettings, corrupt_masks, find_method, rehearse

    settings = NoiseSettings(
        eta_alpha=eta_alpha,
        eta_beta=eta_beta,
        seed=seed,
        method=find_method(method),
        kinds=tuple(kind.strip() for kind in kinds.split(",")),
        millimetres=millimetres,
        ignore_label=ignore_label,
        threshold=threshold,
        policies=_policies(policy or []),
    )
    if dry_run:
        summary = rehearse(source, settings, processes=processes, track=track)
        _print_summary(summary, eta_beta, "would be corrupted; nothing is written.")
    elif target is not None:
        content = corrupt_masks(
            source, target, settings, processes=processes, overwrite=overwrite, track=track
        )
        _print_summary(content["summary"], eta_beta, "corrupted.")
        _print_files(content, target)
        if preview:
            from anl_seg.noise.preview import write_preview

            print(f"Preview: {write_preview(source, target)}")


def _policies(given: list[str]) -> dict[str, str]:
    """Parse `SITUATION=POLICY`, or `POLICY` for all situations; the last one counts."""
    from anl_seg.noise import SITUATIONS

    policies = {}
    for each in given:
        situation, equals, policy = each.rpartition("=")
        policies.update(dict.fromkeys([situation] if equals else SITUATIONS, policy))
    return policies


def _print_summary(summary: dict[str, Any], eta_beta: float, done: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("noise", "objects", "requested", "achieved", "lowest", "highest")
    for kind, part in {**summary["kinds"], "all": summary["eta_beta"]}.items():
        if part["cases"]:
            achieved = (f"{part[name]:.3f}" for name in ("mean", "min", "max"))
            table.add_row(kind, str(part["cases"]), f"{eta_beta:g}", *achieved)
    Console().print(table)
    print(f"{summary['corrupted']} of {summary['cases']} masks {done}")
    if summary["left_clean"]:
        print(f"{summary['left_clean']} more were chosen but cannot take their noise: kept clean.")
    if summary["skipped"]:
        print(f"{summary['skipped']} cases cannot take their noise: omitted.")
    if summary["off_level"]:
        print(f"Objects whose achieved noise differs by more than 0.01: {summary['off_level']}.")
    if summary["vanished"]:
        print(f"Objects that vanished under other classes or out of view: {summary['vanished']}.")
    if any(summary["situations"].values()):
        counts = (f"{name} {count}" for name, count in summary["situations"].items() if count)
        print(f"Why: {', '.join(counts)}.")


def _print_files(content: dict[str, Any], target: Path) -> None:
    from anl_seg.formats.noise_manifest import CSV_NAME

    if content["left_out"]:
        print(f"{len(content['left_out'])} files that are not masks were not copied.")
    print(f"Each case: {target / CSV_NAME}")


def _verify(folder: Path) -> None:
    from anl_seg.cli.progress import track
    from anl_seg.errors import CommandFailedError, listed
    from anl_seg.noise import verify

    checked, problems = verify(folder, track)
    if problems:
        raise CommandFailedError(f"{folder}: {listed(problems, 'masks differ')}")
    print(f"{checked} masks match the manifest.")
