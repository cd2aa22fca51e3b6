"""Augmentation of small images, a whole batch at once where the images live: draw, then apply."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ShiftFlipRotate:
    """How small images are varied, in this order; what comes in from outside is black.

    Attributes:
        shift_px: Largest shift along each axis, either way; a random crop with that padding.
        flip: Whether every second image is mirrored left to right.
        rotation_deg: Largest angle, either way; to the nearest pixel, about the centre.
    """

    shift_px: int = 0
    flip: bool = False
    rotation_deg: float = 0.0


@dataclass(frozen=True)
class Draws:
    """The parameters drawn for each of n images.

    Attributes:
        shift: Rows and columns, `(n, 2)` int64: a pixel comes from so far below and to the right.
        flipped: `(n,)` bool.
        angle_deg: Counter-clockwise, `(n,)` float32; None where nothing is rotated.
    """

    shift: Tensor
    flipped: Tensor
    angle_deg: Tensor | None = None

    def to(self, device: torch.device) -> Draws:
        """Return the same draws on another device."""
        angle = None if self.angle_deg is None else self.angle_deg.to(device)
        return Draws(self.shift.to(device), self.flipped.to(device), angle)

    def __getitem__(self, part: slice) -> Draws:
        angle = None if self.angle_deg is None else self.angle_deg[part]
        return Draws(self.shift[part], self.flipped[part], angle)


def draw(augmentation: ShiftFlipRotate, n: int, generator: torch.Generator) -> Draws:
    """Draw for `n` images, on the generator's device: all independent, all equally likely."""
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
    """Pick images and vary them: one gather, on the device of `images`, without a copy between.

    Args:
        images: All images, `(N, H, W, C)`.
        indices: Places of the images, `(B,)` int64.
        draws: Draws for these images, `B` of them.

    Returns:
        `(B, H, W, C)`, of the type of `images`.
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
    """Return where the pixels of a rotated image come from; pixel centres lie at halves."""
    down, right = y + 0.5 - height / 2, x + 0.5 - width / 2
    cosine, sine = angle.cos(), angle.sin()
    from_y = (sine * right + cosine * down + height / 2).floor().long()
    from_x = (cosine * right - sine * down + width / 2).floor().long()
    return from_y, from_x


def _inside(y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    return (y >= 0) & (y < height) & (x >= 0) & (x < width)
