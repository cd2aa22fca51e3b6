"""Sampling of foreground pixels, for patches that nnU-Net's loader places on the foreground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from numpy.typing import NDArray


def foreground_locations(
    labels: NDArray[Any], classes: Sequence[int], patch_size: Sequence[int]
) -> Mapping[int, Any] | None:
    """Sample pixels of each class as nnU-Net does, for patches with guaranteed foreground.

    Args:
        labels: Labels `(1, *S)`.
        classes: The foreground classes.
        patch_size: Size of a patch. In 2D it lacks the axis of the slices.

    Returns:
        Index `(n, 1 + len(S))` of pixels by class. None if one patch holds the whole image.
    """
    patch = (*[1] * (labels.ndim - 1 - len(patch_size)), *patch_size)
    if all(side <= most for side, most in zip(labels.shape[1:], patch, strict=True)):
        return None
    locations: Mapping[int, Any] = DefaultPreprocessor._sample_foreground_locations(
        labels, list(classes)
    )
    return locations
