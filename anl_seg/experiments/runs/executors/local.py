"""Execution of runs on this machine in parallel processes that share the GPUs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue

from anl_seg.errors import InputError
from anl_seg.experiments.runs.executors.executor import ExecutorOptions
from anl_seg.processes import end_with_parent, processors

#: Modules imported once by the fork server of the runs, because most take seconds.
PRELOADED = (
    *("anl_seg.experiments.runs.worker", "torch._dynamo", "sklearn.datasets", "tensorboardX"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
)


def make(root: Path, options: ExecutorOptions) -> LocalExecutor:
    """Create the executor, which is the same for every folder of runs.

    Raises:
        InputError: If options are for another executor, or `gpus` are not numbers.
    """
    if options.slurm:
        raise InputError("--slurm needs --executor slurm; add it, or omit --slurm")
    return LocalExecutor(options.workers, _numbers(options.gpus))


def in_queue(root: Path) -> set[Path]:
    """Return no runs, because the records of other processes' runs show that they are running."""
    return set()


def at_once(workers: int | None, gpus: str | None) -> int:
    """Return the number of runs at a time: `workers`, or the number of GPUs, or one.

    Raises:
        InputError: If `gpus` are not numbers.
    """
    return workers or len(_numbers(gpus) or [0])


def _numbers(gpus: str | None) -> list[int] | None:
    if gpus is None:
        return None
    try:
        return [int(number) for number in gpus.split(",")]
    except ValueError as error:
        raise InputError(f"--gpus takes numbers such as 0,1,2, got {gpus!r}") from error


class LocalExecutor:
    """Executor of up to `workers` runs at a time on this machine.

    Args:
        workers: Number of runs at a time.
        gpus: Numbers of the GPUs, one for each run at a time. If there are more workers than GPUs,
            they share them. None leaves all GPUs to every run.
    """

    runs_here = True

    def __init__(self, workers: int = 1, gpus: Sequence[int] | None = None) -> None:
        self._context = _context()
        self._threads = ThreadPoolExecutor(workers)
        self._cores = max(1, processors() // workers)
        self._gpus: SimpleQueue[int | None] = SimpleQueue()
        for number in range(workers):
            self._gpus.put(gpus[number % len(gpus)] if gpus else None)
        self._futures: dict[Path, Future[None]] = {}
        self._processes: set[BaseProcess] = set()
        self._stopping = False

    def start(self, folders: Sequence[Path]) -> None:
        """Start the runs in `folders`, which contain their records."""
        for folder in folders:
            self._futures[folder] = self._threads.submit(self._do, folder)

    def pending(self, folders: Sequence[Path]) -> set[Path]:
        """Return the folders whose runs were started and have not ended."""
        begun = {folder: self._futures.get(folder) for folder in folders}
        return {folder for folder, future in begun.items() if future and not future.done()}

    def stop(self) -> None:
        """End all running runs. They can be resumed later."""
        self._stopping = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in list(self._processes):
            process.terminate()
        self._threads.shutdown(wait=True)

    def _do(self, folder: Path) -> None:
        gpu = self._gpus.get()
        process = self._context.Process(target=_work, args=(folder, self._cores, gpu))
        try:
            process.start()
            self._processes.add(process)
            if self._stopping:  # `stop` may have been called before this process was known
                process.terminate()
            process.join()
        finally:
            self._processes.discard(process)
            self._gpus.put(gpu)


def _context() -> SpawnContext | ForkServerContext:
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _work(folder: Path, cores: int, gpu: int | None) -> None:
    """Do a run in this process, with its share of the machine."""
    import torch

    from anl_seg.experiments.runs.worker import work

    end_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    torch.set_num_threads(cores)
    os.environ["OMP_NUM_THREADS"] = str(cores)  # for nnU-Net's commands; the trainer respects it
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    sys.exit(0 if work(folder) else 1)


def _stop(*_: object) -> None:
    """End this process, once: the run's record is written meanwhile, which nothing may interrupt.

    Ctrl-C reaches this process twice: from the terminal, and from `LocalExecutor.stop`.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sys.exit(1)
