"""Which classes or regions are judged, and which channel of the probabilities belongs to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.formats.masks import Labels
from anl_seg.formats.text import read_json

Label = int | tuple[int, ...]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Attributes:
        names: Class (a label, or several as a region) -> its name, the background left out.
        regions: Whether the probabilities are independent, one channel a region. Otherwise the
            channels are those of the labels 0, 1, ... and sum to one.
        ignore_label: Pixels with this label in the given mask are not judged.
        order: The label that nnU-Net writes for each region, `regions_class_order`.
    """

    names: Mapping[Label, str]
    regions: bool = False
    ignore_label: int | None = None
    order: Sequence[int] = ()

    @property
    def channels(self) -> int:
        """Number of channels that the probabilities must have."""
        return len(self.names) if self.regions else 1 + max(_members(self.names))

    @property
    def allowed(self) -> set[int]:
        """Every value that a label map may hold."""
        ignored = set() if self.ignore_label is None else {self.ignore_label}
        return {0} | ignored | set(_members(self.names))

    def channel(self, probabilities: Floats, place: int) -> Floats:
        """Probability of the class in this place of `names`."""
        channel: Floats = probabilities[place if self.regions else list(self.names)[place]]
        return channel

    def predicted(self, probabilities: Floats) -> Labels:
        """The label map that nnU-Net makes of probabilities `(channels, *S)`."""
        if not self.regions:
            return np.asarray(probabilities.argmax(0), _smallest(self.channels - 1))
        dtype = _smallest(max(self.order))
        found = np.zeros(probabilities.shape[1:], dtype=dtype)
        for channel, label in zip(probabilities, self.order, strict=True):
            found[channel > 0.5] = label
        return found


def _smallest(highest: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint16 if highest > 255 else np.uint8


def members(labels: Labels, label: Label) -> NDArray[np.bool_]:
    """The pixels of a class or region."""
    return np.isin(labels, label) if isinstance(label, tuple) else labels == label


def plain_classes(count: int, ignore_label: int | None = None) -> Classes:
    """The labels 1 to `count - 1` without names."""
    return Classes({label: "" for label in range(1, count)}, ignore_label=ignore_label)


def declared_classes(path: Path) -> Classes:
    """Read the classes from nnU-Net's `dataset.json`.

    Raises:
        InputError: If the file does not declare labels as nnU-Net does.
    """
    content = read_json(path)
    try:
        values = {name: _label(value) for name, value in content["labels"].items()}
        order = tuple(int(value) for value in content.get("regions_class_order", ()))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path}: has no nnU-Net labels such as "
            '"labels": {"background": 0, "lesion": 1}; correct the file'
        ) from error
    ignore = values.pop("ignore", None)
    if isinstance(ignore, tuple):
        raise InputError(f"{path}: the ignore label must be one number, found {ignore}")
    regions = any(isinstance(value, tuple) and len(value) > 1 for value in values.values())
    names = {value: name for name, value in values.items() if value not in (0, (0,))}
    if not regions:
        names = {label: names[label] for label in sorted(names, key=lambda one: _members([one]))}
    if not names or (regions and len(order) != len(names)):
        raise InputError(
            f"{path}: declares {len(names)} foreground classes and regions_class_order "
            f"{list(order)}; each region needs its label there"
        )
    return Classes(names, regions, ignore, order)


def _label(value: Any) -> Label:  # noqa: ANN401 (whatever JSON holds)
    if isinstance(value, list):
        numbers = tuple(int(member) for member in value)
        return numbers if len(numbers) > 1 else numbers[0]
    return int(value)


def _members(labels: Any) -> list[int]:  # noqa: ANN401 (classes in any container)
    return [
        value for label in labels for value in (label if isinstance(label, tuple) else (label,))
    ]
