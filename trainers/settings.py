"""What a training run of ours is set to: read from a plans file, checked once, written back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from anl_seg import losses
from anl_seg.errors import InputError

#: The key of a plans file under which the settings lie.
PLANS_KEY = "anl_seg"

#: nnU-Net's own loss (soft Dice + cross entropy), for a baseline under the same schedule and seed.
NNUNET_LOSS = "dice+ce"


@dataclass(frozen=True)
class Settings:
    """Loss and schedule of one training run; a plans file may replace every default.

    Attributes:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce" for nnU-Net's own loss.
        loss_parameters: Hyper-parameters of the loss by the paper's names, such as alpha and beta.
        delta: Weight of the L1 penalty on the network's parameters, >= 0; where it is positive,
            nnU-Net's weight decay is switched off, as in the paper (section VI-B).
        epochs: Number of epochs (nnU-Net: 1000).
        iterations: Training steps an epoch (nnU-Net: 250).
        seed: Seed of weights, and of data order and augmentation where nnU-Net loads in one process
            (nnUNet_n_proc_DA=0); None for nnU-Net's own unseeded behaviour.

    Raises:
        InputError: If a value is impossible; the message names the setting and what is allowed.
    """

    loss: str = "anl-ce"
    loss_parameters: dict[str, Any] = field(default_factory=dict)
    delta: float = 0.0
    epochs: int = 1000
    iterations: int = 250
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_loss(self.loss, self.loss_parameters)
        if not _is_number(self.delta) or self.delta < 0:
            raise InputError(f"delta must be a number of at least 0, got {self.delta!r}")
        for name in ("epochs", "iterations"):
            if not _is_integer(value := getattr(self, name)) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.seed is not None and (not _is_integer(self.seed) or not 0 <= self.seed < 2**32):
            raise InputError(f"seed must be a whole number in [0, 2**32), got {self.seed!r}")

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any]) -> Settings:
        """Read the settings of a plans file's content; without an entry, all defaults.

        Raises:
            InputError: If the entry holds an unknown setting or an impossible value.
        """
        entry = plans.get(PLANS_KEY, {})
        known = [setting.name for setting in fields(cls)]
        where = f"the entry {PLANS_KEY!r} of plans {plans.get('plans_name', '?')!r}"
        if not isinstance(entry, Mapping):
            raise InputError(
                f"{where} must be an object with the keys {', '.join(known)}, got {entry!r}"
            )
        if unknown := sorted(set(entry) - set(known)):
            raise InputError(
                f"{where} holds the unknown {', '.join(unknown)}; known are {', '.join(known)}"
            )
        try:
            return cls(**entry)
        except InputError as error:
            raise InputError(f"{where}: {error}; write it anew with `anl-seg plan`") from error

    def to_plans(self) -> dict[str, Any]:
        """Return the entry for a plans file."""
        return asdict(self)

    def differences(self, other: Settings) -> list[str]:
        """Name what differs, one text a setting: "epochs is 10, was 5" (here, there)."""
        return [
            f"{setting.name} is {getattr(self, setting.name)}, was {getattr(other, setting.name)}"
            for setting in fields(self)
            if getattr(self, setting.name) != getattr(other, setting.name)
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def _check_loss(name: str, parameters: Mapping[str, Any]) -> None:
    if name == NNUNET_LOSS:
        if parameters:
            raise InputError(f"{NNUNET_LOSS} takes no parameters, got {', '.join(parameters)}")
        return
    if name not in losses.names():
        choice = ", ".join([NNUNET_LOSS, *losses.names()])
        raise InputError(f"unknown loss {name!r}; choose one of {choice}")
    try:
        loss = losses.create(name, **parameters)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error
    if next(loss.parameters(), None) is not None:
        raise InputError(
            f"{name} has a parameter that is trained itself, which nnUNetTrainerANL does not do yet"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
