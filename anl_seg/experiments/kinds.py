"""The two kinds of runs: their settings, the functions that do them, and their metrics."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from anl_seg.classification.protocols import PROTOCOLS
from anl_seg.classification.run import run as train_classifier
from anl_seg.classification.settings import (
    OF_PROTOCOL,
    OF_REGULARIZERS,
    ClassificationSettings,
    preset_of,
    protocol_of,
)
from anl_seg.classification.validation import VALIDATION_CLEAN
from anl_seg.datasets.classification import DEFAULT_ROOT, load
from anl_seg.errors import InputError, named
from anl_seg.experiments.outcome import Outcome
from anl_seg.experiments.parsing import convert
from anl_seg.experiments.segmentation import settings as segmentation
from anl_seg.experiments.segmentation.data_sets import has_clean
from anl_seg.experiments.segmentation.run import run_segmentation
from anl_seg.experiments.segmentation.settings import PHANTOM, SegmentationSettings
from anl_seg.formats.files import RUN_NAME
from anl_seg.formats.text import read_json
from anl_seg.noise import labels as label_noise

#: Folder of the data sets that runs share, beside the folders of the runs.
SHARED_NAME = "data"
#: The data set that is part of scikit-learn.
DIGITS = "digits"
#: Objectives of a search: held-out images are compared with the given labels, or with clean ones.
GIVEN, CLEAN = "given", "clean"


class RunSettings(Protocol):
    """Settings of a run, complete and checked."""

    @property
    def name(self) -> str:
        """Name for the folder of the run."""

    def as_json(self) -> dict[str, Any]:
        """Return all settings as JSON values."""


@dataclass(frozen=True)
class HoldOutSetting:
    """The setting that holds images out of training.

    Attributes:
        setting: Name of the setting.
        default: Value in a search.
        nothing: Value if no images are held out.
    """

    setting: str
    default: Any
    nothing: Any


@dataclass(frozen=True)
class RunKind:
    """One kind of run. The setting `loss_parameters` has the hyper-parameters of its loss.

    Attributes:
        names: Names of the settings.
        make: Function that completes and checks settings from JSON values; raises `InputError`.
        run: Function that does the missing parts of a run with these settings in a folder.
        identity: Function that reduces settings to those that determine the id of a run.
        inputs: Function that returns the files and folders, by setting, that a run with these
            settings in a folder still has to read; raises `InputError` if one is not named.
        objectives: Metric of the held-out images for `GIVEN` and for `CLEAN`.
        held_out: The setting that holds images out.
        module: Module of an extra that the runs need, if any.
    """

    names: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], RunSettings]
    run: Callable[[Mapping[str, Any], Path], Outcome]
    identity: Callable[[Mapping[str, Any]], dict[str, Any]]
    inputs: Callable[[Mapping[str, Any], Path], dict[str, Path]]
    objectives: Mapping[str, str]
    held_out: HoldOutSetting
    module: str | None = None


def find_kind(name: str) -> RunKind:
    """Look up a kind of run.

    Args:
        name: A key of `KINDS`.

    Raises:
        InputError: If the kind is unknown.

    Examples:
        >>> find_kind("segmentation").objectives["given"]
        'validation_dice'
    """
    if name not in KINDS:
        raise InputError(f"unknown kind of run {name!r}; choose one of {named(list(KINDS))}")
    return KINDS[name]


def nest_parameters(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Sort values into settings and, if a name is no setting, hyper-parameters of the loss.

    Args:
        kind: A key of `KINDS`.
        values: Values by name, as typed.

    Returns:
        Settings, with the hyper-parameters under `loss_parameters`.

    Examples:
        >>> nest_parameters("classification", {"epochs": 3, "alpha": 2.0})
        {'epochs': 3, 'loss_parameters': {'alpha': 2.0}}
    """
    known = find_kind(kind).names
    own = {name: value for name, value in values.items() if name in known}
    others = {name: value for name, value in values.items() if name not in known}
    return own | {"loss_parameters": others}


