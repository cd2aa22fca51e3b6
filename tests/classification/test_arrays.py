"""Batches of a small data set: normalised, augmented, with their labels, the same every time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from anl_seg.classification import arrays
from anl_seg.classification.augment import ShiftFlipRotate
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.classification.protocols import PROTOCOLS
from anl_seg.datasets.classification import ImageArrays
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise

PLAIN = dataclasses.replace(PROTOCOLS["cifar10"], augmentation=ShiftFlipRotate(), batch_size=16)


def data(n=40):
    """Return images whose first pixel is their number."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    x[:, 0, 0, 0] = np.arange(n)
    y = np.arange(n) % 10
    return ImageArrays("small", x, y, x[: n // 2], y[: n // 2], tuple("0123456789"), np.arange(n))


def batches(images, protocol=PLAIN, seed=1, ranks=None):
    noisy = label_noise.draw(images.y_train, kind="symmetric", n_classes=10, eta=0.5, seed=1)
    cpu = torch.device("cpu")
    made = make_batches(images, noisy, protocol, seed=seed, device=cpu, ranks=ranks or Ranks())
    return made, noisy


def identities(images):
    mean, std = PLAIN.normalization.mean[0], PLAIN.normalization.std[0]
    return ((images[:, 0, 0, 0] * std + mean) * 255).round().long().tolist()


def test_an_epoch_is_all_images_with_their_own_labels():
    images = data()
    made, noisy = batches(images)
    seen = []
    for pixels, labels, mislabelled in made.training(0):
        who = identities(pixels)
        assert np.array_equal(labels, noisy.labels[who])
        assert np.array_equal(mislabelled, noisy.mislabelled[who])
        seen += who
    assert sorted(seen) == list(range(40))
    assert seen != list(range(40))


def test_pixels_are_normalised_and_channels_last():
    images = data()
    made, _ = batches(images)
    pixels, _ = next(iter(made.plain("test")))
    mean, std = (np.array(v) for v in (PLAIN.normalization.mean, PLAIN.normalization.std))
    expected = ((images.x_test / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert pixels.dtype == torch.float32
    np.testing.assert_allclose(pixels, expected, atol=1e-5)
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_shifted_images_have_a_black_border():
    images = data()
    protocol = dataclasses.replace(PLAIN, augmentation=ShiftFlipRotate(shift_px=4))
    made, _ = batches(images, protocol)
    black = -PLAIN.normalization.mean[0] / PLAIN.normalization.std[0]
    pixels = torch.cat([pixels for pixels, _, _ in made.training(0)])
    assert pixels[:, 0].min().item() == pytest.approx(black)
    whole_rows = (pixels[:, 0] - black).abs().amax(-1) < 1e-6  # (n, rows)
    assert whole_rows.any(1).float().mean() > 0.7  # 8 of 9 shifts leave a black row


@pytest.mark.parametrize(("seed", "epoch", "same"), [(1, 3, True), (1, 4, False), (2, 3, False)])
def test_an_epoch_repeats_and_differs_from_others(seed, epoch, same):
    images = data()
    protocol = dataclasses.replace(PLAIN, augmentation=ShiftFlipRotate(4, flip=True))
    one = torch.cat([pixels for pixels, _, _ in batches(images, protocol)[0].training(3)])
    other = batches(images, protocol, seed)[0].training(epoch)
    assert torch.equal(one, torch.cat([pixels for pixels, _, _ in other])) == same


def test_batches_augmented_together_are_the_same(monkeypatch):
    images = data()
    protocol = dataclasses.replace(
        PLAIN, augmentation=ShiftFlipRotate(4, flip=True, rotation_deg=20), batch_size=6
    )
    one_by_one, _ = batches(images, protocol)
    expected = list(one_by_one.training(0))
    monkeypatch.setattr(arrays, "BATCHES_TOGETHER", {"cpu": 3})
    together, _ = batches(images, protocol)
    found = list(together.training(0))
    assert [len(labels) for _, labels, _ in found] == [6] * 6 + [4]
    for batch, same in zip(expected, found, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(batch, same, strict=True))
        assert same[0].is_contiguous(memory_format=torch.channels_last)


def test_processes_share_training_and_test_images():
    images = data()
    alone, _ = batches(images)
    shares = [batches(images, ranks=Ranks(rank, rank, 2))[0] for rank in range(2)]
    for whole, *parts in zip(alone.training(0), *(s.training(0) for s in shares), strict=True):
        together = sorted(who for part in parts for who in identities(part[0]))
        assert together == sorted(identities(whole[0]))
    tested = [
        who for share in shares for pixels, _ in share.plain("test") for who in identities(pixels)
    ]
    assert sorted(tested) == list(range(20))


def test_too_few_images():
    with pytest.raises(InputError, match=r"small has 1 training images.*at least two"):
        batches(data(1))
