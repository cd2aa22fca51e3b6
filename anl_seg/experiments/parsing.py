"""Parsing of settings: NAME=VALUE on a command line, values in YAML and JSON."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError, named


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts of the option --set. Values are JSON if possible, otherwise text.

    Args:
        texts: Values of --set, such as "epochs=3" or "data=FOLDER".

    Returns:
        Numbers, truth values, None, lists or texts by name.

    Raises:
        InputError: If a text has no name or no value, or a name occurs twice.

    Examples:
        >>> parse_settings(["epochs=3", "delta=1e-5", "device=cpu"])
        {'epochs': 3, 'delta': 1e-05, 'device': 'cpu'}
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise InputError(f"--set takes NAME=VALUE, got {text!r}")
        if name in settings:
            raise InputError(f"--set {name} is given twice; keep one")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def given_settings(options: Mapping[str, object], texts: Iterable[str]) -> dict[str, Any]:
    """Combine settings that have options of their own with those of the option --set.

    Args:
        options: Values of the former by option, such as "--data", or "--dataset protocol" if the
            setting has another name. None if an option is not given.
        texts: Values of --set.

    Returns:
        Values by name of the setting; paths as text.

    Raises:
        InputError: If a text of --set is wrong, or sets what an option sets.

    Examples:
        >>> given_settings({"--dataset protocol": "digits", "--eta": None}, ["epochs=3"])
        {'epochs': 3, 'protocol': 'digits'}
    """
    settings = parse_settings(texts)
    for option, value in options.items():
        name = option.split()[-1].removeprefix("--")
        if value is None:
            continue
        if name in settings:
            option = option.split()[0]
            raise InputError(f"--set {name} and {option} set the same; use {option} alone")
        settings[name] = str(value) if isinstance(value, Path) else value
    return settings


def convert(hints: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert JSON values to the types of a dataclass's fields.

    Args:
        hints: Type of each field by name, from `typing.get_type_hints`.
        settings: JSON values by name.

    Returns:
        Converted values by name.

    Raises:
        InputError: If a name is unknown or a value has another type. The message lists them all.

    Examples:
        >>> convert({"epochs": int, "rate": float}, {"rate": "1e-6"})
        {'rate': 1e-06}
    """
    if unknown := sorted(set(settings) - set(hints)):
        raise InputError(f"unknown settings {named(unknown)}; valid are {', '.join(hints)}")
    converted, problems = {}, []
    for name, value in settings.items():
        try:
            converted[name] = _converted(value, hints[name])
        except (TypeError, ValueError):
            problems += _problems(name, value, hints[name])
    if problems:
        raise InputError("; ".join(problems))
    return converted


def _converted(value: Any, hint: Any) -> Any:  # noqa: ANN401 (whatever JSON and YAML hold)
    """Convert a JSON value to a type.

    Raises:
        TypeError: If the value has another type.
        ValueError: If a number is expected, and the value is text that is not a number.
    """
    hint, may_miss = _wanted(hint)
    if value is None and may_miss:
        return None
    if isinstance(value, bool) or hint is bool:
        fits = isinstance(value, bool) and hint is bool
    elif typing.get_origin(hint) in (dict, Mapping):
        return {name: _converted(part, float) for name, part in dict(value).items()}
    elif typing.get_origin(hint) is tuple:
        return tuple(
            _converted(part, str) for part in ([value] if isinstance(value, str) else value)
        )
    elif hint is int:
        fits = isinstance(value, int)
    elif hint is float:
        return float(value)  # YAML reads 1e-6 as text
    else:
        fits = isinstance(value, (str, int))  # a fold may be 0
    if not fits:
        raise TypeError
    return hint(value)


def _problems(name: str, value: Any, hint: Any) -> list[str]:  # noqa: ANN401 (as above)
    """Describe the error of a value, or of each one among several hyper-parameters."""
    if isinstance(value, Mapping) and typing.get_origin(hint) in (dict, Mapping):
        return [
            f"{key} must be a number, got {part!r}"
            for key, part in value.items()
            if isinstance(part, bool) or not _reads_as_number(part)
        ]
    return [f"{name} must be {_in_words(hint)}, got {value!r}"]


def _reads_as_number(value: Any) -> bool:  # noqa: ANN401 (as above)
    """Return whether a value is a number, or text that can be read as one."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _wanted(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 (a type, in its many forms)
    """Split a type into the type itself and whether it may be None."""
    parts = typing.get_args(hint)
    if type(None) in parts:
        return parts[0], True
    return hint, False


def _in_words(hint: Any) -> str:  # noqa: ANN401 (as above)
    """Name a type for a message."""
    kind, _ = _wanted(hint)
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    if typing.get_origin(kind) in (dict, Mapping):
        return "names with numbers"
    if typing.get_origin(kind) is tuple:
        return "a list of texts"
    return words.get(kind, "text")
