"""Labels of training cases that a network has predicted, as files for the loading processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Folder of the corrected labels in the folder of the fold.
CORRECTED_LABELS = "corrected_labels"


def correct_labels(
    dataset: Any,  # noqa: ANN401 (nnU-Net carries no types)
    cases: Sequence[str],
    predict: Callable[[Any], NDArray[Any]],
    folder: Path,
    *,
    ignore_label: int | None = None,
) -> dict[str, float]:
    """Write the predicted labels of cases into a folder.

    A case keeps its given labels if the network predicts nothing of a class that they hold, so
    that no rare structure disappears. Ignored pixels stay ignored.

    Args:
        dataset: nnU-Net's data set with the given labels.
        cases: The cases to do.
        predict: Returns labels `(*S)` for a preprocessed image `(C, *S)`.
        folder: Gets `CASE.npy`, shape and dtype of the labels.
        ignore_label: Label of ignored pixels, or None.

    Returns:
        Share of the pixels that changed, by case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changed = {}
    for case in cases:
        image, labels, _, _ = dataset.load_case(case)
        given = np.asarray(labels[:])
        predicted = predict(image[:])[None].astype(given.dtype)
        corrected = given if _loses_a_class(given, predicted, ignore_label) else predicted.copy()
        if ignore_label is not None:
            corrected = np.where(given == ignore_label, given, corrected)
        # -1 marks pixels outside the body in nnU-Net's preprocessed labels.
        corrected = np.where(given < 0, given, corrected)
        np.save(folder / f"{case}.npy", corrected)
        changed[case] = float((corrected != given).mean())
    return changed


def _loses_a_class(given: NDArray[Any], predicted: NDArray[Any], ignore_label: int | None) -> bool:
    classes = {int(value) for value in np.unique(given) if value > 0 and value != ignore_label}
    return not classes <= set(np.unique(predicted).tolist())


def publish(partial: Path, folder: Path) -> None:
    """Let the loading processes see all corrected labels at once."""
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)
