"""Labels of an evaluation: the scored ones, their names, and the ignore label."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anl_seg.errors import InputError
from anl_seg.formats.dataset_json import Label, labels_of, read_declared_labels


@dataclass(frozen=True)
class LabelSet:
    """The classes of one evaluation.

    Attributes:
        names: Name of each scored label or region ("" if it has none).
        ignore_label: Pixels with this label in the reference are left out.
        source: Origin of the labels, in words.
    """

    names: Mapping[Label, str]
    ignore_label: int | None
    source: str

    @property
    def allowed(self) -> set[int]:
        """Values allowed in pixels that are not ignored."""
        return {0}.union(*map(labels_of, self.names))

    def title(self, label: Label) -> str:
        """Return the label with its name, for tables.

        Args:
            label: A label or region of `names`.

        Returns:
            The heading, such as "1 liver".
        """
        return f"{label} {self.names[label]}".strip()


def parse_labels(text: str) -> tuple[int, ...]:
    """Parse labels written as "1,2,3" or "1 2 3".

    Raises:
        InputError: If one of them is not a whole number.
    """
    try:
        return tuple(int(word) for word in re.split(r"[,\s]+", text.strip()))
    except ValueError:
        raise InputError(f"labels {text!r}: expected whole numbers, as in 1,2,3") from None


def given_labels(labels: Sequence[int], ignore_label: int | None = None) -> LabelSet:
    """Score the labels given by the user.

    Raises:
        InputError: If there are none, or one of them is negative, repeated or also ignored.
    """
    wrong = not labels or len(set(labels)) < len(labels) or min(labels) < 0
    if wrong or ignore_label in labels:
        raise InputError(
            f"labels {list(labels)} with ignore label {ignore_label}: "
            "expected different labels from 0 on, none of them ignored"
        )
    return LabelSet(dict.fromkeys(labels, ""), ignore_label, "as given")


def found_labels(found: Iterable[int], ignore_label: int | None = None) -> LabelSet:
    """Score every label in the references except 0.

    Raises:
        InputError: If the references contain only background.
    """
    labels = sorted(set(found) - {0})
    if not labels:
        raise InputError("the references contain only background; name the labels with --labels")
    return LabelSet(dict.fromkeys(labels, ""), ignore_label, "found in the references")


def declared_labels(path: Path, ignore_label: int | None = None) -> LabelSet:
    """Read the foreground labels or regions and the ignore label from nnU-Net's `dataset.json`.

    As in nnU-Net, if any label is a list of several numbers, lists are regions (tuples here) and
    the background is not scored. `ignore_label` overrides the file's.

    Raises:
        InputError: If the file is not an nnU-Net v2 `dataset.json`.
    """
    try:
        declared = read_declared_labels(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{path}: {error}; correct it, or name the labels with --labels"
        ) from error
    if not declared.foreground:
        raise InputError(f"{path}: declares no foreground label; name the labels with --labels")
    return LabelSet(
        declared.foreground,
        declared.ignore_label if ignore_label is None else ignore_label,
        f"from {path}",
    )
