"""What a training run of ours is set to: read from a plans file, checked once, written back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from anl_seg import losses
from anl_seg.errors import InputError

#: The key of a plans file under which the settings lie.
PLANS_KEY = "anl_seg"

#: nnU-Net's own loss (soft Dice + cross entropy), for a baseline under the same schedule and seed.
NNUNET_LOSS = "dice+ce"

#: Where segmentation needs other hyper-parameters than the loss table's. The paper gives no alpha
#: and beta for ISIC-2017; these are the best of a small search (benchmarks/alpha_beta.md): with
#: little weight on NNCE the network calls everything background and stays there.
SEGMENTATION_DEFAULTS: Mapping[str, Mapping[str, float]] = {"anl-ce": {"alpha": 1.0, "beta": 20.0}}


@dataclass(frozen=True)
class Settings:
    """Loss and schedule of one training run; a plans file may replace every default.

    Attributes:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce" for nnU-Net's own loss.
        loss_parameters: Hyper-parameters of the loss by the paper's names, such as alpha and beta;
            what is not given is filled in from `SEGMENTATION_DEFAULTS`, then from the loss table.
        delta: Weight of the L1 penalty on the network's parameters, >= 0; where it is positive,
            nnU-Net's weight decay is switched off, as in the paper (section VI-B).
        epochs: Number of epochs, or None for the trainer class's own (nnU-Net: 1000).
        iterations: Training steps an epoch, or None for the class's own (nnU-Net: 250).
        seed: Seed of weights, and of data order and augmentation where nnU-Net loads in one process
            (nnUNet_n_proc_DA=0); None for nnU-Net's own unseeded behaviour.

    Raises:
        InputError: If a value is impossible; the message names the setting and what is allowed.
    """

    loss: str = "anl-ce"
    loss_parameters: dict[str, Any] = field(default_factory=dict)
    delta: float = 0.0
    epochs: int | None = None
    iterations: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        complete = _complete_parameters(self.loss, self.loss_parameters)
        object.__setattr__(self, "loss_parameters", complete)
        if not _is_number(self.delta) or not 0 <= self.delta < math.inf:
            raise InputError(f"delta must be a number in [0, inf), got {self.delta!r}")
        for name, least in {"epochs": 1, "iterations": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and not (_is_integer(value) and value >= least):
                raise InputError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )

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


def _complete_parameters(name: str, given: object) -> dict[str, Any]:
    """Check the hyper-parameters of a loss and fill in what is not given."""
    if not isinstance(given, Mapping):
        raise InputError(f"loss_parameters must be an object of names and numbers, got {given!r}")
    if name == NNUNET_LOSS:
        if given:
            raise InputError(f"{NNUNET_LOSS} takes no parameters, got {', '.join(given)}")
        return {}
    if name not in losses.names():
        choice = ", ".join([NNUNET_LOSS, *losses.names()])
        raise InputError(f"unknown loss {name!r}; choose one of {choice}")
    try:
        complete: dict[str, Any] = losses.complete(
            name, {**SEGMENTATION_DEFAULTS.get(name, {}), **given}
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    if next(losses.create(name, **complete).parameters(), None) is not None:
        raise InputError(
            f"{name} has a parameter that is trained itself, which nnUNetTrainerANL does not do yet"
        )
    return complete


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
