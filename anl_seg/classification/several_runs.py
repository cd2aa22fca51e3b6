"""Several runs, one after another or in parallel processes, and their means."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path

import torch

from anl_seg.classification.distributed import Ranks
from anl_seg.classification.run import Result, run
from anl_seg.classification.run_files import Epoch
from anl_seg.classification.settings import ClassificationSettings
from anl_seg.errors import InputError
from anl_seg.processes import process_pool, processors
from anl_seg.progress import Track, untracked

DEFAULT_FOLDER = Path("runs")

#: Settings of a run, its folder and its result.
Done = tuple[ClassificationSettings, Path, Result]
Tell = Callable[[str], None]


def folders(
    runs: Sequence[ClassificationSettings], output: Path | None
) -> dict[Path, ClassificationSettings]:
    """Assign a folder to each run: `output` for a single run, else a subfolder named after it.

    Raises:
        InputError: If two runs are the same.
    """
    if len(runs) == 1 and output is not None:
        return {output: runs[0]}
    placed = {(output or DEFAULT_FOLDER) / settings.name: settings for settings in runs}
    if len(placed) < len(runs):
        raise InputError("a loss or a seed is given twice; give each of them once")
    return placed


def run_all(
    runs: Mapping[Path, ClassificationSettings],
    *,
    parallel: int = 1,
    overwrite: bool = False,
    compiled: bool | None = None,
    ranks: Ranks | None = None,
    track: Track = untracked,
    tell: Tell,
) -> list[Done]:
    """Do the runs, and report each epoch of a single run, or the end of each of several runs.

    Args:
        runs: Settings by folder.
        parallel: Number of runs at a time, each in its own process. They share the device.
        overwrite: Whether runs in these folders are deleted first.
        compiled: Whether to use `torch.compile`; see `anl_seg.classification.run` for the default.
        ranks: Rank of this process among several, which all make the call.
        track: Wrapper of the epochs or runs that shows progress.
        tell: Function that prints a line of text.

    Returns:
        The runs in the given order.

    Raises:
        InputError: If a run is impossible. Runs that have not begun are then skipped.
    """
    ranks = ranks or Ranks()
    if parallel > 1 and ranks.world > 1:
        raise InputError(
            "torchrun distributes one run, -np does several runs at a time; omit one of the two"
        )
    train = partial(run, overwrite=overwrite, compiled=compiled)
    done = []
    if parallel > 1 and len(runs) > 1:
        for item in _in_processes(train, runs, parallel, track):
            done.append(item)
            tell(_end_of_run(*item))
        order = list(runs)
        return sorted(done, key=lambda item: order.index(item[1]))
    report = None if len(runs) > 1 else lambda epoch: tell(_end_of_epoch(epoch))
    for folder, settings in runs.items():
        result = train(settings, folder, ranks=ranks, track=track, report=report)
        done.append((settings, folder, result))
        if ranks.is_first:
            tell(_end_of_run(*done[-1]))
    return done


def summarize(done: Sequence[Done]) -> str:
    """Format mean and standard deviation (n - 1) of the last test accuracy over seeds, by loss."""
    by_loss: dict[str, list[float]] = {}
    for settings, _, result in done:
        by_loss.setdefault(settings.loss, []).append(100 * result.last)
    width = max(map(len, by_loss))
    lines = []
    for loss, accuracies in by_loss.items():
        spread = f"±{statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        seeds = f"{len(accuracies)} seed{'s' if len(accuracies) > 1 else ''}"
        lines.append(f"{loss:{width}}  {statistics.mean(accuracies):.2f}{spread} %  ({seeds})")
    return "\n".join(["Test accuracy after the last epoch:", *lines])


def _in_processes(
    train: Callable[[ClassificationSettings, Path], Result],
    runs: Mapping[Path, ClassificationSettings],
    parallel: int,
    track: Track,
) -> Iterator[Done]:
    """Yield runs as they end; CPU threads are shared evenly."""
    threads = max(1, processors() // parallel)
    with process_pool(parallel, torch.set_num_threads, threads) as pool:
        assert pool is not None  # one run at a time needs no pool
        futures = {
            pool.submit(train, settings, folder): (settings, folder)
            for folder, settings in runs.items()
        }
        ended = as_completed(futures)
        for _ in track(range(len(runs)), f"{len(runs)} runs"):
            future = next(ended)
            yield *futures[future], future.result()


def _end_of_epoch(epoch: Epoch) -> str:
    shares = {
        "test": epoch.test_accuracy,
        "clean": epoch.clean_accuracy,
        "mislabelled": epoch.mislabelled_accuracy,
    }
    parts = [f"{key} {100 * share:5.2f} %" for key, share in shares.items() if share is not None]
    return f"epoch {epoch.epoch:3d}  " + "  ".join(parts) + f"  loss {epoch.loss:.4f}"


def _end_of_run(settings: ClassificationSettings, folder: Path, result: Result) -> str:
    return (
        f"{folder}: {settings.loss}, seed {settings.seed}: last {100 * result.last:.2f} %, "
        f"best {100 * result.best:.2f} % (epoch {result.best_epoch})"
    )
