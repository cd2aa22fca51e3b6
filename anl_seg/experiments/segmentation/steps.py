"""Work in steps that a stopped command resumes, and the two methods that demo and trial compare."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from anl_seg.bf16 import has_bf16
from anl_seg.errors import InputError, named
from anl_seg.formats.files import write_json, write_text
from anl_seg.formats.text import read_json
from anl_seg.trainers.settings import NNUNET_LOSS, TrainerSettings

log = logging.getLogger(__name__)

#: Our trainer, as the trials name it.
OURS = "anl-seg"
#: Settings of each compared method, the baseline first. {} is our default.
COMPARED_METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"nnU-Net": {"loss": NNUNET_LOSS}, OURS: {}}
)


def fast_precision(device: str) -> str:
    """Return "bf16" on a CPU that has it, because its steps are three times as fast."""
    return "bf16" if device == "cpu" and has_bf16(device) else "float32"


def precision_of_network(precision: str, device: str) -> str:
    """Name the precision of the network. On a GPU "float32" is float16 with nnU-Net's autocast."""
    return "float16" if device == "cuda" and precision == "float32" else precision


def trainings(
    epochs: int, iterations: int, seed: int, precision: str
) -> dict[str, TrainerSettings]:
    """Return the settings of each method's training: method -> settings.

    Args:
        epochs: Epochs of each training.
        iterations: Training steps in an epoch.
        seed: Seed of all trainings.
        precision: "float32" or "bf16".

    Raises:
        InputError: If a value is impossible.
    """
    shared = {"epochs": epochs, "iterations": iterations, "seed": seed, "precision": precision}
    return {name: TrainerSettings(**{**shared, **own}) for name, own in COMPARED_METHODS.items()}


def plans_name(method: str) -> str:
    """Return the name of a method's plans.

    Examples:
        >>> plans_name("anl-seg")
        'anl_seg'
    """
    return re.sub(r"\W+", "_", method)


def claim(
    folder: Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    begun: bool,
    what: str,
    paths: Collection[str] = (),
) -> None:
    """Write settings into a folder, or check that the work in it began with the same.

    Args:
        folder: The folder of the work.
        name: Name of the file of the settings, such as "demo" for `demo.json`.
        settings: All that the results depend on, as JSON values.
        begun: Whether steps were done that settings must not differ from.
        what: The work in words for errors, such as "demo".
        paths: Settings that are paths, or None. They are equal if they lead to the same place.

    Raises:
        InputError: If the folder holds other files, or work with other settings.
    """
    path = folder / f"{name}.json"
    settings = _with_whole_paths(settings, paths)
    if begun:
        found = _with_whole_paths(read_json(path), paths)
        if other := [key for key in settings if found.get(key) != settings[key]]:
            raise InputError(
                f"{folder} contains a {what} with other settings ({named(other)}), see "
                f"{path.name}; choose another folder with -o"
            )
    elif folder.exists() and any(folder.iterdir()) and not path.exists():
        raise InputError(f"{folder} is not empty and has no {what} in it; choose another with -o")
    else:
        write_json(path, settings)


def _with_whole_paths(settings: Mapping[str, Any], paths: Collection[str]) -> dict[str, Any]:
    given = {name: settings[name] for name in paths if settings.get(name)}
    return {**settings, **{name: str(Path(path).resolve()) for name, path in given.items()}}


def is_done(folder: Path, step: str) -> bool:
    """Tell whether an earlier call did a step to the end."""
    return _mark(folder, step).exists()


def once(folder: Path, step: str, work: Callable[[], object]) -> None:
    """Do a step, unless an earlier call did it to the end.

    Args:
        folder: The folder of the work.
        step: Name of the step, for the log.
        work: Does the step; called again if it was interrupted.
    """
    if is_done(folder, step):
        log.info("%s: already done", step)
        return
    log.info("%s", step)
    start = time.monotonic()
    work()
    seconds = time.monotonic() - start
    mark_done(folder, step, seconds)
    log.info("%s: done in %.0f s", step, seconds)


def mark_done(folder: Path, step: str, seconds: float) -> None:
    """Note that a step is done, and how long it took."""
    write_text(_mark(folder, step), f"{seconds:.1f} s\n")


def _mark(folder: Path, step: str) -> Path:
    return folder / "done" / step.replace(" ", "_")
