"""`anl-seg tune`: search for the weights of a loss on images held out of training."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anl_seg.cli.choices import set_option
from anl_seg.cli.execution import (
    Execution,
    ExecutorName,
    Gpus,
    Processes,
    Retries,
    Slurm,
)

if TYPE_CHECKING:
    from anl_seg.experiments.search.search import Search
    from anl_seg.experiments.search.tune import Trial

#: Shown at the end of --help.
EXAMPLES = (
    "anl-seg tune --dataset digits --noise symmetric --eta 0.8 -o tuning",
    "anl-seg tune --kind segmentation --data ISIC_FOLDER --set small=true -o tuning",
)


class KindChoice(str, Enum):
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
    kind: Annotated[KindChoice, typer.Option(help="Kind of the runs.")] = KindChoice.classification,
    loss: Annotated[
        str, typer.Option(help="Name of the loss; `anl-seg losses` lists them.")
    ] = "anl-ce",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Segmentation: a folder in the layout of ISIC-2017. Default: the phantom. "
            "Classification: folder of the data set, as for `anl-seg classify`."
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Classification: data set, as for `anl-seg classify`. Default: digits."),
    ] = None,
    noise: Annotated[
        str | None, typer.Option(help="Classification: noise, as for `anl-seg classify`.")
    ] = None,
    eta: Annotated[
        float | None, typer.Option(help="Classification: share of wrong labels, from 0 to 1.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the runs and of the search.")] = 1,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="NAME[=LOW:HIGH]",
            help="A hyper-parameter to search, on a logarithmic scale. Default: alpha=0.1:50, "
            "beta=0.1:50 and lambda=0.01:10, if the loss has them. This option adds a range or "
            "changes one. delta alone means delta=1e-7:1e-3, the L1 weight. May be repeated.",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        set_option(
            "A setting of all runs: a fixed hyper-parameter, epochs, device; validation "
            "(share of the training images held out, 0.2), labels, human; for segmentation fold "
            "(held out, 0), protocol, size, small, eta_alpha, eta_beta."
        ),
    ] = None,
    sampler: Annotated[
        Sampler,
        typer.Option(help="Optuna's TPE, or the paper's grid: 0.1, 0.5, 1, 5 and 10."),
    ] = Sampler.tpe,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Number of trials in all. Default: 25, or the whole grid."),
    ] = None,
    objective: Annotated[
        Objective,
        typer.Option(
            help="Labels of the held-out images to compare with: given ones, which may be noisy, "
            "or clean ones, which are known only if anl-seg made the noise."
        ),
    ] = Objective.given,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Database of the study. Default: study.db in -o."),
    ] = None,
    report_only: Annotated[
        bool,
        typer.Option("--report-only", help="Report the search in -o without doing runs."),
    ] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the search and its runs.")
    ] = Path("tuning"),
    executor: ExecutorName = "local",
    processes: Processes = None,
    gpus: Gpus = None,
    slurm: Slurm = None,
    retries: Retries = 1,
) -> None:
    """Search for alpha and beta (lambda, delta) of a loss on held-out training images.

    The search never looks at test images. Each trial is a run with its own folder
    in -o; -np trials are done at a time. If a search was stopped, or trials failed,
    the same command resumes it and tries failed trials again. A larger --trials
    continues a finished search.

    By default held-out images are scored with the given labels, because real
    data have no others. Noise in them lowers every result and blurs differences,
    so hold out more images if the noise is strong. The folder will contain
    trials.csv, and the surface as surface.png and surface.pdf.
    """
    from anl_seg.experiments.search.search import make_search, parse_ranges
    from anl_seg.experiments.search.tune import read_tuning, tune

    if report_only:
        _report(output, *read_tuning(output, storage))
        return
    from anl_seg.cli.standings import watching
    from anl_seg.errors import InputError
    from anl_seg.experiments.parsing import given_settings

    options = {"--loss": loss, "--seed": seed, "--data": data}
    of_classifiers = {"--dataset protocol": dataset, "--noise": noise, "--eta": eta}
    if kind is KindChoice.segmentation:
        for option, value in of_classifiers.items():
            if value is not None:
                raise InputError(
                    f"{option.split()[0]} is for --kind classification; a segmentation has "
                    "--set protocol=NAME, --set eta_alpha=SHARE and --set eta_beta=SHARE"
                )
    search = make_search(
        kind.value,
        given_settings(options | of_classifiers, values or []),
        parse_ranges(ranges or []),
        objective.value,
    )
    execution = Execution(executor, processes, gpus, slurm or (), retries)
    doer = execution.make_executor(output)
    with watching(execution.parallel) as watch:
        found = tune(
            output,
            search,
            doer,
            trials=trials,
            parallel=execution.parallel,
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
