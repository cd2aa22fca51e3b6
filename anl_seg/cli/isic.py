"""`anl-seg isic`: the ISIC-2017 challenge's own layout to an nnU-Net raw data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    src: Annotated[
        Path,
        typer.Argument(help="Folder that holds ISIC-2017_Training_Data and its three siblings."),
    ],
    dataset_id: Annotated[
        int, typer.Option("--dataset-id", "-d", min=1, max=999, help="Id of the new data set.")
    ],
    name: Annotated[
        str, typer.Option("--name", help="Name of the new data set, after its id.")
    ] = "ISIC2017",
    size: Annotated[int, typer.Option("--size", min=16, help="Width and height in pixels.")] = 256,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the data set's folder goes; else $nnUNet_raw."),
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="First fetch the official archives into SRC and unpack."),
    ] = False,
) -> None:
    """Convert ISIC-2017, in the challenge's own layout, to an nnU-Net raw data set."""
    from anl_seg.cli.progress import track
    from anl_seg.datasets import isic2017
    from anl_seg.formats import nnunet as nnunet_raw

    raw = nnunet_raw.raw_folder(output)
    dst = nnunet_raw.new_dataset_folder(raw, dataset_id, name)
    if download:
        isic2017.download(src, track=track)
    done = isic2017.convert(src, dst, size=size, track=track)

    test = f"{done.n_test} test" if done.n_test else "no test"
    print(f"{dst}: {done.n_training} training and {test} pairs, {size}x{size}")
    if output is not None:
        print(f"for nnU-Net: export nnUNet_raw={raw.resolve()}")
    print(f"next: nnUNetv2_plan_and_preprocess -d {dataset_id} -c 2d --verify_dataset_integrity")
