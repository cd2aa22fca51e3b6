"""`anl-seg noise`: corrupt masks, or the labels of a whole nnU-Net data set, to order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Folder of binary masks (0/1 or 0/255), or nnU-Net raw data set.",
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="New folder for the noisy copy of SRC.")
    ],
    eta_alpha: Annotated[
        float, typer.Option("--eta-alpha", help="Share of the masks to corrupt, from 0 to 1.")
    ],
    eta_beta: Annotated[
        float,
        typer.Option(
            "--eta-beta",
            help="Noise in each: changed pixels over foreground pixels, between 0 and 1.",
        ),
    ],
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another noise.")] = 0,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Allow a DST that is not empty: replace files of the same name, delete nothing.",
        ),
    ] = False,
) -> None:
    """Corrupt masks by erosion, dilation and displacement, and say what was done.

    DST takes the names and formats of SRC, masks that stay clean included.
    Made from an nnU-Net data set, it is one that trains at once, with the
    clean labels in labelsTr_clean. What was asked and what was achieved for
    each case stands in noise_manifest.csv and noise_manifest.json.

    round(eta_alpha n) of n masks are chosen; one that cannot take its noise
    (an empty one, say) stays clean and is counted.

    The same seed gives the same noise in any order and on any machine. A
    larger --eta-alpha corrupts the same masks in the same way, and more.
    """
    from rich.console import Console
    from rich.table import Table

    from anl_seg.cli.progress import track
    from anl_seg.noise import corrupt_masks
    from anl_seg.noise.manifest import CSV_NAME

    content = corrupt_masks(
        source,
        target,
        eta_alpha=eta_alpha,
        eta_beta=eta_beta,
        seed=seed,
        overwrite=overwrite,
        track=track,
    )
    summary = content["summary"]
    table = Table("noise", "masks", "asked", "achieved", "lowest", "highest")
    for kind, part in {**summary["kinds"], "all": summary["eta_beta"]}.items():
        if part["cases"]:
            achieved = (f"{part[name]:.3f}" for name in ("mean", "min", "max"))
            table.add_row(kind, str(part["cases"]), f"{eta_beta:g}", *achieved)
    Console().print(table)
    print(f"{summary['corrupted']} of {summary['cases']} masks corrupted.")
    if summary["left_clean"]:
        print(f"{summary['left_clean']} more were chosen but cannot take their noise: left clean.")
    if content["left_out"]:
        print(f"{len(content['left_out'])} files that are no masks were left out.")
    print(f"Case by case: {target / CSV_NAME}")
