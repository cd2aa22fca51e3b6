"""Training schedules by name, as data: nnU-Net's own, and the paper's for ISIC-2017."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

#: Initial learning rate of each optimiser: nnU-Net's for SGD, the paper's for Adam.
LEARNING_RATES: Mapping[str, float] = MappingProxyType({"sgd": 1e-2, "adam": 1e-3})


@dataclass(frozen=True)
class TrainingProtocol:
    """A training schedule, independent of the loss. None keeps nnU-Net's own choice.

    Attributes:
        summary: Description in words, for `anl-seg plan --help`.
        optimizer: A key of `LEARNING_RATES`.
        decay: Factor of the learning rate after each epoch, or None for nnU-Net's polynomial, which
            ends at 0.
        weight_decay: Weight decay of the network. A positive delta switches it off.
        epochs: Number of epochs.
        one_pass: Whether an epoch has every training case once instead of 250 random batches.
        batch_size: Images per step.
        patch_size: Height and width in pixels that the 2D images must have.
        light_augmentation: Whether mirroring and gamma are the only augmentation.
        test_epochs: Number of last epochs after which Dice is measured on the test images.
    """

    summary: str
    optimizer: str = "sgd"
    decay: float | None = None
    weight_decay: float | None = None
    epochs: int | None = None
    one_pass: bool = False
    batch_size: int | None = None
    patch_size: tuple[int, int] | None = None
    light_augmentation: bool = False
    test_epochs: int = 0


_ISIC2017 = TrainingProtocol(
    summary="section VI-B of the paper as written",
    optimizer="adam",
    decay=0.8,
    weight_decay=5e-6,
    epochs=100,
    one_pass=True,
    batch_size=16,
    patch_size=(256, 256),
    light_augmentation=True,
    test_epochs=10,
)

#: Protocols by name.
PROTOCOLS: Mapping[str, TrainingProtocol] = MappingProxyType(
    {
        "nnunet": TrainingProtocol(summary="nnU-Net's own"),
        "isic2017": _ISIC2017,
        # A factor of 0.8 per epoch ends at a rate of 2e-10, so the network stops learning early.
        "isic2017-poly": replace(
            _ISIC2017,
            summary="the same with nnU-Net's slower, polynomial decay of the learning rate",
            decay=None,
        ),
    }
)
