"""Runs commands of nnU-Net and anl-seg, each in a process of its own that has the imports done.

A new process imports torch and nnU-Net for many seconds. Here a server process imports them once
and forks for each command, which then runs its own entry point.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.dummy
import os
import shlex
import sys
import threading
from importlib.metadata import entry_points
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

IMPORTED = [
    "nnunetv2.ensembling.ensemble",
    "nnunetv2.evaluation.find_best_configuration",
    "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
    "nnunetv2.run.run_training",
    "anl_seg.trainers.variants",
]


def forget_server() -> None:
    """End the server process of this one, so that the next one sees variables and imports anew."""
    forkserver._forkserver._stop()


def start(line: str, log: Path) -> BaseProcess:
    """Start a command; what it prints is added to `log`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    process = context.Process(target=_command, args=(shlex.split(line), log))
    process.start()
    return process


def run(line: str, log: Path) -> None:
    """Run a command, and check that it succeeds."""
    process = start(line, log)
    process.join()
    assert process.exitcode == 0, f"{line}\n{log.read_text()}"


def _command(arguments: list[str], log: Path) -> None:
    with log.open("ab") as stream:
        for output in (sys.stdout, sys.stderr):
            os.dup2(stream.fileno(), output.fileno())
    sys.argv = arguments
    if arguments[0] == "nnUNetv2_train":  # nnU-Net's planner cannot do with 0
        os.environ["nnUNet_n_proc_DA"] = "0"
    # nnU-Net's processes become threads, which need no imports either; torch's threads would wait
    # for each other more than they compute.
    threads = SimpleNamespace(Pool=multiprocessing.dummy.Pool, Process=threading.Thread)
    multiprocessing.get_context = lambda method: threads
    multiprocessing.cpu_count = lambda: 1
    (command,) = entry_points(group="console_scripts", name=arguments[0])
    command.load()()
