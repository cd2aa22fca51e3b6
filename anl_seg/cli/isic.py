"""`anl-seg isic`: the ISIC-2017 challenge's own layout to an nnU-Net raw data set."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Threshold


class TestSet(str, Enum):
    """Choices of --test."""

    test = "test"
    validation = "validation"


EXAMPLES = (
    "anl-seg isic ISIC-2017 -d 501 --download",
    "anl-seg isic ISIC-2017 -d 502 --name ISIC2017val --test validation --size 512",
)


def command(
    src: Annotated[
        Path,
        typer.Argument(
            help="Folder that holds ISIC-2017_Training_Data and the challenge's other folders."
        ),
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
        typer.Option("--output", "-o", help="Folder for the data set. Default: $nnUNet_raw."),
    ] = None,
    download: Annotated[
        bool,
        typer.Option("--download", help="First fetch the official archives into SRC and unpack."),
    ] = False,
    test: Annotated[
        TestSet,
        typer.Option("--test", help="Official set that becomes the test set (imagesTs, labelsTs)."),
    ] = TestSet.test,
    threshold: Threshold = None,
) -> None:
    """Convert ISIC-2017, in the challenge's own layout, to an nnU-Net raw data set.

    Images and masks become PNG files of one size. Masks are read as they look on a screen.
    """
    from anl_seg.cli.progress import track
    from anl_seg.datasets import isic2017
    from anl_seg.formats import nnunet as nnunet_raw

    raw = nnunet_raw.raw_folder(output)
    dst = nnunet_raw.new_dataset_folder(raw, dataset_id, name)
    if download:
        isic2017.download(src, test=test.value, track=track)
    done = isic2017.convert(src, dst, size=size, test=test.value, threshold=threshold, track=track)

    n_test = f"{done.n_test} test" if done.n_test else "no test"
    print(f"{dst}: {done.n_training} training and {n_test} pairs, {size}x{size}")
    if done.ignored:
        print(f"ignored in {src}: {', '.join(done.ignored)}")
    if output is not None:
        print(f"for nnU-Net: export nnUNet_raw={raw.resolve()}")
    print(f"next: nnUNetv2_plan_and_preprocess -d {dataset_id} -c 2d --verify_dataset_integrity")
