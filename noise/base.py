"""What the kinds of mask noise share: the type of a mask, its windows, and the way to give up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: A binary mask, (H, W), True on the object.
Mask = NDArray[np.bool_]

#: A rectangle of pixels, as an index into a mask.
Window = tuple[slice, ...]


class UncorruptibleError(Exception):
    """This mask cannot take this noise; the message says why. The mask is then left as it is."""


def bounding_box(mask: Mask) -> Window:
    """The smallest window that holds every object pixel of a mask that is not empty."""
    spans = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in range(2))
    return tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans)


def widen(window: Window, margin: int, shape: tuple[int, ...]) -> Window:
    """Add `margin` pixels on every side of `window`, clipped to an image of `shape`."""
    return tuple(
        slice(max(0, span.start - margin), min(size, span.stop + margin))
        for span, size in zip(window, shape, strict=True)
    )
