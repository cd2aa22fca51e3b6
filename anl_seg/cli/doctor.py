"""`anl-seg doctor`: checks of the installation, with advice on repairs."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = (
    "anl-seg doctor",
    "anl-seg doctor --fix",
)


def command(
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair the installation first: delete files that earlier versions of anl-seg "
            "left among nnU-Net's, and make nnU-Net find our trainers.",
        ),
    ] = False,
) -> None:
    """Check anl-seg, torch, nnU-Net, our trainer and variables; exit code 1 if one is wrong."""
    from anl_seg.trainers.installation import checks, repair

    if fix:
        for done in repair():
            print(f"fixed {done}")
    wrong = 0
    for check in checks():
        mark = "ok   " if check.cure is None else "WRONG"
        print(f"{mark} {check.name}: {check.found}")
        if check.cure is not None:
            wrong += 1
            print(f"      cure: {check.cure}")
    if wrong:
        print(f"{wrong} problem{'s' if wrong > 1 else ''} found")
        raise typer.Exit(1)
    print("all is well: nnUNetv2_train DATASET CONFIGURATION FOLD -tr nnUNetTrainerANL")
