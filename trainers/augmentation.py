"""Changes to nnU-Net's augmentation: the paper's light one, and one that a seed reproduces."""

from __future__ import annotations

from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform


def lighten(composed: ComposeTransforms) -> None:
    """Reduce nnU-Net's augmentation, in place, to mirroring and gamma."""
    composed.transforms = [each for each in composed.transforms if _is_light(each)]
    for transform in composed.transforms:
        if isinstance(transform, SpatialTransform):  # the crop is left
            transform.p_rotation = transform.p_scaling = 0


def make_reproducible(composed: ComposeTransforms) -> None:
    """Make nnU-Net's blur always use the plain convolution, in place.

    By default it chooses the convolution by timing, which a seed cannot reproduce.
    """
    for transform in composed.transforms:
        if isinstance(transform, RandomTransform):
            transform.transform.benchmark = False  # only the blur reads this attribute


def _is_light(transform: object) -> bool:
    """Return whether light augmentation keeps a transform: gamma, or one that is not random."""
    if not isinstance(transform, RandomTransform):
        return True
    inner = transform.transform
    return isinstance(inner, GammaTransform) and not inner.p_invert_image
