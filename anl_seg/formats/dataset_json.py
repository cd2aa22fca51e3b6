"""Labels and file ending declared in nnU-Net's `dataset.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anl_seg.errors import InputError
from anl_seg.formats.text import read_json

#: A label, or a region: several labels taken together as one class.
Label = int | tuple[int, ...]
IGNORE = "ignore"


@dataclass(frozen=True)
class DatasetLabels:
    """The labels of a data set.

    Attributes:
        declared: Declared labels by name, including the background and `IGNORE`. Lists are tuples.
        region_order: Label that nnU-Net writes for each region, `regions_class_order`.
    """

    declared: Mapping[str, Label]
    region_order: tuple[int, ...] = ()

    @property
    def has_regions(self) -> bool:
        """Whether nnU-Net trains regions, that is, any label is a list of several numbers."""
        return any(isinstance(value, tuple) and len(value) > 1 for value in self.declared.values())

    @property
    def ignore_label(self) -> int | None:
        """Label of ignored pixels, if any."""
        value = self.declared.get(IGNORE)
        return None if value is None else labels_of(value)[0]

    @property
    def foreground(self) -> dict[Label, str]:
        """Names by foreground label or region. As in nnU-Net, regions of one label are tuples."""
        return {
            value if self.has_regions or isinstance(value, int) else value[0]: name
            for name, value in self.declared.items()
            if name != IGNORE and value not in (0, (0,))
        }

    @property
    def values(self) -> frozenset[int]:
        """All values that masks may contain."""
        return frozenset(each for value in self.declared.values() for each in labels_of(value))


def labels_of(label: Label) -> tuple[int, ...]:
    """Return the labels of a region; a single label is its own region."""
    return label if isinstance(label, tuple) else (label,)


def read_declared_labels(path: Path) -> DatasetLabels:
    """Read the labels of a `dataset.json`.

    Raises:
        InputError: If the file is not JSON.
        ValueError: If it does not declare labels as nnU-Net v2 does. The message lacks the path.
    """
    content = read_json(path)
    try:
        declared = {str(name): _label(value) for name, value in content["labels"].items()}
        order = tuple(int(value) for value in content.get("regions_class_order", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            'has no nnU-Net v2 labels such as "labels": {"background": 0, "lesion": 1}'
        ) from error
    if isinstance(ignore := declared.get(IGNORE), tuple):
        raise ValueError(f"the ignore label must be one number, found {ignore}")
    return DatasetLabels(declared, order)


def read_file_ending(path: Path) -> str:
    """Read the ending of the files of a raw data set, such as ".png", from its `dataset.json`.

    Raises:
        InputError: If the file is not JSON, declares no ending, or lists files under nnU-Net's key
            `dataset`. The folders may then hold other files.
        OSError: If the file does not exist or cannot be read.
    """
    content = read_json(path)
    ending = content.get("file_ending") if isinstance(content, dict) else None
    if not isinstance(ending, str):
        raise InputError(f"{path}: has no file_ending; complete the file")
    if "dataset" in content:
        raise InputError(
            f"{path}: lists files under the key dataset, which is not supported; "
            "put the files into imagesTr and labelsTr and remove the key"
        )
    return ending


def _label(value: Any) -> Label:  # noqa: ANN401 (whatever JSON holds)
    if value and isinstance(value, list):
        return tuple(_whole(member) for member in value)
    return _whole(value)


def _whole(value: Any) -> int:  # noqa: ANN401 (whatever JSON holds)
    number = int(value)
    if isinstance(value, bool) or (isinstance(value, float) and value != number):
        raise ValueError(f"{value} is no label")
    return number
