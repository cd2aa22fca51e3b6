"""What a run is asked to do, and what follows from it: protocol, loss, device."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from anl_seg import losses
from anl_seg.bf16 import check_bf16
from anl_seg.classification.protocols import PROTOCOLS, Protocol
from anl_seg.errors import InputError, named
from anl_seg.losses import Preset

PRECISIONS = ("float32", "bf16")
DEVICES = ("auto", "cpu", "cuda", "mps")
#: Names in `overrides` that change the protocol; the rest goes to the loss and its penalties.
OF_PROTOCOL = ("epochs", "batch_size", "learning_rate")
OF_PENALTY = ("l1", "l2", "jacobian")


@dataclass(frozen=True)
class Settings:
    """All that the numbers of a run depend on.

    Attributes:
        protocol: A row of `PROTOCOLS`.
        loss: A name from `anl_seg.losses.names()`.
        noise: A kind from `anl_seg.noise.labels.KINDS`.
        eta: Rate of the noise, where it has one.
        seed: Of the noise, the weights, the order of the images and their augmentation.
        data: Folder or `.npz` file of the data set.
        human: File of CIFAR-10N's or CIFAR-100N's labels, for the noise `human`.
        labels: Noisy labels to load, as `anl-seg label-noise` writes them, instead of drawing.
        overrides: Values in place of the protocol's (`epochs`, `batch_size`, `learning_rate`), of
            the preset's (`l1`, `l2`, `jacobian`), or hyper-parameters of the loss.
        device: One of `DEVICES`.
        precision: One of `PRECISIONS`; bf16 by autocast.
        validation: Share of the training images that are held out, see
            `anl_seg.classification.validation`.

    Raises:
        InputError: If `validation` is no such share, or device or precision are unknown.
    """

    protocol: str = "digits"
    loss: str = "anl-ce"
    noise: str = "clean"
    eta: float | None = None
    seed: int = 1
    data: Path | None = None
    human: Path | None = None
    labels: Path | None = None
    overrides: Mapping[str, float] = field(default_factory=dict)
    device: str = "auto"
    precision: str = "float32"
    validation: float = 0.0

    def __post_init__(self) -> None:
        share = self.validation
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise InputError(f"validation must be a share from 0 to below 1, got {share!r}")
        for what, choices in {"device": DEVICES, "precision": PRECISIONS}.items():
            if (chosen := getattr(self, what)) not in choices:
                raise InputError(f"there is no {what} {chosen!r}; choose one of {named(choices)}")

    @property
    def name(self) -> str:
        """A name for the folder of the run."""
        noise = self.noise if self.labels is None else self.labels.stem
        rate = "" if self.eta is None else f"-{self.eta:g}"
        return f"{self.protocol}-{noise}{rate}-{self.loss}-seed{self.seed}"

    def as_json(self) -> dict[str, Any]:
        """For run.json: paths as text; `validation` only where images are held out."""
        return {
            key: str(value) if isinstance(value, Path) else value
            for key, value in dataclasses.asdict(self).items()
            if key != "validation" or value
        }


def parse_overrides(values: Sequence[str]) -> dict[str, float]:
    """Read `name=value` texts.

    Raises:
        InputError: If one is none.
    """
    overrides = {}
    for text in values:
        name, _, value = text.partition("=")
        try:
            overrides[name] = float(value)
        except ValueError as error:
            raise InputError(f"--set takes NAME=VALUE with a number, got {text!r}") from error
    return overrides


def protocol_of(settings: Settings) -> Protocol:
    """The row of the settings, with the overrides in it.

    Raises:
        InputError: If there is no such row, or an override makes no sense.
    """
    if settings.protocol not in PROTOCOLS:
        raise InputError(
            f"there is no protocol {settings.protocol!r}; choose one of {named(list(PROTOCOLS))}"
        )
    changes = {key: settings.overrides[key] for key in OF_PROTOCOL if key in settings.overrides}
    for key, value in changes.items():
        whole = key != "learning_rate"
        if not 0 < value < math.inf or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise InputError(f"{key} must be {kind} above 0, got {value:g}")
    protocol = PROTOCOLS[settings.protocol]
    return dataclasses.replace(
        protocol,
        epochs=int(changes.get("epochs", protocol.epochs)),
        batch_size=int(changes.get("batch_size", protocol.batch_size)),
        learning_rate=changes.get("learning_rate", protocol.learning_rate),
    )


def preset_of(settings: Settings, protocol: Protocol) -> Preset:
    """What the loss is trained with: the paper's values where it has any, with the overrides.

    A loss that the paper did not train on this data set takes its defaults, and the weight decay of
    cross entropy.

    Raises:
        InputError: If there is no such loss or hyper-parameter, or a value is impossible.
    """
    defaults = Preset(l2=protocol.presets["ce"].l2, source="defaults; weight decay as for ce")
    preset = protocol.presets.get(settings.loss, defaults)
    given = {k: v for k, v in settings.overrides.items() if k not in OF_PROTOCOL}
    penalties = {key: given.pop(key, getattr(preset, key)) for key in OF_PENALTY}
    for key, value in penalties.items():
        if not 0 <= value < math.inf:
            raise InputError(f"{key} must be a number of at least 0, got {value:g}")
    try:
        values = losses.complete(settings.loss, {**preset.hyper_parameters, **given})
    except ValueError as error:
        others = f" (or, of the training: {named([*OF_PROTOCOL, *OF_PENALTY])})" if given else ""
        raise InputError(f"{error}{others}") from error
    return Preset(values, **penalties, source=preset.source)


def device_of(settings: Settings, local_rank: int = 0) -> torch.device:
    """The device to train on; "auto" prefers CUDA, then MPS.

    Raises:
        InputError: If it is not there, or cannot compute in the precision asked for.
    """
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found.insert(0, "cuda")
    kind = found[0] if settings.device == "auto" else settings.device
    if kind not in found:
        raise InputError(f"there is no device {kind!r} here; choose one of {named(found)}")
    device = torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind)
    if settings.precision == "bf16":
        check_bf16(device)
    return device
