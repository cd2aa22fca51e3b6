"""Corrected labels: predictions of training cases, as files for the loading processes."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anl_seg.errors import InputError, named

#: Folder of the corrected labels in the folder of the fold.
CORRECTED_LABELS = "corrected_labels"

#: Function from labels `(1, *S)` to sampled pixels of each class, or None if they do not matter.
Locate = Callable[[NDArray[Any]], Mapping[int, Any] | None]


def correct_labels(
    dataset: Any,  # noqa: ANN401 (nnU-Net carries no types)
    cases: Iterable[str],
    predict: Callable[[Any], NDArray[Any]],
    folder: Path,
    *,
    locate: Locate | None = None,
    ignore_label: int | None = None,
) -> dict[str, float]:
    """Write the predicted labels of cases into a folder.

    If the network predicts no pixel of a class in the given labels, the case keeps the given
    labels, so that no rare structure disappears. Ignored pixels stay ignored.

    Args:
        dataset: nnU-Net's data set with the given labels.
        cases: Cases to predict.
        predict: Function from a preprocessed image `(C, *S)` to labels `(*S)`.
        folder: Folder for `CASE.npy`, int16, with the shape of the labels, and for `CASE.pkl` with
            the result of `locate`, if any.
        locate: Function that finds the foreground, such as
            `anl_seg.trainers.foreground.foreground_locations`.
        ignore_label: Label of ignored pixels, or None.

    Returns:
        Share of changed pixels by case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = {}
    for case in cases:
        image, labels, _, _ = dataset.load_case(case)
        # nnU-Net stores the labels of a case as int8 if they fit, but predicted ones may not.
        given = np.asarray(labels[:]).astype(np.int16)
        predicted = predict(image[:])[None].astype(np.int16)
        corrected = given if _loses_a_class(given, predicted, ignore_label) else predicted
        if ignore_label is not None:
            corrected = np.where(given == ignore_label, given, corrected)
        # -1 marks pixels outside the body in nnU-Net's preprocessed labels.
        corrected = np.where(given < 0, given, corrected)
        np.save(folder / f"{case}.npy", corrected)
        if locate is not None and (locations := locate(corrected)) is not None:
            (folder / f"{case}.pkl").write_bytes(pickle.dumps(locations))
        changed[case] = float((corrected != given).mean())
    return changed


def _loses_a_class(given: NDArray[Any], predicted: NDArray[Any], ignore_label: int | None) -> bool:
    classes = {int(value) for value in np.unique(given) if value > 0 and value != ignore_label}
    return not classes <= set(np.unique(predicted).tolist())


def check_complete(folder: Path, cases: Sequence[str]) -> None:
    """Check that a folder holds the corrected labels of all cases.

    Raises:
        InputError: If some are missing.
    """
    if missing := [case for case in cases if not (folder / f"{case}.npy").is_file()]:
        raise InputError(
            f"{folder}: lacks the corrected labels of {len(missing)} of {len(cases)} training "
            f"cases ({named(missing)}), with which the checkpoint was trained; restore the folder, "
            "or train again without --c"
        )


def publish(partial: Path, folder: Path) -> None:
    """Make all corrected labels visible to the loading processes at once."""
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def set_aside(folder: Path) -> None:
    """Hide the corrected labels of an earlier training, whose checkpoint may still need them."""
    if folder.exists():
        drop_earlier(folder)
        folder.rename(_earlier(folder))


def bring_back(folder: Path) -> None:
    """Undo `set_aside`, if a later training has not corrected its labels."""
    if not folder.exists() and _earlier(folder).exists():
        _earlier(folder).rename(folder)


def drop_earlier(folder: Path) -> None:
    """Delete the labels that were set aside, if any."""
    if _earlier(folder).exists():
        shutil.rmtree(_earlier(folder))


def _earlier(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.earlier")
