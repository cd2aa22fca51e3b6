"""Evaluate a folder of predictions against a folder of references, one pair in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anl_seg.errors import InputError, listed, named
from anl_seg.evaluation.labels import LabelSet, declared_labels, found_labels, given_labels
from anl_seg.evaluation.metrics import ConfusionMatrix, Counts, Label, confusion_matrix, count
from anl_seg.masks import find_masks, read_labels
from anl_seg.progress import Track, untracked


@dataclass(frozen=True)
class CaseResult:
    """One case: its two files and the counts of every class."""

    case: str
    prediction_file: Path
    reference_file: Path
    counts: Mapping[Label, Counts]


@dataclass(frozen=True)
class Evaluation:
    """All cases of two folders, sorted by name, and the classes they were scored for."""

    cases: tuple[CaseResult, ...]
    labels: LabelSet


def evaluate_folders(
    prediction_dir: Path,
    reference_dir: Path,
    *,
    labels: Sequence[int] | None = None,
    ignore_label: int | None = None,
    track: Track = untracked,
) -> Evaluation:
    """Compare every reference with the prediction of the same name.

    A case is a file name without its ending; the endings of the two may differ. The classes are
    `labels`, else those of nnU-Net's `dataset.json` in the prediction folder (where
    nnUNetv2_predict copies it) or beside the reference folder (the root of a raw data set), else
    all labels but 0 that the references hold.

    Args:
        prediction_dir: Folder of predicted masks.
        reference_dir: Folder of reference masks.
        labels: Labels to score. Any other label but 0 in a mask is then an error.
        ignore_label: Pixels with this label in the reference are left out. Goes before the one in
            `dataset.json`.
        track: Wraps the case names to show progress.

    Raises:
        InputError: If any file is wrong. Problems are counted and the first named, one line each:
            references without a prediction (they never make n smaller), predictions without a
            reference, unreadable masks, differing shapes, unknown labels.
    """
    predictions, references = _find_both(prediction_dir, reference_dir)
    label_set = _declared(prediction_dir, reference_dir, labels, ignore_label)
    if label_set is not None:
        ignore_label = label_set.ignore_label

    problems = _unpaired(predictions, references, prediction_dir, reference_dir)
    matrices: dict[str, ConfusionMatrix] = {}
    for case in track(sorted(predictions.keys() & references.keys()), "evaluating"):
        with _collecting(problems):
            matrices[case] = _compare(predictions[case], references[case], ignore_label)
    if not matrices:
        raise _error(problems)

    predicted = {case: matrix.prediction_labels for case, matrix in matrices.items()}
    annotated = {case: matrix.reference_labels for case, matrix in matrices.items()}
    with _collecting(problems):
        label_set = label_set or found_labels(set().union(*annotated.values()), ignore_label)
        problems += _unknown(prediction_dir, predicted, label_set)
        problems += _unknown(reference_dir, annotated, label_set)
    if problems or label_set is None:
        raise _error(problems)
    results = (
        CaseResult(
            case=case,
            prediction_file=predictions[case],
            reference_file=references[case],
            counts={label: count(matrix, label) for label in label_set.names},
        )
        for case, matrix in matrices.items()
    )
    return Evaluation(tuple(results), label_set)


def _find_both(
    prediction_dir: Path, reference_dir: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    problems: list[str] = []
    found = []
    for folder in (prediction_dir, reference_dir):
        with _collecting(problems):
            found.append(find_masks(folder))
    if problems:
        raise _error(problems)
    predictions, references = found
    return predictions, references


def _declared(
    prediction_dir: Path,
    reference_dir: Path,
    labels: Sequence[int] | None,
    ignore_label: int | None,
) -> LabelSet | None:
    if labels is not None:
        return given_labels(labels, ignore_label)
    for folder in (prediction_dir, reference_dir.absolute().parent):
        if (folder / "dataset.json").is_file():
            return declared_labels(folder / "dataset.json", ignore_label)
    return None


def _unpaired(
    predictions: Mapping[str, Path],
    references: Mapping[str, Path],
    prediction_dir: Path,
    reference_dir: Path,
) -> list[str]:
    problems = []
    if missing := sorted(references.keys() - predictions.keys()):
        problems.append(
            f"{prediction_dir}: no prediction of the same name for {len(missing)} of "
            f"{len(references)} references: {named(missing)}; predict these cases too, or "
            f"give a folder with only the references to compare with"
        )
    if extra := sorted(predictions.keys() - references.keys()):
        problems.append(
            f"{reference_dir}: no reference of the same name for {len(extra)} of "
            f"{len(predictions)} predictions: {named(extra)}; add these references, or "
            f"move the predictions out of {prediction_dir}"
        )
    return problems


def _compare(
    prediction_file: Path, reference_file: Path, ignore_label: int | None
) -> ConfusionMatrix:
    problems: list[str] = []
    masks = []
    for file in (prediction_file, reference_file):
        with _collecting(problems):
            masks.append(read_labels(file))
    if problems:
        raise InputError("\n".join(problems))
    prediction, reference = masks
    if prediction.shape != reference.shape:
        raise InputError(
            f"{prediction_file}: has {_size(prediction.shape)} pixels, its reference "
            f"{reference_file} has {_size(reference.shape)}; both must be on the same grid"
        )
    return confusion_matrix(prediction, reference, ignore_label)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _unknown(folder: Path, found: Mapping[str, set[int]], label_set: LabelSet) -> list[str]:
    allowed = sorted(label_set.allowed)
    holders = {
        label: [case for case, labels in found.items() if label in labels]
        for label in sorted(set().union(*found.values()).difference(allowed))
    }
    return [
        f"{folder}: label {label} in {len(cases)} of {len(found)} masks ({named(cases)}), "
        f"expected only {', '.join(map(str, allowed))} (labels {label_set.source}); nnU-Net masks "
        "hold 0..K-1: convert the masks, or name all their labels with --labels"
        for label, cases in holders.items()
    ]


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Add the lines of an InputError to `problems` and go on, so that all are reported at once."""
    try:
        yield
    except InputError as error:
        problems.extend(str(error).splitlines())


def _error(problems: Sequence[str]) -> InputError:
    return InputError(listed(problems, "problems, nothing evaluated"))
