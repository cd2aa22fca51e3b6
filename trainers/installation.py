"""Checks and repairs of the installation for `anl-seg doctor`."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import shlex
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import anl_seg
from anl_seg.errors import InputError
from anl_seg.formats.nnunet import TRAINER, VARIABLES
from anl_seg.trainers import hook

#: Our file in site-packages that Python reads when it starts; see `anl_seg.trainers.hook`.
START_FILE = "anl_seg_trainers.pth"

#: Text in the module of our trainer's name that earlier versions of anl-seg installed.
_OLD_MODULE = "anl_seg.trainers"

_FIX = "anl-seg doctor --fix"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: Checked part.
        found: State of this part.
        cure: Remedy; None if the part is fine.
    """

    name: str
    found: str
    cure: str | None = None


def discovery_folder() -> Path:
    """Return the folder for nnU-Net's variable nnUNet_extTrainer."""
    return Path(__file__).resolve().parent / "discovery"


def checks() -> Iterator[Check]:
    """Yield all findings, each after those that it depends on."""
    yield Check("python", f"{sys.version.split()[0]} at {sys.executable}")
    yield Check("anl-seg", f"{anl_seg.__version__} at {Path(anl_seg.__file__).parent}")
    imports = [_torch()]
    if imports[0].cure is None:
        imports.append(_nnunet())
    yield from imports
    if imports[-1].cure is None:
        yield from map(_old_module, _old_modules())
        yield _trainer()
    yield _command()
    for name in VARIABLES:
        yield _folder_variable(name)
    if "nnUNet_extTrainer" in os.environ:
        yield _external_trainers(os.environ["nnUNet_extTrainer"])
    for name in ("nnUNet_n_proc_DA", "nnUNet_def_n_proc"):
        if name in os.environ:
            yield _number_variable(name, os.environ[name])


def repair() -> Iterator[str]:
    """Repair folders that hide nnU-Net, old modules and a missing start file.

    Yields:
        Description of each repair.

    Raises:
        InputError: If a file cannot be deleted or written.
    """
    try:
        for folder in _hiding_folders():
            if _is_leftover(folder):
                shutil.rmtree(folder)
                yield f"deleted {folder}, which hid nnU-Net"
        importlib.invalidate_caches()
        for module in _old_modules():
            module.unlink()
            yield f"deleted {module}, left by an earlier anl-seg"
        if not _is_hooked():
            file = _site_folder() / START_FILE
            shutil.copyfile(Path(__file__).with_name(START_FILE), file)
            hook.install()
            yield f"wrote {file}, through which nnU-Net finds our trainers"
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be changed: {error.strerror}. "
            f"Run `{_FIX}` as the user who owns this environment."
        ) from error


def _is_hooked() -> bool:
    module = sys.modules.get(hook.MODULE)
    return hook.is_installed() if module is None else hasattr(module, TRAINER)


def _site_folder() -> Path:
    """Return the site-packages folder of anl-seg's metadata.

    Raises:
        InputError: If Python does not read `.pth` files there.
    """
    folder = Path(str(importlib.metadata.distribution("anl-seg").locate_file(""))).resolve()
    read = [*site.getsitepackages(), site.getusersitepackages()]
    if folder not in [Path(entry).resolve() for entry in read]:
        raise InputError(
            f"Python reads no .pth files in {folder}, where anl-seg is installed. With nnU-Net 2.8 "
            f"and later, export nnUNet_extTrainer={discovery_folder()} instead."
        )
    return folder


def _hiding_folders() -> list[Path]:
    """Return the folders that Python imports as nnU-Net although nnU-Net is not in them."""
    spec = importlib.util.find_spec("nnunetv2")
    if spec is None or spec.origin is not None:
        return []
    return [Path(folder) for folder in spec.submodule_search_locations or ()]


def _is_leftover(folder: Path) -> bool:
    """Return whether a folder contains only an old module of ours and compiled files."""
    return all(
        path.is_dir() or path.suffix == ".pyc" or _is_old_module(path) for path in folder.rglob("*")
    )


def _is_old_module(path: Path) -> bool:
    return path.name == f"{TRAINER}.py" and _OLD_MODULE in path.read_text("utf-8", "replace")


