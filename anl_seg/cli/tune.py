"""`anl-seg tune`: seek the weights of a loss on images that are held out of training."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.execution import ExecutorName, Executors, Gpus, Retries, Slurm, Workers

if TYPE_CHECKING:
    from anl_seg.experiments.search.tune import Search, Trial


class Kind(str, Enum):
    """Choices of --kind."""

    classification = "classification"
    segmentation = "segmentation"


class Sampler(str, Enum):
    """Choices of --sampler."""

    tpe = "tpe"
    grid = "grid"


class Objective(str, Enum):
    """Choices of --objective."""

    given = "given"
    clean = "clean"


def command(
    kind: Annotated[Kind, typer.Option(help="What is trained.")] = Kind.classification,
    loss: Annotated[str, typer.Option(help="By name, see `anl-seg losses`.")] = "anl-ce",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Of segmentation: a folder in the layout of ISIC-2017, or the phantom. Of "
            "classification: the data set, as for `anl-seg classify`."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Of classification, as for `anl-seg classify`; without it, digits."),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(help="Of classification, as for `anl-seg classify`.")
    ] = None,
    eta: Annotated[
        float | None, typer.Option(help="Of classification: share of wrong labels.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the runs and of the search.")] = 1,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME[=LOW:HIGH]",
            help="What is sought, on a logarithmic scale. Without it alpha=0.1:50, beta=0.1:50 and "
            "lambda=0.01:10, where the loss has them; this adds to them or changes them. delta, "
            "the weight of the L1 penalty, is 1e-7:1e-3 if named. May be repeated.",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Of all runs: a hyper-parameter that is not sought, epochs, device; validation "
            "(share of the training images held out, 0.2), labels, human; of segmentation fold "
            "(held out, 0), protocol, size, small, eta_alpha, eta_beta. May be repeated.",
        ),
    ] = None,
    sampler: Annotated[
        Sampler,
        typer.Option(help="Optuna's TPE; or grid: alpha and beta in 0.1, 0.5, 1, 5, 10."),
    ] = Sampler.tpe,
    trials: Annotated[
        int | None, typer.Option(min=1, help="In all; without it 25, or the whole grid.")
    ] = None,
    objective: Annotated[
        Objective,
        typer.Option(
            help="What predictions for the held-out images are compared with: the labels given, "
            "noisy as they are, or the clean ones, which only a data set with made noise has."
        ),
    ] = Objective.given,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database of the study; without it study.db in -o."),
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing; of the search in -o.")
    ] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of the search and its runs.")
    ] = Path("tuning"),
    executor: ExecutorName = Executors.local,
    workers: Workers = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Seek alpha and beta (lambda, delta) on held-out training images, never on test images.

    Each trial is a run with a folder of its own in OUTPUT, as `anl-seg sweep`
    makes them; -j is how many are done at a time. The same command again goes
    on where it was stopped, and with more --trials further.

    By default the held-out images are judged by the labels given: all that one
    has of real data. Wrong labels lower every figure and blur differences, so
    hold out many images where the noise is strong. OUTPUT gets trials.csv and
    the surface as a picture, surface.png and surface.pdf.
    """
    from anl_seg.experiments.search.tune import make_search, parse_ranges, read_tuning

    if report_only:
        _report(output, *read_tuning(output, storage))
        return
    from anl_seg.cli.standings import watching
    from anl_seg.experiments.runs.executors import at_once, make_executor
    from anl_seg.experiments.search.tune import tune
    from anl_seg.experiments.tables.plan import parse_settings

    named = {"loss": loss, "protocol": dataset, "noise": noise, "eta": eta, "seed": seed}
    settings = {name: value for name, value in named.items() if value is not None}
    if data is not None:
        settings["data"] = str(data)
    search = make_search(
        kind.value,
        settings | parse_settings(values or []),
        parse_ranges(ranges or []),
        objective.value,
    )
    workers = at_once(workers, gpus)
    doer = make_executor(executor.value, output, workers=workers, gpus=gpus, slurm=slurm or ())
    with watching(workers) as watch:
        found = tune(
            output,
            search,
            doer,
            trials=trials,
            parallel=workers,
            sampler=sampler.value,
            retries=retries,
            storage=storage,
            watch=watch,
        )
    _report(output, search, found)


def _report(output: Path, search: Search, trials: list[Trial]) -> None:
    from anl_seg.errors import CommandFailedError
    from anl_seg.experiments.runs.sweep import failures, standings
    from anl_seg.experiments.search.report import in_words, write_report

    print(in_words(search, trials))
    failed = failures(standings(trial.folder for trial in trials if trial.failed))
    if failed and all(trial.failed for trial in trials):
        raise CommandFailedError(f"all trials failed:\n{failed}")
    if failed:
        print(failed)
    for path in write_report(output, search, trials):
        print(path)