def classification_settings(values: Mapping[str, Any]) -> ClassificationSettings:
    """Create the settings of a classification run from JSON values.

    Args:
        values: Values by name. Missing ones take their defaults.

    Raises:
        InputError: If a name is unknown or a value impossible.
    """
    settings = ClassificationSettings(
        **convert(typing.get_type_hints(ClassificationSettings), values)
    )
    protocol = protocol_of(settings)
    preset_of(settings, protocol)
    if settings.data is not None and protocol.dataset == DIGITS:
        raise InputError(
            f"data (--data) is {settings.data}, but {DIGITS} needs no files; omit it, or choose "
            "another data set (--dataset, in a sweep: protocol)"
        )
    label_noise.check(settings.noise, settings.eta)
    return settings


def _run_classification(values: Mapping[str, Any], folder: Path) -> Outcome:
    result = train_classifier(
        classification_settings(values),
        folder,
        report=lambda epoch: print(asdict(epoch), flush=True),
    )
    accuracies = {"test": result.last, "best_test": result.best, **result.further}
    names = {part: f"{part}_accuracy" for part in accuracies}
    names[VALIDATION_CLEAN] = "validation_accuracy_clean"
    return Outcome(
        metrics={names[part]: share for part, share in accuracies.items()},
        noise_sha256=read_json(folder / RUN_NAME)["labels"]["sha256"],
    )


def _classification_identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Rename settings to their original names, from which ids are computed."""
    values = {name: settings[name] for name in (*OF_PROTOCOL, *OF_REGULARIZERS)}
    values["l1"] = values.pop("delta")
    given = {name: float(value) for name, value in values.items() if value is not None}
    others = {key: value for key, value in settings.items() if key not in (*values, "delta")}
    parameters = others.pop("loss_parameters")
    return {**others, "overrides": {**parameters, **given}}


def _classification_inputs(settings: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    dataset = PROTOCOLS[settings["protocol"]].dataset
    if settings["data"] is None and dataset != DIGITS and not (DEFAULT_ROOT / dataset).exists():
        load(dataset)  # raises the error that says what to download
    if settings["noise"] == "human" and settings["human"] is None:
        raise InputError("noise human needs CIFAR-N's file; give it, or its folder, as human")
    names = ("data", "human", "labels")
    return {name: Path(settings[name]) for name in names if settings[name] is not None}


def _run_segmentation(values: Mapping[str, Any], folder: Path) -> Outcome:
    settings = SegmentationSettings.from_json(values)
    return run_segmentation(settings, folder, folder.parent / SHARED_NAME)


def _segmentation_inputs(values: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    settings = SegmentationSettings.from_json(values)
    if settings.data == PHANTOM or has_clean(settings, folder.parent / SHARED_NAME):
        return {}
    return {"data": Path(settings.data)}


#: Kinds of runs by name.
KINDS: Mapping[str, RunKind] = MappingProxyType(
    {
        "classification": RunKind(
            names=tuple(each.name for each in dataclasses.fields(ClassificationSettings)),
            make=classification_settings,
            run=_run_classification,
            identity=_classification_identity,
            inputs=_classification_inputs,
            objectives={GIVEN: "validation_accuracy", CLEAN: "validation_accuracy_clean"},
            held_out=HoldOutSetting("validation", default=0.2, nothing=0.0),
            module="tensorboardX",
        ),
        "segmentation": RunKind(
            names=segmentation.NAMES,
            make=SegmentationSettings.from_json,
            run=_run_segmentation,
            identity=segmentation.identity,
            inputs=_segmentation_inputs,
            objectives={GIVEN: "validation_dice", CLEAN: "validation_dice_clean"},
            held_out=HoldOutSetting("fold", default="0", nothing="all"),
        ),
    }
)
