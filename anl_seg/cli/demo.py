"""`anl-seg demo`: the main job from bad masks to a report, on a phantom or on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for data, logs and report.")
    ] = Path("anl-seg-demo"),
    data: Annotated[
        Path | None,
        typer.Option(help="Real data in the ISIC-2017 layout, instead of the phantom."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Epochs of each of the two trainings.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of phantom, noise and training.")] = 1,
    device: Annotated[
        str | None,
        typer.Option("-device", help="cpu, cuda or mps (default: cuda if there is one)."),
    ] = None,
) -> None:
    """Corrupt training masks, train nnU-Net with its own loss and with ANL-CE, compare the two.

    Takes some minutes on two cores and goes on where it stopped when it is called again.
    """
    import logging

    import torch

    from anl_seg.cli.progress import track
    from anl_seg.experiments.segmentation.demo import DemoSettings, run_demo

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("anl_seg").setLevel(logging.INFO)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = DemoSettings(data=str(data) if data else None, epochs=epochs, seed=seed)
    report = run_demo(output, settings, device, track)
    print(f"report: {report.resolve()}")
