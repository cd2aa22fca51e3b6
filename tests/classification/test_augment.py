"""Batched augmentation against one image at a time, padded, cut, mirrored and turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as tv

from anl_seg.classification.augment import Draws, ShiftFlipRotate, draw, gather


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, height=9, width=9, channels=3):
    return torch.randint(1, 256, (n, height, width, channels), generator=generator()).byte()


def one_by_one(images, indices, draws):
    """Augment as torchvision does: crop from the padded image, mirror, rotate; 0 is black."""
    out = []
    for place, index in enumerate(indices.tolist()):
        image = images[index].numpy()
        height, width = image.shape[:2]
        down, right = draws.shift[place].tolist()
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
        image = padded[4 + down : 4 + down + height, 4 + right : 4 + right + width]
        if draws.flipped[place]:
            image = image[:, ::-1]
        if draws.angle_deg is not None:
            turned = Image.fromarray(np.ascontiguousarray(image))
            image = np.asarray(tv.rotate(turned, draws.angle_deg[place].item()))
        out.append(image)
    return np.stack(out)


@pytest.mark.parametrize(("height", "width", "channels"), [(9, 9, 3), (7, 10, 1)])
def test_shift_and_flip_as_crop_from_the_padded_image(height, width, channels):
    pictures = images(6, height, width, channels)
    indices = torch.tensor([5, 0, 0, 3, 2, 1, 4, 4])
    draws = draw(ShiftFlipRotate(shift_px=4, flip=True), len(indices), generator(3))
    assert 0 < draws.flipped.sum() < len(indices)
    found = gather(pictures, indices, draws)
    assert found.dtype == torch.uint8
    assert np.array_equal(found, one_by_one(pictures, indices, draws))


def test_rotation_equals_pillows():
    pictures = images(40, 32, 32)
    indices = torch.arange(40)
    draws = draw(ShiftFlipRotate(4, flip=True, rotation_deg=20), 40, generator(1))
    expected = one_by_one(pictures, indices, draws)
    differs = (gather(pictures, indices, draws).numpy() != expected).any(-1)
    assert differs.mean() < 0.005  # Pillow rounds to 1/65536: ties may fall the other way


def test_a_quarter_turn_goes_counter_clockwise():
    pictures = images(1, 4, 4)
    draws = Draws(torch.zeros(1, 2).long(), torch.tensor([False]), torch.tensor([90.0]))
    found = gather(pictures, torch.tensor([0]), draws)[0]
    assert torch.equal(found, pictures[0].rot90())


def test_no_augmentation_leaves_images_unchanged():
    pictures = images()
    draws = draw(ShiftFlipRotate(), 6, generator())
    assert torch.equal(gather(pictures, torch.arange(6), draws), pictures)


def test_every_shift_and_flip_is_equally_likely():
    n = 81 * 1000
    draws = draw(ShiftFlipRotate(shift_px=4, flip=True), n, generator())
    cells = (draws.shift[:, 0] + 4) * 9 + draws.shift[:, 1] + 4
    counts = torch.bincount(cells, minlength=81)
    assert len(counts) == 81
    chi_squared = ((counts - 1000) ** 2 / 1000).sum()
    assert 40 < chi_squared < 140  # 80 degrees of freedom: 1e-4 at either end
    assert draws.flipped.float().mean() == pytest.approx(0.5, abs=0.01)


def test_angles_fill_their_range():
    angles = draw(ShiftFlipRotate(rotation_deg=20), 10_000, generator()).angle_deg
    assert -20 <= angles.min() < -19.9
    assert 19.9 < angles.max() <= 20
    assert angles.mean() == pytest.approx(0, abs=0.5)
