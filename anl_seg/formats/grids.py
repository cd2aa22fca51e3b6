"""Comparison of the pixel grids of two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anl_seg.errors import InputError
from anl_seg.formats.images import Geometry

#: Smallest difference of grids, as a share of a pixel. Headers store rounded float32.
GEOMETRY_TOLERANCE = 1e-2


def check_geometry(
    path: Path, geometry: Geometry | None, role: str, other: Path, expected: Geometry | None
) -> None:
    """Check that two images of the same shape are at the same place in the world.

    Files that do not state a geometry, such as PNG, fit any other.

    Args:
        path: The file to check.
        geometry: Its geometry.
        role: What the other file is to this one, for the message, such as "its reference".
        other: The other file.
        expected: Geometry of the other file.

    Raises:
        InputError: If spacing, origin or direction differ by more than `GEOMETRY_TOLERANCE`.
    """
    if geometry is None or expected is None:
        return
    pixel = min(expected.spacing)
    for name, tolerance in (("spacing", pixel), ("origin", pixel), ("direction", 1.0)):
        found, wanted = getattr(geometry, name), getattr(expected, name)
        if found is None or wanted is None:
            continue
        if not np.allclose(found, wanted, rtol=0, atol=GEOMETRY_TOLERANCE * tolerance):
            raise InputError(
                f"{path}: has {name} {_rounded(found)}, {role} {other} has {_rounded(wanted)}; "
                "both must be on the same grid, so resample one, or correct its header"
            )


def _rounded(numbers: Sequence[float]) -> str:
    return "(" + ", ".join(f"{number:.5g}" for number in numbers) + ")"
