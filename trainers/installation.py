"""How nnU-Net finds our trainers on this machine, checked step by step for `anl-seg doctor`."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anl_seg

TRAINER = "nnUNetTrainerANL"
VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, what was found, and the cure where it is wrong."""

    name: str
    found: str
    cure: str | None = None


def discovery_folder() -> Path:
    """Return the folder with the one module that nnU-Net's trainer search is to import."""
    return Path(__file__).resolve().parent / "discovery"


def checks() -> Iterator[Check]:
    """Yield every finding in the order in which one depends on the other."""
    yield Check("python", f"{sys.version.split()[0]} at {sys.executable}")
    yield Check("anl-seg", f"{anl_seg.__version__} at {Path(anl_seg.__file__).parent}")
    imports = [_torch()]
    if imports[0].cure is None:
        imports.append(_nnunet())
    yield from imports
    if imports[-1].cure is None:
        yield _trainer()
    yield _command()
    for name in VARIABLES:
        yield _variable(name)


def _torch() -> Check:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of CUDA is missing
        return Check("torch", f"cannot be imported: {error}", "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        device = f"GPU {torch.cuda.get_device_name()}"
    else:
        device = "no GPU: train with -device cpu"
    return Check("torch", f"{torch.__version__} at {Path(torch.__file__).parent}, {device}")


def _nnunet() -> Check:
    try:
        import nnunetv2
        from nnunetv2.training.nnUNetTrainer import nnUNetTrainer  # noqa: F401 (does it import?)
    except Exception as error:  # whatever a mismatch of versions raises is the finding
        return Check("nnU-Net", f"cannot be imported: {error}", "pip install --upgrade nnunetv2")
    version = importlib.metadata.version("nnunetv2")
    return Check("nnU-Net", f"{version} at {next(iter(nnunetv2.__path__))}")


def _trainer() -> Check:
    external = os.environ.get("nnUNet_extTrainer")
    try:
        module, how = find_trainer()
    except Exception as error:  # the search imports modules, which may raise anything
        return Check(
            TRAINER,
            f"nnU-Net does not find it (nnUNet_extTrainer={external}): {error}",
            f"export nnUNet_extTrainer={discovery_folder()} (nnU-Net 2.8 and later), or a "
            "regular install in anl-seg's checkout: pip install --force-reinstall --no-deps .",
        )
    return Check(TRAINER, f"{module}, {how}")


def find_trainer() -> tuple[str, str]:
    """Let nnU-Net's own search find our trainer.

    Returns:
        The module that defines the class, and in words how the search came there.

    Raises:
        RuntimeError: If nnU-Net does not find it.
    """
    import nnunetv2.training.nnUNetTrainer as nnunet_trainers

    beside = [Path(folder, f"{TRAINER}.py") for folder in nnunet_trainers.__path__]
    installed = next((module for module in beside if module.is_file()), None)
    try:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    except ImportError:  # nnU-Net before 2.8 knows no nnUNet_extTrainer
        from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

        folder = str(installed.parent if installed else next(iter(nnunet_trainers.__path__)))
        found = recursive_find_python_class(folder, TRAINER, "nnunetv2.training.nnUNetTrainer")
        if found is None:
            raise RuntimeError(f"{TRAINER} is not in {folder}") from None
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # the search tells its every step
            found = recursive_find_trainer_class_by_name(TRAINER)
    how = f"beside nnU-Net's own: {installed}" if installed else "through nnUNet_extTrainer"
    return found.__module__, how


def _command() -> Check:
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("nnUNetv2_train")
    if found is None:
        return Check("nnUNetv2_train", "not on the PATH", f"activate the environment: {scripts}")
    if Path(found).resolve().parent != scripts.resolve():
        return Check(
            "nnUNetv2_train",
            f"{found} belongs to another environment than {sys.executable}",
            f"activate the environment that holds anl-seg, or put {scripts} first in PATH",
        )
    return Check("nnUNetv2_train", found)


def _variable(name: str) -> Check:
    value = os.environ.get(name)
    if not value:
        return Check(name, "not set", f"export {name}=/path/to/{name} (a folder you may write to)")
    if not Path(value).is_dir():
        return Check(name, f"{value} is not a folder", f"mkdir -p {value}")
    if not os.access(value, os.W_OK):
        return Check(name, f"{value} cannot be written", f"choose another folder for {name}")
    return Check(name, value)
