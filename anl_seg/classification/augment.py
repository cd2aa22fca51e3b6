"""Augmentation of small images, a whole batch at once on its device: draw, then apply."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShiftFlipRotate:
    """Augmentation of small images: shift, flip and rotate, in this order, on a black background.

    Attributes:
        shift_px: Largest shift along each axis in both directions: a random crop with this padding.
        flip: Whether every second image is mirrored left to right.
        rotation_deg: Largest angle in both directions, about the centre, with the nearest pixel.
    """

    shift_px: int = 0
    flip: bool = False
    rotation_deg: float = 0.0


@dataclass(frozen=True)
class Draws:
    """The parameters drawn for each of n images.

    Attributes:
        shift: Shift up and left in rows and columns, `(n, 2)` int64.
        flipped: Mask of the flipped images, `(n,)` bool.
        angle_deg: Counter-clockwise angles, `(n,)` float32; None without rotation.
    """

    shift: Tensor
    flipped: Tensor
    angle_deg: Tensor | None = None

    def to(self, device: torch.device) -> Draws:
        """Return the same draws on another device."""
        angle = None if self.angle_deg is None else self.angle_deg.to(device)
        return Draws(self.shift.to(device), self.flipped.to(device), angle)

    def __getitem__(self, part: slice | Tensor) -> Draws:
        angle = None if self.angle_deg is None else self.angle_deg[part]
        return Draws(self.shift[part], self.flipped[part], angle)


def draw(augmentation: ShiftFlipRotate, n: int, generator: torch.Generator) -> Draws:
    """Draw parameters for `n` images on the generator's device, independent and uniform."""
    largest = augmentation.shift_px
    shift = torch.randint(-largest, largest + 1, (n, 2), generator=generator)
    flipped = torch.zeros(n, dtype=torch.bool)
    if augmentation.flip:
        flipped = torch.rand(n, generator=generator) < 0.5
    angle = None
    if augmentation.rotation_deg:
        angle = (2 * torch.rand(n, generator=generator) - 1) * augmentation.rotation_deg
    return Draws(shift, flipped, angle)


def gather(images: Tensor, indices: Tensor, draws: Draws) -> Tensor:
    """Select images and augment them by one gather, without an intermediate copy.

    Args:
        images: All images, `(N, H, W, C)`.
        indices: Indices of the selected images, `(B,)` int64.
        draws: Draws for these images, `B` of them.

    Returns:
        Augmented images `(B, H, W, C)`, same type as `images`.
    """
    _, height, width, channels = images.shape
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    inside: Tensor | bool = True
    if draws.angle_deg is not None:
        y, x = _rotated(y, x, draws.angle_deg.deg2rad().view(-1, 1, 1), height, width)
        inside = _inside(y, x, height, width)
    x = torch.where(draws.flipped.view(-1, 1, 1), width - 1 - x, x)
    y = y + draws.shift[:, 0].view(-1, 1, 1)
    x = x + draws.shift[:, 1].view(-1, 1, 1)
    inside = _inside(y, x, height, width) & inside
    rows = indices.view(-1, 1, 1) * height + y.clamp(0, height - 1)
    pixels = images.reshape(-1, channels)[rows * width + x.clamp(0, width - 1)]
    return pixels * inside.unsqueeze(-1)


def _rotated(y: Tensor, x: Tensor, angle: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the source positions of a rotated image's pixels, with pixel centres at halves."""
    down, right = y + 0.5 - height / 2, x + 0.5 - width / 2
    cosine, sine = angle.cos(), angle.sin()
    from_y = (sine * right + cosine * down + height / 2).floor().long()
    from_x = (cosine * right - sine * down + width / 2).floor().long()
    return from_y, from_x


def _inside(y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    return (y >= 0) & (y < height) & (x >= 0) & (x < width)
