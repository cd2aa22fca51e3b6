"""nnU-Net's own commands, run as subprocesses with their output in log files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.formats.nnunet import PREPROCESSED, RAW, RESULTS, TRAINER
from anl_seg.processes import processors, program_ends_with_parent

LOG_TAIL_LINES = 15
#: With nnU-Net's default of 8, every process imports torch, which costs minutes on two cores.
WORKERS = min(8, processors())


@dataclass(frozen=True)
class NnUNet:
    """A configuration of nnU-Net, with its three folders and the logs.

    Attributes:
        root: Folder of nnUNet_raw and nnUNet_preprocessed.
        device: "cpu", "cuda" or "mps", as for nnU-Net's `-device`.
        output: Folder of nnUNet_results and logs; by default `root`.
        configuration: Such as "2d" or "3d_fullres".
        workers: Number of processes that preprocess.
    """

    root: Path
    device: str
    output: Path | None = None
    configuration: str = "2d"
    workers: int = WORKERS

    @property
    def raw(self) -> Path:
        """Folder of raw data sets."""
        return self.root / RAW

    @property
    def preprocessed(self) -> Path:
        """Folder of preprocessed data sets and plans."""
        return self.root / PREPROCESSED

    @property
    def results(self) -> Path:
        """Folder of trained networks."""
        return (self.output or self.root) / RESULTS

    def trained(self, dataset_name: str, plans: str, fold: str = "all") -> Path:
        """Return the folder that `train` writes to."""
        return self.model(dataset_name, plans) / f"fold_{fold}"

    def model(self, dataset_name: str, plans: str) -> Path:
        """Return the folder that holds the folds of `train`."""
        return self.results / dataset_name / f"{TRAINER}__{plans}__{self.configuration}"

    def plan(self, dataset: int) -> None:
        """Check a raw data set and write its plans, without preprocessing its images."""
        command = ["nnUNetv2_plan_and_preprocess", "-d", dataset, "-c", self.configuration]
        command += ["--no_pp", "-npfp", self.workers, "--verify_dataset_integrity"]
        deque(self._lines(f"plan_{dataset}", command), maxlen=0)

    def preprocess(self, dataset: int, plans: str) -> None:
        """Preprocess the images of a raw data set with plans."""
        command = ["nnUNetv2_preprocess", "-d", dataset, "-c", self.configuration]
        command += ["-plans_name", plans, "-np", self.workers]
        deque(self._lines(f"preprocess_{dataset}", command), maxlen=0)

    def train(
        self,
        dataset: int,
        plans: str,
        fold: str = "all",
        *,
        softmax: bool = False,
        short: bool = False,
    ) -> Iterator[int]:
        """Train, or resume a stopped training, and yield the number of every epoch as it begins.

        The data are loaded in one process, because with several a seed does not fix their order.

        Args:
            dataset: Id of the data set.
            plans: Name of the plans.
            fold: The fold whose cases are held out, or "all".
            softmax: Whether the final validation saves probabilities too.
            short: Whether not to compile the network unless nnUNet_compile is set, because that
                would take longer than the training.
        """
        command = ["nnUNetv2_train", dataset, self.configuration, fold, "-tr", TRAINER, "-p", plans]
        command += ["-device", self.device, "--c", *(["--npz"] if softmax else [])]
        variables = {"nnUNet_n_proc_DA": "0"}
        if short:
            variables["nnUNet_compile"] = os.environ.get("nnUNet_compile", "F")
        for line in self._lines(f"train_{plans}_{fold}", command, variables):
            if epoch := re.search(r": Epoch (\d+)\s*$", line):
                yield int(epoch[1])

    def predict(
        self, dataset: int, plans: str, images: Path, predictions: Path, fold: str = "all"
    ) -> Iterator[str]:
        """Predict images with the trained network, and yield every case as it begins."""
        command = ["nnUNetv2_predict", "-i", images, "-o", predictions, "-d", dataset]
        command += ["-c", self.configuration, "-f", fold, "-tr", TRAINER, "-p", plans]
        # One process each: small images are quick, and every process imports torch for seconds.
        command += ["-device", self.device, "-npp", 1, "-nps", 1]
        for line in self._lines(f"predict_{plans}", command):
            if case := re.match(r"Predicting (\S+):", line):
                yield case[1]

    def time_steps(self, dataset: int, plans: str, fold: str) -> dict[str, float]:
        """Measure the steps of a training that is planned, as `anl_seg.trainers.timing` does.

        Args:
            dataset: Id of the data set.
            plans: Name of the plans.
            fold: The fold to train.

        Returns:
            The fields of `anl_seg.trainers.timing.Timing` by name.
        """
        command = [sys.executable, "-m", "anl_seg.trainers.timing", dataset, plans]
        command += [self.configuration, fold, self.device]
        *_, last = self._lines(f"timing_{plans}", command)
        found: dict[str, float] = json.loads(last)
        return found

    def _lines(
        self, name: str, command: Sequence[object], variables: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Run a command, yield the lines that it prints, and write them to logs/NAME.txt.

        Raises:
            CommandFailedError: If it ends with an error.
            InputError: If there is no such command.
        """
        script, *arguments = map(str, command)
        program = Path(sysconfig.get_path("scripts"), script)
        if not program.is_file():
            raise InputError(
                f"{program}: no such command; install nnU-Net and anl-seg into the same environment"
            )
        log = (self.output or self.root) / "logs" / f"{name}.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with (
            log.open("w", encoding="utf-8") as file,
            subprocess.Popen(
                [program, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=self._environment() | dict(variables or {}),
                preexec_fn=program_ends_with_parent(),
            ) as process,
        ):
            try:
                for line in process.stdout or ():
                    file.write(line)
                    file.flush()
                    yield line
            except BaseException:
                process.terminate()  # the caller closed the iterator, so the result is not wanted
                raise
        if process.returncode:
            tail = "".join(
                log.read_text(encoding="utf-8").splitlines(keepends=True)[-LOG_TAIL_LINES:]
            )
            raise CommandFailedError(
                f"{script} ended with exit code {process.returncode}; the end of {log}:\n{tail}"
            )

    def _environment(self) -> dict[str, str]:
        variables = {"PYTHONUNBUFFERED": "1", "nnUNet_def_n_proc": str(self.workers)}
        for folder in (self.raw, self.preprocessed, self.results):
            folder.mkdir(parents=True, exist_ok=True)
            variables[folder.name] = str(folder.resolve())
        variables = os.environ | variables
        variables.pop("nnUNet_n_proc_DA", None)  # 0, for reproducible trainings, breaks planning
        return variables
