"""Augmentation of photos read from files, by torchvision's transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from anl_seg.classification.protocols import Normalization

#: Function from a `PIL.Image.Image` to `(3, crop_px, crop_px)` float32.
Transform = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Photos:
    """Resizing and augmentation of photos. In training every second photo is also mirrored.

    Attributes:
        resize_px: Shorter side, or height and width, before the crop.
        crop_px: Side of the square cut from the middle.
        random_resized_crop: Whether training crops a random part of random shape instead.
        color_jitter: Whether training varies brightness, contrast, saturation (0.4) and hue (0.2).
    """

    resize_px: int | tuple[int, int]
    crop_px: int
    random_resized_crop: bool = False
    color_jitter: bool = False


def for_training(photos: Photos, normalization: Normalization) -> Transform:
    """Compose the training transform, which draws from torch's global generator."""
    from torchvision import transforms as tv  # takes seconds to import

    crop = _middle(photos)
    if photos.random_resized_crop:
        crop = [tv.RandomResizedCrop(photos.crop_px)]
    jitter = []
    if photos.color_jitter:
        jitter = [tv.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)]
    return _compose([*crop, tv.RandomHorizontalFlip(), *jitter], normalization)


def for_testing(photos: Photos, normalization: Normalization) -> Transform:
    """Compose the deterministic transform for evaluation."""
    return _compose(_middle(photos), normalization)


def _middle(photos: Photos) -> list[Any]:
    from torchvision import transforms as tv

    return [tv.Resize(photos.resize_px), tv.CenterCrop(photos.crop_px)]


def _compose(steps: list[Any], normalization: Normalization) -> Transform:
    from torchvision import transforms as tv

    normalize = tv.Normalize(normalization.mean, normalization.std)
    transform: Transform = tv.Compose([*steps, tv.ToTensor(), normalize])
    return transform
