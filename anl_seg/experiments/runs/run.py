"""One run of either kind as data: its settings, all spelt out, and the id that they decide."""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from anl_seg.classification import settings as classification
from anl_seg.errors import InputError, named
from anl_seg.experiments.segmentation.run import SegmentationSettings
from anl_seg.noise import labels as label_noise

#: What a run may be repeated with and stay the same run; and what counts by its name only.
NOT_IN_ID = ("device",)
PATHS = ("data", "human")
HASH_LETTERS = 8

Form = TypeVar("Form")


@dataclass(frozen=True)
class Run:
    """A run to be done; made by `make_run`.

    Attributes:
        kind: A key of `KINDS`.
        settings: Complete, JSON values only.
        name: In words, for people.
    """

    kind: str
    settings: Mapping[str, Any]
    name: str

    @property
    def id(self) -> str:
        """The name and a hash of kind and settings: the same for the same run, on any machine.

        The device does not count, data sets by the name of their folder only, and files of noisy
        labels by their content: other images in a folder of the same name need other runs.
        """
        settings = {key: value for key, value in self.settings.items() if key not in NOT_IN_ID}
        settings |= {key: Path(settings[key]).name for key in PATHS if settings.get(key)}
        if settings.get("labels"):
            settings["labels"] = _digest(Path(settings["labels"]))
        text = json.dumps([self.kind, settings], sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:HASH_LETTERS]}"


def classification_settings(settings: Mapping[str, Any]) -> classification.Settings:
    """The settings of `anl-seg classify` from JSON values, checked.

    Raises:
        InputError: If one is unknown or impossible.
    """
    complete = _construct(classification.Settings, settings)
    classification.preset_of(complete, classification.protocol_of(complete))
    label_noise.check(complete.noise, complete.eta)
    return complete


def segmentation_settings(settings: Mapping[str, Any]) -> SegmentationSettings:
    """The settings of a segmentation run from JSON values, checked.

    Raises:
        InputError: If one is unknown or impossible.
    """
    return _construct(SegmentationSettings, settings)


#: Kind -> its settings from JSON values.
KINDS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = MappingProxyType(
    {"classification": classification_settings, "segmentation": segmentation_settings}
)


def make_run(kind: str, settings: Mapping[str, Any]) -> Run:
    """Complete and check the settings of a run.

    Args:
        kind: "classification" or "segmentation".
        settings: JSON values; what is not given takes its default.

    Raises:
        InputError: If the kind or a setting is unknown, or a value impossible.
    """
    if kind not in KINDS:
        raise InputError(f"there is no kind of run {kind!r}; choose one of {named(list(KINDS))}")
    complete = KINDS[kind](settings)
    return Run(kind, MappingProxyType(complete.as_json()), complete.name)


def _digest(path: Path) -> str:
    """Of a file's content, or its path where there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else str(path)


def _construct(form: type[Form], settings: Mapping[str, Any]) -> Form:
    hints = typing.get_type_hints(form)
    if unknown := sorted(set(settings) - set(hints)):
        raise InputError(f"unknown settings {named(unknown)}; there are {', '.join(hints)}")
    converted, problems = {}, []
    for name, value in settings.items():
        try:
            converted[name] = _converted(value, hints[name])
        except (TypeError, ValueError):
            problems.append(f"{name} must be {_in_words(hints[name])}, got {value!r}")
    if problems:
        raise InputError("; ".join(problems))
    return form(**converted)


def _converted(value: Any, hint: Any) -> Any:  # noqa: ANN401 (whatever JSON and YAML hold)
    """A JSON value as what the field of a dataclass holds.

    Raises:
        TypeError: If it is none.
        ValueError: If it is text that is no number, where one must be.
    """
    hint, may_miss = _wanted(hint)
    if value is None and may_miss:
        return None
    if isinstance(value, bool) or hint is bool:
        fits = isinstance(value, bool) and hint is bool
    elif typing.get_origin(hint) is Mapping:
        return {name: _converted(part, float) for name, part in dict(value).items()}
    elif hint is int:
        fits = isinstance(value, int)
    elif hint is float:
        return float(value)  # YAML reads 1e-6 as text
    else:
        fits = isinstance(value, (str, int))  # a fold may be 0
    if not fits:
        raise TypeError
    return hint(value)


def _wanted(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 (a type, in its many forms)
    """The type that a hint names, and whether None may stand in its place."""
    parts = typing.get_args(hint)
    if type(None) in parts:
        return parts[0], True
    return hint, False


def _in_words(hint: Any) -> str:  # noqa: ANN401 (as above)
    kind, _ = _wanted(hint)
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    if typing.get_origin(kind) is Mapping:
        return "names with numbers"
    return words.get(kind, "text")
