"""Which classes or regions are judged, and which channel of the probabilities belongs to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError
from anl_seg.formats.dataset_json import Label, labels_of, read_declared_labels
from anl_seg.formats.masks import Labels

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
        grey: Whether predictions of 8 bits hold 255 times the probability of the only class.
    """

    names: Mapping[Label, str]
    regions: bool = False
    ignore_label: int | None = None
    order: Sequence[int] = ()
    grey: bool = False

    @property
    def labels(self) -> set[int]:
        """The labels of all classes and regions."""
        return set().union(*map(labels_of, self.names))

    @property
    def channels(self) -> int:
        """Number of channels that the probabilities must have."""
        return len(self.names) if self.regions else 1 + max(self.labels)

    @property
    def allowed(self) -> set[int]:
        """Every value that a label map may hold."""
        ignored = set() if self.ignore_label is None else {self.ignore_label}
        return {0} | ignored | self.labels

    @property
    def is_binary(self) -> bool:
        """Whether the only class is the label 1."""
        return not self.regions and self.labels == {1}

    def channel(self, probabilities: Floats, place: int) -> Floats:
        """Return the probability of the class in this place of `names`.

        Args:
            probabilities: `(channels, *S)`.
            place: Position of the class in `names`.

        Returns:
            Probability of the class, `(*S)`.
        """
        channel: Floats = probabilities[place if self.regions else list(self.names)[place]]
        return channel

    def predicted(self, probabilities: Floats) -> Labels:
        """Make the label map that nnU-Net makes of probabilities `(channels, *S)`.

        Args:
            probabilities: `(channels, *S)`.

        Returns:
            The label map, `(*S)`.
        """
        if not self.regions:
            return np.asarray(probabilities.argmax(0), _smallest(self.channels - 1))
        dtype = _smallest(max(self.order))
        found = np.zeros(probabilities.shape[1:], dtype=dtype)
        for channel, label in zip(probabilities, self.order, strict=True):
            found[channel > 0.5] = label
        return found


def _smallest(highest: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint16 if highest > 255 else np.uint8


def plain_classes(count: int, ignore_label: int | None = None) -> Classes:
    """Return the classes with the labels 1 to `count - 1`, without names.

    Args:
        count: Number of channels of the probabilities, background included.
        ignore_label: Pixels with this label in the given mask are not judged.

    Returns:
        The classes.

    Examples:
        >>> list(plain_classes(3).names)
        [1, 2]
    """
    return Classes({label: "" for label in range(1, count)}, ignore_label=ignore_label)


def declared_classes(path: Path) -> Classes:
    """Read the classes from nnU-Net's `dataset.json`.

    Args:
        path: The `dataset.json`.

    Returns:
        Classes or regions with their names, and the ignore label.

    Raises:
        InputError: If the file does not declare labels as nnU-Net does.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "dataset.json")
        ...     _ = path.write_text('{"labels": {"background": 0, "lesion": 1}}')
        ...     declared_classes(path).names
        {1: 'lesion'}
    """
    try:
        declared = read_declared_labels(path)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: {error}; correct the file") from error
    names = {_shortest(label): name for label, name in declared.foreground.items()}
    if not declared.has_regions:
        names = {label: names[label] for label in sorted(names, key=labels_of)}
    if not names or (declared.has_regions and len(declared.region_order) != len(names)):
        raise InputError(
            f"{path}: declares {len(names)} foreground classes and regions_class_order "
            f"{list(declared.region_order)}; each region needs its label there"
        )
    return Classes(names, declared.has_regions, declared.ignore_label, declared.region_order)


def _shortest(label: Label) -> Label:
    """Replace a region of one label by that label."""
    return label[0] if isinstance(label, tuple) and len(label) == 1 else label
