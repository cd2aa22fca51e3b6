"""What a training run of ours is set to: read from a plans file, checked once, written back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from anl_seg import losses
from anl_seg.errors import InputError
from anl_seg.trainers.protocols import LEARNING_RATES, PROTOCOLS, Protocol

#: The key of a plans file under which the settings lie.
PLANS_KEY = "anl_seg"

#: nnU-Net's own loss (soft Dice + cross entropy), for a baseline under the same schedule and seed.
NNUNET_LOSS = "dice+ce"

#: What the arithmetic of the network may be. "float32" is nnU-Net's own choice for a device:
#: float32 on CPUs, on GPUs float32 mixed with float16. "bf16" is float32 mixed with bfloat16.
PRECISIONS = ("float32", "bf16")

#: Weights of ANL by optimiser. The paper gives none for ISIC-2017; these did best in small runs of
#: ours (benchmarks/alpha_beta.md). Under Adam they are the paper's for CIFAR-10: more weight on the
#: negative loss, whose pull grows with the distance from the boundary, makes masks too large. SGD
#: needs that pull to come back where everything was called background in the first steps.
ANL_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "sgd": {"alpha": 1.0, "beta": 20.0},
    "adam": {"alpha": 5.0, "beta": 5.0},
}
#: The paper's smallest (CIFAR-100): in masks the entropy term fights the background.
LAMBDA = 0.01


@dataclass(frozen=True)
class Settings:
    """Loss and schedule of one training run; a plans file may replace every default.

    Attributes:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce" for nnU-Net's own loss.
        loss_parameters: Hyper-parameters of the loss by the paper's names, such as alpha and beta;
            what is not given comes from `ANL_WEIGHTS` and `LAMBDA`, then from the loss table.
        delta: Weight of the L1 penalty on the network's parameters, >= 0; where it is positive,
            weight decay is switched off, as in the paper (section VI-B).
        dice_weight: Weight of nnU-Net's soft Dice beside the loss, >= 0.
        protocol: A name from `anl_seg.trainers.protocols.PROTOCOLS`.
        epochs: Number of epochs, or None for the protocol's, then the trainer class's (nnU-Net:
            1000).
        iterations: Training steps an epoch, or None likewise (nnU-Net: 250).
        optimizer: "sgd" or "adam"; None is filled in from the protocol.
        precision: One of `PRECISIONS`.
        seed: Seed of weights, and of data order and augmentation where nnU-Net loads in one process
            (nnUNet_n_proc_DA=0); None for nnU-Net's own unseeded behaviour.

    Raises:
        InputError: If a value is impossible; the message names the setting and what is allowed.
    """

    loss: str = "anl-ce"
    loss_parameters: dict[str, Any] = field(default_factory=dict)
    delta: float = 0.0
    dice_weight: float = 0.0
    protocol: str = "nnunet"
    epochs: int | None = None
    iterations: int | None = None
    optimizer: str | None = None
    precision: str = "float32"
    seed: int | None = None

    def __post_init__(self) -> None:
        _check_choice("protocol", self.protocol, PROTOCOLS)
        _check_choice("precision", self.precision, PRECISIONS)
        if self.optimizer is None:
            object.__setattr__(self, "optimizer", self.schedule.optimizer)
        _check_choice("optimizer", self.optimizer, LEARNING_RATES)
        complete = _complete_parameters(self.loss, self.loss_parameters, str(self.optimizer))
        object.__setattr__(self, "loss_parameters", complete)
        for name in ("delta", "dice_weight"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value < math.inf:
                raise InputError(f"{name} must be a number in [0, inf), got {value!r}")
        if self.dice_weight and self.loss == NNUNET_LOSS:
            raise InputError(f"{NNUNET_LOSS} has its own Dice term; leave dice_weight at 0")
        if not self.dice_weight:
            _check_weights(self.loss, complete)
        for name, least in {"epochs": 1, "iterations": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and not (_is_integer(value) and value >= least):
                raise InputError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )
        if self.epochs is None:
            object.__setattr__(self, "epochs", self.schedule.epochs)

    @property
    def schedule(self) -> Protocol:
        """The protocol by its name."""
        return PROTOCOLS[self.protocol]

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any], loss: str = "anl-ce") -> Settings:
        """Read the settings of a plans file's content; without an entry, all defaults.

        Args:
            plans: The content.
            loss: The loss where the plans name none.

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
            return cls(**{"loss": loss, **entry})
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


def _complete_parameters(name: str, given: object, optimizer: str) -> dict[str, Any]:
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
    ours = {**ANL_WEIGHTS[optimizer], "lambda_": LAMBDA} if name.startswith("anl-") else {}
    takes = losses.describe(name).parameters
    try:
        complete: dict[str, Any] = losses.complete(
            name, {key: ours[key] for key in ours if key in takes} | {**given}
        )
    except ValueError as error:
        raise InputError(str(error)) from error
    return complete


def _check_weights(name: str, parameters: Mapping[str, float]) -> None:
    """Check that a loss has a term that looks at the labels, whose weight is not 0."""
    terms = () if name == NNUNET_LOSS else losses.describe(name).terms  # T-Loss has none either
    weights = [term.weight for term in terms]
    if terms and not any(weight is None or parameters[weight] for weight in weights):
        raise InputError(
            f"{' and '.join(map(str, weights))} of {name} must not all be 0, as then nothing is "
            "learned from the labels"
        )


def _check_choice(name: str, value: object, choices: Collection[str]) -> None:
    if value not in list(choices):  # a list: the value may be of any type
        raise InputError(f"unknown {name} {value!r}; choose one of {', '.join(choices)}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
