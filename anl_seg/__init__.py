"""anl-seg: nnU-Net made robust to bad masks with Active Negative Loss.

The sub-packages are attributes that load when they are first used: `anl_seg.losses`,
`anl_seg.noise`, `anl_seg.evaluation` and the others of `dir(anl_seg)`. Importing `anl_seg` itself
loads nothing.
"""

from importlib import import_module as _import_module
from types import ModuleType as _Module

__version__ = "0.1.0"

__all__ = [
    "classification",
    "datasets",
    "evaluation",
    "experiments",
    "losses",
    "noise",
    "paper",
    "suspects",
    "trainers",
]


def __getattr__(name: str) -> _Module:
    """Load a sub-package when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    """The sub-packages and the version."""
    return sorted([*__all__, "__version__"])
