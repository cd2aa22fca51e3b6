"""`anl-seg advise`: a small trial on one's own data, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anl_seg.cli.choices import joined_folds, num_processes_option
from anl_seg.formats.nnunet import PLANS

#: As `AdviceSettings` has them, which is slow to import.
DEFAULT_EPOCHS, DEFAULT_ITERATIONS = 15, 50

EXAMPLES = (
    "anl-seg advise -d 510",
    "anl-seg advise -d 510 -c 3d_fullres -f 0 1 --epochs 50 -o ADVICE",
)


def command(
    more_folds: Annotated[list[int] | None, typer.Argument(hidden=True)] = None,
    *,
    dataset: Annotated[str, typer.Option("-d", help="Id or name of a planned nnU-Net data set.")],
    configuration: Annotated[
        str, typer.Option("-c", help="Configuration that you would train.")
    ] = "2d",
    plans: Annotated[str, typer.Option("-p", help="Plans that you would train.")] = PLANS,
    fold: Annotated[
        list[int] | None,
        typer.Option("-f", help="Folds of the trial, as in -f 0 1 2 (default: all)."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the trial and its report.")
    ] = Path("anl-seg-advice"),
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = DEFAULT_EPOCHS,
    iterations: Annotated[int, typer.Option(help="Training steps in an epoch.")] = (
        DEFAULT_ITERATIONS
    ),
    seed: Annotated[int, typer.Option(help="Seed of trainings and intervals.")] = 1,
    device: Annotated[
        str | None,
        typer.Option(
            "-device", "--device", help="cpu, cuda or mps. Default: cuda if there is one."
        ),
    ] = None,
    num_processes: Annotated[
        int | None,
        num_processes_option(
            "Processes that preprocess, measure and draw. Default: as many as processors, at "
            "most 8."
        ),
    ] = None,
) -> None:
    """Try nnU-Net's own loss and our default on your data, and say what the trial shows.

    Trains small networks on the folds of the data set. The report compares both losses on the
    held-out cases, estimates how many masks are wrong, and says how long the full training would
    take. In 2D, all five folds take about 15 minutes on one CPU core. nnU-Net's folders stay as
    they are. The same command resumes a trial that was stopped.
    """
    import logging

    from anl_seg.cli.progress import track
    from anl_seg.devices import choose_device
    from anl_seg.experiments.segmentation.nnunet_commands import WORKERS
    from anl_seg.experiments.segmentation.trial import AdviceSettings, advise
    from anl_seg.experiments.segmentation.trial_report import write_advice

    folds = joined_folds(fold, more_folds, "advise")
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("anl_seg").setLevel(logging.INFO)
    settings = AdviceSettings(
        dataset,
        configuration,
        plans,
        tuple(folds),
        epochs=epochs,
        iterations=iterations,
        seed=seed,
    )
    processes = num_processes or WORKERS
    found = advise(output, settings, choose_device(device), num_processes=processes, track=track)
    page = write_advice(found, output, num_processes=processes, track=track)
    for line in found.lines:
        typer.echo(line)
    typer.echo(f"report: {page.resolve()}")
