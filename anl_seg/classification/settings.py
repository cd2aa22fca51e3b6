"""Settings of a classification run, and the protocol, loss and device that follow from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from anl_seg import losses
from anl_seg.bf16 import check_bf16
from anl_seg.classification.protocols import PROTOCOLS, ClassificationProtocol
from anl_seg.devices import DEVICES, check_device, find_devices
from anl_seg.errors import InputError, named
from anl_seg.losses import Preset

PRECISIONS = ("float32", "bf16")
#: Settings that replace a value of the protocol.
OF_PROTOCOL = ("epochs", "batch_size", "learning_rate")
#: Settings that replace a value of the preset: the weight of each regulariser.
OF_REGULARIZERS = ("delta", "l2", "jacobian")


@dataclass(frozen=True)
class ClassificationSettings:
    """All settings that the numbers of a classification run depend on.

    Attributes:
        protocol: A row of `PROTOCOLS`.
        loss: A name from `anl_seg.losses.names()`, in any case, with `-` or `_`.
        noise: A kind from `anl_seg.noise.labels.KINDS`.
        eta: Share of wrong labels, if the noise has one.
        seed: Seed of the noise, the weights, the order of the images and their augmentation, at
            least 0.
        data: Folder or `.npz` file of the data set.
        human: File of CIFAR-10N's or CIFAR-100N's labels, for the noise `human`.
        labels: Noisy labels to load, as `anl-seg label-noise` writes them, instead of drawing.
        loss_parameters: Hyper-parameters of the loss that replace those of its preset.
        epochs: Number of epochs, or None for the protocol's.
        batch_size: Images per step, or None for the protocol's.
        learning_rate: Learning rate of the first epoch, or None for the protocol's.
        delta: Weight of the L1 norm of the network's parameters, or None for the preset's.
        l2: Weight decay, or None for the preset's.
        jacobian: Weight of the Jacobian penalty, or None for the preset's.
        device: One of `anl_seg.devices.DEVICES`.
        precision: One of `PRECISIONS`; bf16 by autocast.
        validation: Share of the training images that are held out, see
            `anl_seg.classification.validation`.

    Raises:
        InputError: If the loss, the device or the precision is unknown, a number is impossible, or
            files of labels do not fit the noise.

    Examples:
        >>> ClassificationSettings("digits", "ANL_CE", noise="symmetric", eta=0.4).name
        'digits-symmetric-0.4-anl-ce-seed1'
    """

    protocol: str = "digits"
    loss: str = "anl-ce"
    noise: str = "clean"
    eta: float | None = None
    seed: int = 1
    data: Path | None = None
    human: Path | None = None
    labels: Path | None = None
    loss_parameters: Mapping[str, float] = field(default_factory=dict)
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    delta: float | None = None
    l2: float | None = None
    jacobian: float | None = None
    device: str = "auto"
    precision: str = "float32"
    validation: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", losses.canonical_name(self.loss))
        if self.seed < 0:
            raise InputError(f"seed must be a whole number of at least 0, got {self.seed}")
        share = self.validation
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise InputError(f"validation must be a share from 0 to below 1, got {share!r}")
        for what, choices in {"device": DEVICES, "precision": PRECISIONS}.items():
            if (chosen := getattr(self, what)) not in choices:
                raise InputError(f"unknown {what} {chosen!r}; choose one of {named(choices)}")
        drawn = self.noise != "clean" or self.eta is not None
        if self.labels is not None and (drawn or self.human is not None):
            raise InputError(
                f"{self.labels} (--labels) defines the noise; omit --noise, --eta and --human"
            )
        if self.human is not None and self.noise != "human":
            raise InputError(f"human labels (--human) need --noise human, got --noise {self.noise}")

    @property
    def name(self) -> str:
        """Name for the folder of the run."""
        noise = self.noise if self.labels is None else self.labels.stem
        rate = "" if self.eta is None else f"-{self.eta:g}"
        return f"{self.protocol}-{noise}{rate}-{self.loss}-seed{self.seed}"

    def as_json(self) -> dict[str, Any]:
        """Return all settings as JSON values; `validation` only if images are held out.

        Returns:
            Values by the names of the settings.
        """
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in dataclasses.asdict(self).items()
            if name != "validation" or value
        }


def protocol_of(settings: ClassificationSettings) -> ClassificationProtocol:
    """Look up the protocol of a run, with the values that the settings replace.

    Args:
        settings: Settings of the run.

    Returns:
        The protocol.

    Raises:
        InputError: If the protocol is unknown, or a value is impossible.
    """
    if settings.protocol not in PROTOCOLS:
        raise InputError(
            f"unknown protocol {settings.protocol!r}; choose one of {named(list(PROTOCOLS))}"
        )
    changes: dict[str, Any] = _given(settings, OF_PROTOCOL)
    for name, value in changes.items():
        whole = name != "learning_rate"
        if not 0 < value < math.inf or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise InputError(f"{name} must be {kind} above 0, got {value:g}")
    return dataclasses.replace(PROTOCOLS[settings.protocol], **changes)


def preset_of(settings: ClassificationSettings, protocol: ClassificationProtocol) -> Preset:
    """Return the paper's preset of the loss, with the values that the settings replace.

    A loss that the paper did not train on this data set gets its defaults, and the weight decay of
    cross entropy.

    Args:
        settings: Settings of the run.
        protocol: Protocol of the run.

    Returns:
        All hyper-parameters of the loss, and the weights of the regularisers.

    Raises:
        InputError: If a hyper-parameter is unknown, or a value is impossible.
    """
    defaults = Preset(l2=protocol.presets["ce"].l2, source="defaults; weight decay as for ce")
    preset = protocol.presets.get(settings.loss, defaults)
    weights: dict[str, Any] = _given(settings, OF_REGULARIZERS)
    for name, value in weights.items():
        if not 0 <= value < math.inf:
            raise InputError(f"{name} must be a number of at least 0, got {value:g}")
    given = {**preset.hyper_parameters, **settings.loss_parameters}
    try:
        complete = losses.complete(settings.loss, given)
    except ValueError as error:
        others = named([*OF_PROTOCOL, *OF_REGULARIZERS])
        raise InputError(f"{error} (settings of the training are {others})") from error
    return dataclasses.replace(preset, hyper_parameters=complete, **weights)


def _given(settings: ClassificationSettings, names: tuple[str, ...]) -> dict[str, float]:
    """Return the settings among `names` that are not None."""
    values = {name: getattr(settings, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def device_of(settings: ClassificationSettings, local_rank: int = 0) -> torch.device:
    """Choose the device to train on; "auto" prefers CUDA, then MPS.

    Args:
        settings: Settings of the run.
        local_rank: Number of the GPU, if there are several.

    Raises:
        InputError: If the machine does not have the device, or the device lacks the precision.
    """
    kind = find_devices()[0] if settings.device == "auto" else settings.device
    check_device(kind)
    device = torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind)
    if settings.precision == "bf16":
        check_bf16(device)
    return device
