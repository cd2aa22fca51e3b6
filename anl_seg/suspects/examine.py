"""Judge all cases of a data set, one file at a time, and keep the predicted masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, listed, named
from anl_seg.formats.dataset_json import read_file_ending
from anl_seg.formats.html_pictures import find_pictures
from anl_seg.formats.images import stem, write_image
from anl_seg.formats.masks import find_masks, read_labels
from anl_seg.formats.nnunet import DATASET_JSON, IMAGES, LABELS, case_of_image
from anl_seg.processes import process_map
from anl_seg.progress import Track, untracked
from anl_seg.suspects.calibration import sample, spread, temperature
from anl_seg.suspects.cases import (
    ARRAY_ENDINGS,
    CaseFiles,
    Judged,
    judge,
    read_case,
    read_stored,
)
from anl_seg.suspects.classes import Classes, declared_classes, plain_classes

#: Largest number of predicted labels that no given mask has. More values are probabilities.
MAX_NEW_LABELS = 16
#: Undeclared labels may have any gaps up to this value.
MAX_GAPS = 32


def examine(
    files: Sequence[CaseFiles],
    classes: Classes,
    predictions: Path | None = None,
    *,
    num_processes: int = 1,
    track: Track = untracked,
) -> list[Judged]:
    """Judge cases; the memory needed is that of one case for each process.

    Args:
        files: The cases.
        classes: The classes of the data set.
        predictions: Existing folder for the predicted masks, which get the format and geometry of
            the given ones.
        num_processes: Processes that work on cases.
        track: Shows the cases done.

    Raises:
        InputError: If files do not fit together; the message names all of them.
    """
    problems: list[str] = []
    judged: list[Judged] = []
    with process_map(num_processes) as map_:
        heat = temperature(map_(partial(_sample, classes=classes), spread(files)))
        work = partial(_examine, classes=classes, predictions=predictions, heat=heat)
        results = iter(map_(work, files))
        for _ in track(files, "judging"):
            found = next(results)
            if isinstance(found, str):
                problems.append(found)
            else:
                judged.append(found)
    if problems:
        raise InputError(listed(problems))
    return judged


def _sample(files: CaseFiles, classes: Classes) -> NDArray[np.float32]:
    """Return log-odds for the temperature; none of files that cannot be read."""
    try:
        return sample(read_case(files, classes), classes)
    except InputError:  # `_examine` reports it
        return np.empty(0, dtype=np.float32)


def _examine(
    files: CaseFiles, classes: Classes, predictions: Path | None, heat: float
) -> Judged | str:
    try:
        case = read_case(files, classes)
    except InputError as error:
        return str(error)
    if predictions is not None:
        write_image(predictions / files.label.name, case.predicted, like=files.label)
    return judge(case, classes, files.case, heat)


def dataset_files(raw: Path) -> dict[str, CaseFiles]:
    """List the cases of a raw data set of nnU-Net: label map and images, no prediction yet.

    Raises:
        InputError: If `dataset.json` is wrong or lists files itself, or a folder has no files.
    """
    ending = read_file_ending(raw / DATASET_JSON)
    masks, images = (
        [path for path in sorted((raw / name).glob(f"*{ending}")) if not path.name.startswith(".")]
        for name in (LABELS, IMAGES)
    )
    for name, found in ((LABELS, masks), (IMAGES, images)):
        if not found:
            raise InputError(f"{raw / name}: no {ending} files; give a complete raw data set")
    channels: dict[str, list[Path]] = {}
    for path in images:
        channels.setdefault(case_of_image(path, ending), []).append(path)
    cases = {path.name.removesuffix(ending): path for path in masks}
    return {
        case: CaseFiles(case, path, path, images=tuple(channels.get(case, ())))
        for case, path in cases.items()
    }


def pair_files(predictions: Path, labels: Path, images: Path | None = None) -> list[CaseFiles]:
    """Pair the predictions and label maps of two folders by name.

    Args:
        predictions: Probabilities (`.npz`, `.npy` or images) or masks.
        labels: The given label maps.
        images: Images of the cases, or None.

    Raises:
        InputError: If a folder is missing or empty, or a prediction has no label map or image.
    """
    given = find_masks(labels)
    found = _predictions(predictions)
    if unknown := sorted(set(found) - set(given)):
        raise InputError(
            f"{predictions}: {len(unknown)} of {len(found)} predictions have no label map in "
            f"{labels}: {named(unknown)}; are they of another data set?"
        )
    pictures = find_pictures(images, sorted(found)) if images else {}
    return [
        CaseFiles(case, given[case], path, images=(pictures[case],) if images else ())
        for case, path in sorted(found.items())
    ]


def _predictions(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of predictions")
    arrays: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.endswith(ARRAY_ENDINGS) or path.name.startswith("."):
            continue
        case = stem(path, ARRAY_ENDINGS)
        other = arrays.setdefault(case, path)
        if other != path:
            raise InputError(
                f"{folder}: has two predictions of {case}, {other.name} and {path.name}; keep one"
            )
    return arrays or find_masks(folder)


def classes_of_folders(files: Sequence[CaseFiles]) -> Classes:
    """Find the classes of plain folders: a `dataset.json`, the channels, or the labels that occur.

    Raises:
        InputError: If a file cannot be read, or its values do not look like labels.
    """
    first = files[0]
    for folder in (first.prediction.parent, first.label.parent, first.label.parent.parent):
        if (folder / DATASET_JSON).exists():
            return _declared_classes(folder / DATASET_JSON, files)
    dimensions = read_labels(first.label).ndim
    stored, _ = read_stored(first.prediction)
    if stored.ndim > dimensions:
        return plain_classes(len(stored))
    if not np.array_equal(stored, np.rint(stored)):
        return plain_classes(2)
    return _found_classes(files)


def _declared_classes(path: Path, files: Sequence[CaseFiles]) -> Classes:
    classes = declared_classes(path)
    if not classes.is_binary or read_stored(files[0].prediction)[0].dtype != np.uint8:
        return classes
    predicted = _values(each.prediction for each in spread(files))
    return replace(classes, grey=len(predicted - classes.allowed) > MAX_NEW_LABELS)


def _found_classes(files: Sequence[CaseFiles]) -> Classes:
    """Find the classes of masks, and of predictions of whole numbers, by their values."""
    given = _values(each.label for each in files)
    predicted = _values(each.prediction for each in files)
    is_grey = len(predicted - given) > MAX_NEW_LABELS
    if given <= {0, 1} or given <= {0, 255}:
        given = {0, 1}
        if is_grey or predicted <= {0, 255}:
            return replace(plain_classes(2), grey=is_grey)
    elif is_grey:
        raise InputError(
            f"{files[0].prediction.parent}: holds {len(predicted - given)} values that no mask "
            "has, and images hold the probability of one class only; give the probabilities of "
            "all classes as .npz or .npy"
        )
    labels = given | predicted
    highest = max(1, *labels)
    if highest == 255 or highest > max(MAX_GAPS, 2 * len(labels)):
        raise InputError(
            f"{files[0].label.parent}: masks and predictions hold the values "
            f"{named([str(value) for value in sorted(labels)])}, expected labels from 0 to K - 1; "
            'declare the labels in a dataset.json beside the masks, such as "ignore": 255'
        )
    return plain_classes(1 + highest)


def _values(paths: Iterable[Path]) -> set[int]:
    """Collect the values of files as whole numbers."""
    found: set[int] = set()
    for path in paths:
        values = np.unique(read_stored(path)[0])
        found.update(map(int, values[np.isfinite(values)]))
    return found
