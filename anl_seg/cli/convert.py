"""`anl-seg convert`: a folder of images and a folder of masks to an nnU-Net raw data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import Threshold, num_processes_option

EXAMPLES = (
    "anl-seg convert photos masks -d 510 --name Lesions --test-share 0.2",
    "anl-seg convert scans labels -d 511 --colors colors.csv",
)


def command(
    images: Annotated[
        Path, typer.Argument(help="Folder of images: PNG, JPEG, TIFF or NIfTI.", show_default=False)
    ],
    masks: Annotated[
        Path, typer.Argument(help="Folder of masks with the same names.", show_default=False)
    ],
    dataset_id: Annotated[
        int,
        typer.Option("--dataset-id", "-d", min=1, max=999, help="Id of the new data set."),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Name of the new data set, after its id.")
    ] = "Own",
    threshold: Threshold = None,
    colors: Annotated[
        Path | None,
        typer.Option(
            "--colors",
            help="Masks in colour: a CSV file with the columns name and color, background first.",
        ),
    ] = None,
    test_share: Annotated[
        float, typer.Option("--test-share", help="Share of the pairs that become test cases.")
    ] = 0.0,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the choice of test cases.")
    ] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the data set's folder goes; else $nnUNet_raw."),
    ] = None,
    num_processes: Annotated[int, num_processes_option("Processes of nnU-Net's check.")] = 2,
) -> None:
    """Make an nnU-Net data set from your own images and masks.

    Images and masks are paired by their names. If all masks have an ending of their own, such as
    lesion_01_mask.png for lesion_01.jpg, it is ignored. Masks of 0 and 255 become 0 and 1. Photos
    are turned as viewers show them. At the end, nnU-Net's own integrity check runs; if it fails,
    nothing is written.
    """
    from anl_seg.cli.progress import track
    from anl_seg.datasets import image_folders
    from anl_seg.datasets.raw_dataset_writer import PICTURE
    from anl_seg.formats import nnunet
    from anl_seg.trainers.integrity import check_integrity

    raw = nnunet.raw_folder(output)
    dst = nnunet.new_dataset_folder(raw, dataset_id, name)
    done = image_folders.convert(
        images,
        masks,
        dst,
        threshold=threshold,
        colours=image_folders.read_colours(colors) if colors else None,
        test_share=test_share,
        seed=seed,
        check=lambda folder: check_integrity(folder, num_processes),
        track=track,
    )
    print(f"{dst}: {done.n_training} training and {done.n_test} test pairs")
    print("labels: " + ", ".join(f"{value} {label}" for label, value in done.labels.items()))
    if output is not None:
        print(f"for nnU-Net: export nnUNet_raw={raw.resolve()}")
    pictures = any((dst / nnunet.IMAGES).glob(f"*{PICTURE}"))
    print(f"next: nnUNetv2_plan_and_preprocess -d {dataset_id}{' -c 2d' if pictures else ''}")
