"""Wrappers of nnU-Net's data sets: complete passes, clean labels, corrected labels."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A case of nnU-Net's data sets: image, labels, labels of the previous stage, properties.
Case = tuple[Any, Any, Any, dict[str, Any]]


class OnePass:
    """A data set that returns every case once before it repeats one.

    nnU-Net's loader draws cases with replacement. This data set ignores the requested identifier
    and returns the next case of a random permutation. Each loading process has its own permutation,
    so a pass is complete only with nnUNet_n_proc_DA=0. If the batch size does not divide the number
    of cases, the last batch contains cases of the next permutation.

    Args:
        dataset: nnU-Net's data set.
        cases: Cases to return, not empty. By default all.

    Attributes:
        drawn: Cases that this process has loaded since the last restart, in order. (The keys of a
            batch are the requested identifiers.)
    """

    def __init__(self, dataset: Any, cases: Sequence[str] | None = None) -> None:  # noqa: ANN401 (nnU-Net carries no types)
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers
        self.cases = self.identifiers if cases is None else cases
        self.drawn: list[str] = []
        self._left: list[str] = []

    def restart(self) -> None:
        """Start a new pass."""
        self._left = []
        self.drawn = []

    def load_case(self, _: str) -> Case:
        """Load the next case of the pass."""
        if not self._left:
            self._left = list(np.random.permutation(self.cases))  # noqa: NPY002 (nnU-Net's)
        self.drawn.append(self._left.pop())
        case: Case = self.dataset.load_case(self.drawn[-1])
        return case


class InTurn:
    """A data set that returns cases in turn, however many processes load them.

    It ignores the requested identifier. All loading processes share one position in a fixed random
    order, so that every case is loaded equally often, except for the batches that wait in a queue.

    Args:
        dataset: nnU-Net's data set.
        cases: Cases to return, not empty.
    """

    def __init__(self, dataset: Any, cases: Sequence[str]) -> None:  # noqa: ANN401 (nnU-Net carries no types)
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers
        self._order = [str(case) for case in np.random.default_rng(0).permutation(cases)]
        self._position = multiprocessing.Value("q", 0)

    def load_case(self, _: str) -> Case:
        """Load the next case."""
        with self._position.get_lock():
            position = self._position.value
            self._position.value = position + 1
        case: Case = self.dataset.load_case(self._order[position % len(self._order)])
        return case


class WithCleanLabels:
    """A data set whose labels have a second channel: the clean labels.

    nnU-Net crops and transforms all channels alike, so both stay aligned.

    Args:
        dataset: nnU-Net's data set.
        folder: Folder of the preprocessed clean labels, `CASE.npy` with the shape of the labels.
    """

    def __init__(self, dataset: Any, folder: Path) -> None:  # noqa: ANN401 (nnU-Net carries no types)
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers
        self.folder = folder

    def load_case(self, identifier: str) -> Case:
        """Load a case. Its labels are `(2, *S)`: the training labels, then the clean ones."""
        image, labels, previous, properties = self.dataset.load_case(identifier)
        clean = np.load(self.folder / f"{identifier}.npy", mmap_mode="r")
        return image, Stacked(labels, clean), previous, properties


class WithCorrectedLabels:
    """A data set that returns the corrected labels of a case once they are written.

    The loading processes check the folder for each case, because they start before it exists.

    Args:
        dataset: nnU-Net's data set with the given labels, or `WithCleanLabels` around it.
        folder: Folder for the corrected labels, as `correct_labels` writes it.
    """

    def __init__(self, dataset: Any, folder: Path) -> None:  # noqa: ANN401 (nnU-Net carries no types)
        self.dataset = dataset
        self.identifiers: list[str] = dataset.identifiers
        self.folder = folder

    def load_case(self, identifier: str) -> Case:
        """Load a case with the labels to train with: the corrected ones if they exist.

        If the clean labels are known, the labels are `(3, *S)`: for training, clean, given.
        """
        image, labels, previous, properties = self.dataset.load_case(identifier)
        known = labels.arrays if isinstance(labels, Stacked) else (labels,)
        file = self.folder / f"{identifier}.npy"
        first = np.load(file, mmap_mode="r") if file.exists() else known[0]
        locations = file.with_suffix(".pkl")
        if locations.exists():
            found = {**properties["class_locations"], **pickle.loads(locations.read_bytes())}
            properties = {**properties, "class_locations": found}
        if len(known) == 1:
            return image, first, previous, properties
        return image, Stacked(first, known[1], known[0]), previous, properties


class Stacked:
    """Arrays of the same shape `(1, *S)`, stacked as channels. Only requested slices are read."""

    def __init__(self, *arrays: Any) -> None:  # noqa: ANN401 (anything to slice)
        self.arrays = arrays
        self.shape = (len(arrays), *arrays[0].shape[1:])
        self.dtype = arrays[0].dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:  # noqa: ANN401 (whatever NumPy takes)
        return np.concatenate([each[index] for each in self.arrays])
