"""Which labels are scored, what they are called and which is ignored: declared or found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.evaluation.metrics import Label
from anl_seg.formats.text import read_json


@dataclass(frozen=True)
class LabelSet:
    """The classes of one evaluation.

    Attributes:
        names: The scored labels or regions, each with its name ("" if it has none).
        ignore_label: Pixels with this label in the reference are left out.
        source: Where this was found, in words.
    """

    names: Mapping[Label, str]
    ignore_label: int | None
    source: str

    @property
    def allowed(self) -> set[int]:
        """Every value that a mask may hold in pixels that are not ignored."""
        members = (label if isinstance(label, tuple) else (label,) for label in self.names)
        return {0}.union(*members)

    def title(self, label: Label) -> str:
        """The label with its name, as in tables."""
        return f"{label} {self.names[label]}".strip()


def parse_labels(text: str) -> tuple[int, ...]:
    """Read labels written as "1,2,3" or "1 2 3".

    Raises:
        InputError: If one of them is not a whole number.
    """
    try:
        return tuple(int(word) for word in re.split(r"[,\s]+", text.strip()))
    except ValueError:
        raise InputError(f"labels {text!r}: expected whole numbers, as in 1,2,3") from None


def given_labels(labels: Sequence[int], ignore_label: int | None = None) -> LabelSet:
    """Score the labels that the user named.

    Raises:
        InputError: If there are none, one is negative or twice there, or one is also ignored.
    """
    wrong = not labels or len(set(labels)) < len(labels) or min(labels) < 0
    if wrong or ignore_label in labels:
        raise InputError(
            f"labels {list(labels)} with ignore label {ignore_label}: "
            "expected different labels from 0 on, none of them ignored"
        )
    return LabelSet(dict.fromkeys(labels, ""), ignore_label, "as given")


def found_labels(found: Iterable[int], ignore_label: int | None = None) -> LabelSet:
    """Score every label but 0 that the references hold.

    Raises:
        InputError: If the references hold only background.
    """
    labels = sorted(set(found) - {0})
    if not labels:
        raise InputError("the references hold only background; name the labels with --labels")
    return LabelSet(dict.fromkeys(labels, ""), ignore_label, "found in the references")


def declared_labels(path: Path, ignore_label: int | None = None) -> LabelSet:
    """Read the foreground labels or regions and the ignore label from nnU-Net's `dataset.json`.

    As nnU-Net reads it: if any label is a list of several, lists are regions (tuples here) and the
    background is not scored; `ignore_label` takes the place of the file's.

    Raises:
        InputError: If the file is no nnU-Net v2 `dataset.json`.
    """
    try:
        labels: dict[str, Any] = read_json(path)["labels"]
        values = {name: _label(value) for name, value in labels.items()}
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: has no nnU-Net v2 labels such as "
            '"labels": {"background": 0, "lesion": 1}; correct it, or name the labels with --labels'
        ) from error
    declared_ignore = values.pop("ignore", None)
    if isinstance(declared_ignore, tuple):
        raise InputError(f"{path}: the ignore label must be one number, found {declared_ignore}")
    if not any(isinstance(value, tuple) and len(value) > 1 for value in values.values()):
        values = {
            name: value[0] if isinstance(value, tuple) else value for name, value in values.items()
        }
    names = {value: name for name, value in values.items() if value not in (0, (0,))}
    if not names:
        raise InputError(f"{path}: declares no foreground label; name the labels with --labels")
    return LabelSet(
        names, declared_ignore if ignore_label is None else ignore_label, f"from {path}"
    )


def _label(value: Any) -> Label:  # noqa: ANN401 (whatever JSON holds)
    if value and isinstance(value, list):
        return tuple(int(member) for member in value)
    return int(value)