def _old_modules() -> list[Path]:
    """Return modules of earlier versions of anl-seg among nnU-Net's own trainers."""
    spec = importlib.util.find_spec("nnunetv2")
    if spec is None or spec.origin is None:
        return []
    module = Path(spec.origin).parent / "training" / "nnUNetTrainer" / f"{TRAINER}.py"
    return [module] if module.is_file() and _is_old_module(module) else []


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
    hiding = _hiding_folders()
    if hiding:
        names = ", ".join(map(str, hiding))
        leftover = all(map(_is_leftover, hiding))
        return Check(
            "nnU-Net",
            f"hidden by {names}, a folder without nnU-Net in it",
            _FIX if leftover else f"delete {names}, or move what you need out of it",
        )
    version, checkout = _distribution()
    if importlib.util.find_spec("nnunetv2") is None:
        if checkout is not None:
            return Check(
                "nnU-Net",
                f"installed in editable mode from {checkout}, where it no longer is",
                "pip install -e FOLDER, with the folder where nnU-Net's source is now",
            )
        return Check("nnU-Net", "not installed", "pip install nnunetv2")
    try:
        import nnunetv2
        from nnunetv2.training.nnUNetTrainer import nnUNetTrainer  # noqa: F401 (does it import?)
    except Exception as error:  # mismatched versions may raise anything
        source = f"-e {checkout}" if checkout else "--upgrade nnunetv2"
        return Check("nnU-Net", f"cannot be imported: {error}", f"pip install {source}")
    editable = " (editable)" if checkout else ""
    return Check("nnU-Net", f"{version} at {next(iter(nnunetv2.__path__))}{editable}")


def _distribution() -> tuple[str, Path | None]:
    """Return the version of the installed nnU-Net, and its source folder if it is editable."""
    try:
        distribution = importlib.metadata.distribution("nnunetv2")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version", None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return distribution.version, None
    return distribution.version, Path(url2pathname(urlparse(origin["url"]).path))


def _old_module(path: Path) -> Check:
    return Check(
        "old module",
        f"{path}, left by an earlier anl-seg, can hide another nnU-Net later",
        _FIX,
    )


def _trainer() -> Check:
    try:
        module, how = find_trainer()
    except Exception as error:  # the search imports modules, which may raise anything
        return Check(TRAINER, f"nnU-Net does not find it: {error}", _FIX)
    return Check(TRAINER, f"{module}, {how}")


def find_trainer() -> tuple[str, str]:
    """Let nnU-Net's own search find our trainer.

    Returns:
        The module that defines the class, and a description of the search path.

    Raises:
        RuntimeError: If nnU-Net does not find it.
    """
    import nnunetv2

    try:
        from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    except ImportError:  # nnU-Net before 2.8 ignores nnUNet_extTrainer
        from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

        folder = os.path.join(next(iter(nnunetv2.__path__)), "training", "nnUNetTrainer")
        found = recursive_find_python_class(folder, TRAINER, "nnunetv2.training.nnUNetTrainer")
        if found is None:
            raise RuntimeError(f"{TRAINER} is not in {folder}") from None
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # the search prints each step
            found = recursive_find_trainer_class_by_name(TRAINER)
    return found.__module__, f"through {START_FILE if _is_hooked() else 'nnUNet_extTrainer'}"


def _command() -> Check:
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("nnUNetv2_train")
    if found is None:
        return Check("nnUNetv2_train", "not on the PATH", f"activate the environment: {scripts}")
    if Path(found).resolve().parent != scripts.resolve():
        return Check(
            "nnUNetv2_train",
            f"{found} belongs to another environment than {sys.executable}",
            f"activate the environment of anl-seg, or put {scripts} first in PATH",
        )
    return Check("nnUNetv2_train", found)


def _folder_variable(name: str) -> Check:
    value = os.environ.get(name)
    if not value:
        return Check(name, "not set", f"export {name}=/path/to/{name} (a folder you may write to)")
    folder = Path(value)
    if not folder.exists():
        return Check(name, f"{value} does not exist", f"mkdir -p {shlex.quote(value)}")
    if not folder.is_dir():
        return Check(
            name, f"{value} is a file", f"export {name}=/path/to/{name} (a folder, not a file)"
        )
    if not os.access(value, os.W_OK):
        return Check(name, f"{value} cannot be written", f"choose another folder for {name}")
    return Check(name, value)


def _external_trainers(value: str) -> Check:
    name = "nnUNet_extTrainer"
    folders = [folder for folder in value.split(os.pathsep) if folder.strip()]
    wrong = [folder for folder in folders if not Path(folder).is_dir()]
    if not wrong:
        return Check(name, value or "empty")
    rest = os.pathsep.join(folder for folder in folders if folder not in wrong)
    return Check(
        name,
        f"{', '.join(wrong)} is not a folder",
        f"export {name}={shlex.quote(rest)}" if rest else f"unset {name}",
    )


def _number_variable(name: str, value: str) -> Check:
    try:
        number = int(value)
    except ValueError:
        return Check(name, f"{value!r} is not a whole number", f"unset {name}")
    if number >= 1:
        return Check(name, value)
    cure = f"unset {name}"
    if number == 0 and name == "nnUNet_n_proc_DA":
        cure += f", and set it for a training only: {name}=0 nnUNetv2_train ..."
    return Check(name, f"{value}, with which nnU-Net cannot plan", cure)
