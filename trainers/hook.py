"""Import hook that lets nnU-Net find our trainers.

`anl_seg_trainers.pth` imports this module at every start of Python, so it imports almost nothing.

nnU-Net looks for a trainer in the modules of its own folder `nnunetv2/training/nnUNetTrainer`.
anl-seg writes nothing there, because a second folder named `nnunetv2` can hide an nnU-Net installed
elsewhere. Instead, this hook extends one module that every nnU-Net has in that folder. When it is
imported, it also provides our trainers.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # importing `typing` takes longer than the start of Python
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

#: nnU-Net's search for any trainer imports this module before the others of its folder.
MODULE = "nnunetv2.training.nnUNetTrainer.nnUNetTrainer"


def install() -> None:
    """Install the hook; a second call changes nothing."""
    if not is_installed():
        sys.meta_path.insert(0, _Finder())


def is_installed() -> bool:
    """Return whether the hook is installed."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


class _Finder:
    """Finder of one module, as found by the other finders, with a wrapped loader."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the wrapped spec of nnU-Net's trainer module, and None for every other module."""
        if name != MODULE:
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        try:
            spec = find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # all that Python asks of one
        return spec


class _Loader:
    """Loader that uses another loader, and then adds our trainers to the module."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Let the other loader create the module."""
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Let the other loader execute the module, and remove traces of this one."""
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        try:
            from anl_seg.trainers.discovery import nnUNetTrainerANL
        except ImportError:  # a half-deleted anl-seg must not stop nnU-Net
            return
        vars(module).setdefault("__getattr__", nnUNetTrainerANL.__getattr__)
