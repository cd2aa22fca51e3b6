"""Settings of a segmentation run, as JSON values, and those that its id counts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from anl_seg.devices import DEVICES
from anl_seg.errors import InputError, named
from anl_seg.experiments.parsing import convert
from anl_seg.noise import PAPER_KINDS, NoiseSettings, find_method
from anl_seg.trainers.settings import TrainerSettings

#: Value of the setting `data` for pictures that are generated.
PHANTOM = "phantom"
#: Value of eta_beta for the noise if no mask has any.
ANY_BETA = 0.5
#: Smallest width and height of the images in pixels.
SMALLEST = 32
#: Settings of the training that differ from the trainer's own defaults.
TRAINING: Mapping[str, Any] = MappingProxyType({"protocol": "isic2017", "seed": 1})


@dataclass(frozen=True)
class SegmentationSettings:
    """All settings that the results of a segmentation run depend on.

    Attributes:
        data: "phantom", or a folder in the layout of the ISIC-2017 challenge.
        size: Width and height of the images in pixels, at least 32.
        n_training: Number of training pairs to use, drawn at random, or None for all.
        subset_seed: Seed of the draw of training pairs.
        eta_alpha: Share of the training masks that are corrupted.
        eta_beta: Changed pixels over foreground pixels of a corrupted mask, in (0, 1). It becomes 0
            if `eta_alpha` is 0.
        noise_seed: Seed of the noise. It does not depend on the seed of the training.
        noise_method: "corrected", or "published" for the generator behind the paper's Table VI.
        noise_kinds: Kinds of noise to draw from, by name; all of the paper's by default.
        training: Loss, schedule and seed, as written into the plans file.
        small: Whether to shrink the network so that a CPU trains it in minutes.
        fold: "all", or the number of the held-out fold.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        InputError: If a value is impossible.
    """

    data: str = PHANTOM
    size: int = 256
    n_training: int | None = None
    subset_seed: int = 1
    eta_alpha: float = 0.7
    eta_beta: float = 0.7
    noise_seed: int = 1
    noise_method: str = "corrected"
    noise_kinds: tuple[str, ...] = PAPER_KINDS
    training: TrainerSettings = field(default_factory=lambda: TrainerSettings(**TRAINING))
    small: bool = False
    fold: str = "all"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("eta_alpha", "eta_beta"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        least = {"size": SMALLEST, "subset_seed": 0}
        if self.n_training is not None:
            least["n_training"] = 1
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise InputError(f"{name} must be at least {smallest}, got {getattr(self, name)}")
        if self.device not in DEVICES:
            raise InputError(f"unknown device {self.device!r}; choose one of {named(DEVICES)}")
        if self.eta_alpha == 0:
            object.__setattr__(self, "eta_beta", 0.0)
        elif not 0 < self.eta_beta < 1:
            raise InputError(
                "eta_beta must be between 0 and 1, both excluded, if masks have noise, got "
                f"{self.eta_beta:g}; for a run without noise set eta_alpha to 0"
            )
        if self.fold not in ("all", *"01234"):
            raise InputError(f"fold must be all, or one of 0 to 4, got {self.fold!r}")
        if self.data != PHANTOM:
            object.__setattr__(self, "data", str(Path(self.data).resolve()))
        _ = self.noise  # creating it checks the method and the kinds

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SegmentationSettings:
        """Create settings from JSON values, in which settings of the training are not nested.

        Args:
            values: Values by name. Missing ones take their defaults.

        Returns:
            The settings.

        Raises:
            InputError: If a name is unknown or a value impossible.

        Examples:
            >>> SegmentationSettings.from_json({"loss": "ce", "size": 64}).training.loss
            'ce'
        """
        hints = typing.get_type_hints(TrainerSettings) | typing.get_type_hints(cls)
        del hints["training"]
        given = convert(hints, values)
        own = {name: given.pop(name) for name in list(given) if name in OWN_NAMES}
        return cls(**own, training=TrainerSettings(**{**TRAINING, **given}))

    @property
    def noise(self) -> NoiseSettings:
        """Settings of the noise."""
        return NoiseSettings(
            eta_alpha=self.eta_alpha,
            eta_beta=self.eta_beta if self.eta_alpha else ANY_BETA,
            seed=self.noise_seed,
            method=find_method(self.noise_method),
            kinds=self.noise_kinds,
        )

    @property
    def name(self) -> str:
        """Name for the folder of the run."""
        data = Path(self.data).name
        training = self.training
        return f"{data}-{self.eta_alpha:g}-{self.eta_beta:g}-{training.loss}-seed{training.seed}"

    def as_json(self) -> dict[str, Any]:
        """Return all settings as JSON values, with settings of the training not nested.

        Returns:
            Values by the names of the settings.
        """
        values = dataclasses.asdict(self)
        values["noise_kinds"] = list(self.noise_kinds)
        training: dict[str, Any] = values.pop("training")
        return {**values, **training}


#: Settings of a run that are not settings of its training.
OWN_NAMES = tuple(
    each.name for each in dataclasses.fields(SegmentationSettings) if each.name != "training"
)
#: Names of all settings of a run in JSON and YAML.
NAMES = (*OWN_NAMES, *(each.name for each in dataclasses.fields(TrainerSettings)))


#: Settings that always count in the id of a run. Others were added later and count only if used.
ALWAYS_IN_ID = (
    *("data", "size", "eta_alpha", "eta_beta", "noise_seed", "small", "fold", "device"),
    *("loss", "loss_parameters", "delta", "dice_weight", "protocol", "epochs", "iterations"),
    *("optimizer", "precision", "seed"),
)
#: Values with which a later setting counts as not used.
UNUSED: Mapping[str, Any] = MappingProxyType(
    {"subset_seed": 1, "noise_method": "corrected", "noise_kinds": list(PAPER_KINDS)}
)


def identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce the settings of a run to those in its id, so that new settings keep old ids.

    Args:
        settings: All settings, as JSON values.

    Returns:
        The settings that count. A later setting does not count if it is off or has its value in
        `UNUSED`.
    """
    return {
        name: value
        for name, value in settings.items()
        if name in ALWAYS_IN_ID or (value and value != UNUSED.get(name))
    }
