"""Rare foreground: what nnU-Net's own loss finds in a phantom, the default finds too.

So does T-Loss after a warm-up. Alone it finds no rare class here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")]

NNUNET = {"loss": "dice+ce"}


def ball(shape, centre, radius):
    axes = np.ogrid[tuple(slice(side) for side in shape)]
    distance = sum((axis - middle) ** 2 for axis, middle in zip(axes, centre, strict=True))
    return distance <= radius**2


def plane(generator):
    """A bright lesion of 5 of 32 x 32 pixels, 0.5 %."""
    labels = ball((32, 32), generator.integers(2, 30, 2), 1).astype(np.int16)
    return labels, 5.0 * labels


def volume(generator):
    """Classes of some 11 %, 1.3 % and 0.1 % of 20 x 20 x 20 voxels, each with its own grey."""
    labels = np.zeros((20, 20, 20), dtype=np.int16)
    labels[ball(labels.shape, generator.integers(7, 13, 3), 6)] = 1
    labels[ball(labels.shape, generator.integers(4, 16, 3), 3)] = 2
    labels[ball(labels.shape, generator.integers(2, 18, 3), 1)] = 3
    return labels, np.array([0.0, 3.0, 6.0, 12.0])[labels]


def batch(trainer, make_case, generator):
    """A batch as nnU-Net's loader gives it, every image new."""
    cases = [make_case(generator) for _ in range(trainer.batch_size)]
    labels = torch.from_numpy(np.stack([case[0] for case in cases]))[:, None]
    images = np.stack([case[1] for case in cases])[:, None]
    noisy = torch.from_numpy(images + generator.normal(size=images.shape)).float()
    target = []
    for scale in trainer._get_deep_supervision_scales():
        steps = [slice(None, None, round(1 / part)) for part in scale]
        target.append(labels[(slice(None), slice(None), *steps)].contiguous())
    return {"data": noisy, "target": target}


def train(make_trainer, settings, make_case, plans, *, iterations, epochs=4):
    """Train on ever new images, and return Dice of each class on 10 more batches."""
    schedule = {"epochs": epochs, "iterations": iterations, "seed": 1}
    trainer = make_trainer({**settings, **schedule}, recommended=True, **plans)
    trainer.initialize()
    trainer.logger.log = lambda *_: None
    generator = np.random.default_rng(1)
    for epoch in range(epochs):
        trainer.current_epoch = epoch
        trainer.on_train_epoch_start()
        for _ in range(iterations):
            trainer.train_step(batch(trainer, make_case, generator))
    trainer.on_validation_epoch_start()
    with torch.no_grad():
        outputs = [trainer.validation_step(batch(trainer, make_case, generator)) for _ in range(10)]
    true, false, missed = (
        sum(each[kind].astype(float) for each in outputs)
        for kind in ("tp_hard", "fp_hard", "fn_hard")
    )
    return 2 * true / (2 * true + false + missed)


PLANE = {"patch": [32, 32]}
VOLUME = {
    "dimensions": 3,
    "patch": [20, 20, 20],
    "labels": {"background": 0, "large": 1, "middle": 2, "rare": 3},
}


@pytest.mark.parametrize(
    ("make_case", "plans", "iterations"), [(plane, PLANE, 200), (volume, VOLUME, 300)]
)
def test_what_nnunets_own_loss_finds_is_found(make_trainer, make_case, plans, iterations):
    """The default has nnU-Net's loss until it corrects the labels, and ANL-CE afterwards.

    Nothing is wrong with a phantom's labels, so the end of a warm-up stands for the correction. It
    comes before the rare class is learned.
    """

    def found(settings):
        return train(make_trainer, settings, make_case, plans, iterations=iterations, epochs=4)

    expected = found(NNUNET)
    assert (expected > 0.5).all(), "the phantom is too hard for the length of the training"
    assert (found({}) > 0.5).all()
    assert (found({"warmup": 0.5}) > 0.5).all()
    assert (found({"loss": "t-loss", "warmup": 0.5}) > 0.5).all()
