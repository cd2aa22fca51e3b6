"""anl-seg: nnU-Net made robust to bad masks with Active Negative Loss.

The sub-packages, such as `anl_seg.losses`, `anl_seg.noise` and `anl_seg.evaluation`, are listed by
`dir(anl_seg)`. Each is imported when it is first used. Importing `anl_seg` itself imports nothing.
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
    """List the sub-packages and the version."""
    return sorted([*__all__, "__version__"])
