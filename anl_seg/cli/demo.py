"""`anl-seg demo`: from bad masks to a report, on a phantom or on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: Defaults of `DemoSettings`, which is slow to import.
DEFAULT_SIZE, DEFAULT_EPOCHS, DEFAULT_ITERATIONS = 64, 30, 40

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg demo",
    "anl-seg demo --data ISIC_FOLDER --size 128 --epochs 20 -o demo-isic",
)


def command(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for data, logs and report.")
    ] = Path("anl-seg-demo"),
    data: Annotated[
        Path | None,
        typer.Option(help="Folder in the layout of ISIC-2017. Default: a phantom."),
    ] = None,
    size: Annotated[
        int, typer.Option(min=32, help="Width and height of the images in pixels.")
    ] = DEFAULT_SIZE,
    epochs: Annotated[int, typer.Option(help="Epochs of each of the two trainings.")] = (
        DEFAULT_EPOCHS
    ),
    iterations: Annotated[int, typer.Option(help="Training steps per epoch.")] = (
        DEFAULT_ITERATIONS
    ),
    seed: Annotated[int, typer.Option(help="Seed of phantom, noise and training.")] = 1,
    device: Annotated[
        str | None,
        typer.Option("-device", "--device", help="cpu, cuda or mps. Default: cuda if available."),
    ] = None,
) -> None:
    """Corrupt masks, train nnU-Net on them with its own loss and with ours, and compare both.

    The report compares both on clean test images, and shows how much of the
    noise each training memorised. The demo takes some minutes on two cores. If
    it was stopped, the same command resumes it.
    """
    import logging

    from anl_seg.cli.progress import track
    from anl_seg.devices import choose_device
    from anl_seg.experiments.segmentation.demo import DemoSettings, run_demo

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("anl_seg").setLevel(logging.INFO)
    settings = DemoSettings(
        data=str(data) if data else None,
        size=size,
        epochs=epochs,
        iterations=iterations,
        seed=seed,
    )
    report = run_demo(output, settings, choose_device(device), track)
    print(f"report: {report.resolve()}")
