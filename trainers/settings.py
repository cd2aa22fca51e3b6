"""Settings of one training, read from and written to a plans file."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from anl_seg import losses
from anl_seg.errors import InputError
from anl_seg.formats.nnunet import TRAINER
from anl_seg.trainers.defaults import OPTIONS, defaults
from anl_seg.trainers.protocols import LEARNING_RATES, PROTOCOLS, TrainingProtocol

#: Key of the settings in a plans file.
PLANS_KEY = "anl_seg"

#: nnU-Net's own loss (soft Dice + cross entropy), for a baseline under the same schedule and seed.
NNUNET_LOSS = "dice+ce"

#: Arithmetic of the network. "float32" is nnU-Net's own choice: float32 on CPUs, float32 mixed
#: with float16 on GPUs. "bf16" is float32 mixed with bfloat16.
PRECISIONS = ("float32", "bf16")


@dataclass(frozen=True)
class TrainerSettings:
    """Loss and schedule of one training. A plans file may replace every default.

    Attributes:
        loss: A name from `anl_seg.losses.names()`, or "dice+ce" for nnU-Net's own loss, in any
            spelling that `anl_seg.losses.canonical_name` knows.
        loss_parameters: Hyper-parameters of the loss by the paper's names, such as alpha and beta.
            Missing ones come from `anl_seg.trainers.defaults`, then from the loss table.
        delta: Weight of the L1 penalty on the network's parameters, >= 0. If it is positive, weight
            decay is switched off, as in the paper (section VI-B).
        dice_weight: Weight of nnU-Net's soft Dice beside the loss, >= 0. For this and the next four
            settings, None is the default of `anl_seg.trainers.defaults`.
        ce_weight: Weight of plain cross entropy, nnU-Net's other term, beside the loss, >= 0.
        warmup: Share of the epochs, in [0, 1], that train with nnU-Net's own loss first. The
            warm-up also ends when the labels are corrected. With 1, it ends only then.
        ema: Decay of the moving average of the weights, in [0, 1). Validation, checkpoints and
            prediction use the average. 0 switches it off.
        bootstrap: Weight of the network's own prediction in the labels after the warm-up, in
            [0, 1). It needs a warm-up.
        correct_labels: Whether the network's own predictions replace the training labels once the
            validation Dice is past its peak (`anl_seg.trainers.correction`). None for the default.
        protocol: A name from `anl_seg.trainers.protocols.PROTOCOLS`.
        epochs: Number of epochs; None for the protocol's, then the trainer class's (nnU-Net: 1000).
        iterations: Training steps per epoch; None for the protocol's, then the trainer class's
            (nnU-Net: 250).
        optimizer: "sgd" or "adam"; None for the protocol's.
        precision: One of `PRECISIONS`.
        seed: Seed of the weights, and of data order and augmentation if nnU-Net loads in one
            process (nnUNet_n_proc_DA=0). With None, nothing is seeded, as in nnU-Net.

    Raises:
        InputError: If a value is impossible. The message names the setting and the valid values.
    """

    loss: str = "anl-ce"
    loss_parameters: dict[str, Any] = field(default_factory=dict)
    delta: float = 0.0
    dice_weight: float | None = None
    ce_weight: float | None = None
    warmup: float | None = None
    ema: float | None = None
    bootstrap: float | None = None
    correct_labels: bool | None = None
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
        loss = losses.canonical_name(self.loss, also=[NNUNET_LOSS])
        object.__setattr__(self, "loss", loss)
        self._complete()
        self._check_options()
        for name, least in {"epochs": 1, "iterations": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and not (_is_integer(value) and value >= least):
                raise InputError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )
        if self.epochs is None:
            object.__setattr__(self, "epochs", self.schedule.epochs)

    def _complete(self) -> None:
        """Fill in the defaults of the options and of the loss's hyper-parameters."""
        ours = defaults(self.loss, self.protocol)
        if self.correct_labels is None:
            object.__setattr__(self, "correct_labels", ours["correct_labels"])
        elif not self.correct_labels and ours["warmup"] == 1:
            ours["warmup"] = 0.0  # it would last until the correction
        for name in OPTIONS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, ours[name])
        complete = _complete_parameters(self.loss, self.loss_parameters, ours["loss_parameters"])
        object.__setattr__(self, "loss_parameters", complete)

    def _check_options(self) -> None:
        """Check the options beside the loss, and their combination."""
        if not isinstance(self.correct_labels, bool):
            raise InputError(f"correct_labels must be true or false, got {self.correct_labels!r}")
        limits = {"delta": math.inf, "dice_weight": math.inf, "ce_weight": math.inf}
        for name in ("delta", *OPTIONS):
            value, limit = getattr(self, name), limits.get(name, 1)
            if name == "warmup" and value == 1 and self.correct_labels:
                continue
            if not _is_number(value) or not 0 <= value < limit:
                raise InputError(f"{name} must be a number in [0, {limit}), got {value!r}")
        beside = {"dice_weight": "Dice", "ce_weight": "cross entropy"}
        for name, term in beside.items():
            if getattr(self, name) and self.loss == NNUNET_LOSS:
                raise InputError(f"{NNUNET_LOSS} has its own {term} term; keep {name} at 0")
        if not (self.dice_weight or self.ce_weight):
            _check_weights(self.loss, self.loss_parameters)
        if self.bootstrap and not self.warmup:
            raise InputError(
                "bootstrap needs a warm-up, because the first predictions are only background; "
                "set warmup, such as --warmup 0.2"
            )

    def warmup_epochs(self, epochs: int) -> int:
        """Return the number of warm-up epochs among `epochs`; with a warm-up, at least one.

        Args:
            epochs: Number of epochs of the training.

        Returns:
            Number of epochs, 0 without a warm-up.
        """
        if not self.warmup:
            return 0
        if self.warmup == 1:
            return epochs  # unless the labels are corrected before
        return min(max(1, round(self.warmup * epochs)), epochs - 1)

    @property
    def schedule(self) -> TrainingProtocol:
        """Protocol of the training."""
        return PROTOCOLS[self.protocol]

    @classmethod
    def from_plans(cls, plans: Mapping[str, Any], loss: str = "anl-ce") -> TrainerSettings:
        """Read the settings from the content of a plans file; without an entry, use the defaults.

        Args:
            plans: Content of the plans file.
            loss: Loss for plans without one.

        Returns:
            The settings.

        Raises:
            InputError: If the entry has an unknown setting or an impossible value.
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
                f"{where} has unknown settings: {', '.join(unknown)}; valid are {', '.join(known)}"
            )
        try:
            return cls(**{"loss": loss, **entry})
        except InputError as error:
            raise InputError(
                f"{where}: {error}; write the plans again with `anl-seg plan`"
            ) from error

    def differences(self, other: TrainerSettings) -> list[str]:
        """List the settings that differ, such as "epochs is 10, was 5" (here, in `other`).

        Args:
            other: Settings to compare with.

        Returns:
            One text for each setting.
        """
        return [
            f"{setting.name} is {getattr(self, setting.name)}, was {getattr(other, setting.name)}"
            for setting in fields(self)
            if getattr(self, setting.name) != getattr(other, setting.name)
        ]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items())


def settings_of_class(plans: Mapping[str, Any], trainer: str, loss: str) -> TrainerSettings:
    """Read the settings from plans for a trainer class that may train only one loss.

    Args:
        plans: Content of a plans file.
        trainer: Name of the class.
        loss: Loss of the class. All classes except the default one train only their own loss.

    Raises:
        InputError: If the plans ask for another loss, or their settings are wrong.
    """
    settings = TrainerSettings.from_plans(plans, loss)
    if loss not in (settings.loss, TrainerSettings.loss):
        raise InputError(
            f"plans {plans['plans_name']!r} ask for the loss {settings.loss!r}, but {trainer} "
            f"trains {loss!r}; train with -tr {TRAINER}, which takes the loss from the plans, or "
            f"plan with --loss {loss}"
        )
    return settings


def _complete_parameters(name: str, given: object, ours: Mapping[str, float]) -> dict[str, Any]:
    """Check the hyper-parameters of a loss, and fill in the missing ones."""
    if not isinstance(given, Mapping):
        raise InputError(f"loss_parameters must be an object of names and numbers, got {given!r}")
    if name == NNUNET_LOSS:
        if given:
            raise InputError(f"{NNUNET_LOSS} takes no parameters, got {', '.join(given)}")
        return {}
    complete: dict[str, Any] = losses.complete(name, {**ours, **given})
    return complete


def _check_weights(name: str, parameters: Mapping[str, float]) -> None:
    """Check that at least one term of a loss has a weight that is not 0."""
    terms = () if name == NNUNET_LOSS else losses.describe(name).terms  # T-Loss has none either
    weights = [term.weight for term in terms]
    if terms and not any(weight is None or parameters[weight] for weight in weights):
        raise InputError(
            f"{' and '.join(map(str, weights))} of {name} must not all be 0, because the network "
            "would then not learn from the labels"
        )


def _check_choice(name: str, value: object, choices: Collection[str]) -> None:
    if value not in list(choices):  # a list: the value may be of any type
        raise InputError(f"unknown {name} {value!r}; choose one of {', '.join(choices)}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
