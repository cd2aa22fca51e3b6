"""Evaluation of a folder of predictions against a folder of references, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from anl_seg.errors import InputError, listed, named
from anl_seg.evaluation.conventions import Conventions
from anl_seg.evaluation.folder_checks import not_in_manifest, unknown_labels, unpaired
from anl_seg.evaluation.labels import LabelSet, declared_labels, found_labels, given_labels
from anl_seg.evaluation.metrics import Counts, count, count_values, overlap_values
from anl_seg.evaluation.pairs import Measured, MeasuredCase, Measurements, Pair, collecting, measure
from anl_seg.formats.dataset_json import Label
from anl_seg.formats.masks import check_threshold, find_masks
from anl_seg.formats.nnunet import DATASET_JSON
from anl_seg.formats.noise_manifest import NoisyMask, read_noisy_masks
from anl_seg.processes import process_map
from anl_seg.progress import Track, untracked

DEFAULTS = Conventions()


@dataclass(frozen=True)
class CaseResult:
    """Measurements of one case.

    Attributes:
        case: Name of the case.
        prediction_file: The predicted mask.
        reference_file: The reference mask.
        counts: Pixel counts of every class.
        values: For each class, every metric by name, then the counts under nnU-Net's names.
        noise: Kind of noise of the training mask, or "clean"; None without a noise manifest.
        noisy_values: As `values`, against the noisy training mask; None without a noise manifest.
        voxel_ml: Volume of a voxel in millilitres. None in 2D, and if the files do not state it.
    """

    case: str
    prediction_file: Path
    reference_file: Path
    counts: Mapping[Label, Counts]
    values: Mapping[Label, Mapping[str, float]]
    noise: str | None = None
    noisy_values: Mapping[Label, Mapping[str, float]] | None = None
    voxel_ml: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """Measurements of all cases of two folders.

    Attributes:
        cases: Measurements of each case, sorted by name.
        labels: The classes.
        conventions: Conventions of the evaluation.
        n_left_out: Number of references left out because they have no prediction.
    """

    cases: tuple[CaseResult, ...]
    labels: LabelSet
    conventions: Conventions
    n_left_out: int = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the computed metrics."""
        return self.conventions.metrics


def evaluate_folders(
    prediction_dir: Path,
    reference_dir: Path,
    *,
    labels: Sequence[int] | None = None,
    ignore_label: int | None = None,
    noise_manifest: Path | None = None,
    conventions: Conventions = DEFAULTS,
    only_predicted: bool = False,
    num_processes: int = 1,
    track: Track = untracked,
) -> Evaluation:
    """Compare every reference with the prediction of the same name.

    A case is a file name without its ending. The endings of prediction and reference may differ.
    The classes come from the first of these that exists:

    - the argument `labels`;
    - nnU-Net's `dataset.json` in the prediction folder (nnUNetv2_predict copies it there) or beside
      the reference folder (the root of a raw data set);
    - all labels except 0 in the references.

    Args:
        prediction_dir: Folder of predicted masks.
        reference_dir: Folder of reference masks.
        labels: Labels to score. Any other label except 0 in a mask is then an error.
        ignore_label: Pixels with this label in the reference are left out. It overrides the one in
            `dataset.json`.
        noise_manifest: Manifest of `anl-seg noise`, if the references are clean. Predictions are
            then compared with the noisy masks too.
        conventions: The metrics to compute, and their rules; `unit` is taken from the files.
        only_predicted: Leave out references without a prediction, as `--chill` of nnU-Net does. Use
            it if the predictions are those of one fold.
        num_processes: Number of processes. Each has one pair of masks in memory at a time.
        track: Wrapper of the case names that shows progress.

    Returns:
        Measurements of all cases, sorted by name.

    Raises:
        InputError: If any file is wrong: a reference without a prediction (unless
            `only_predicted`), a prediction without a reference, an unreadable mask, different
            shapes, unknown labels. The message counts the problems and lists the first ones.
        CommandFailedError: If one of several processes was killed.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name, right in (("references", 4), ("predictions", 6)):
        ...         Path(folder, name).mkdir()
        ...         mask = Image.new("L", (8, 8))
        ...         mask.paste(1, (0, 0, right, 8))
        ...         mask.save(Path(folder, name, "case.png"))
        ...     found = evaluate_folders(Path(folder, "predictions"), Path(folder, "references"))
        >>> found.cases[0].values[1]["Dice"]
        0.8
    """
    predictions, references = _find_both(prediction_dir, reference_dir)
    n_references = len(references)
    if only_predicted:
        references = {case: file for case, file in references.items() if case in predictions}
    label_set = _declared(prediction_dir, reference_dir, labels, ignore_label)
    if label_set is not None:
        ignore_label = label_set.ignore_label
    noisy = {} if noise_manifest is None else read_noisy_masks(noise_manifest)

    problems = unpaired(predictions, references, prediction_dir, reference_dir)
    both = sorted(predictions.keys() & references.keys())
    if noise_manifest is not None:
        problems += not_in_manifest(both, noisy, noise_manifest)
    if conventions.threshold is not None:
        for folder, masks in ((prediction_dir, predictions), (reference_dir, references)):
            with collecting(problems):
                check_threshold(folder, masks.values(), conventions.threshold)
    pairs = [
        Pair(case, predictions[case], references[case], noisy[case].file if case in noisy else None)
        for case in both
    ]
    wanted = Measurements(list(label_set.names) if label_set else None, ignore_label, conventions)
    cases = _measure_all(pairs, wanted, num_processes, track, problems)
    if not cases:
        raise _error(problems)

    with collecting(problems):
        label_set = label_set or found_labels(_found(cases), ignore_label)
        problems += unknown_labels(prediction_dir, reference_dir, cases, label_set)
    with collecting(problems):
        conventions = replace(conventions, unit=_unit(cases, conventions.surfaces))
    if problems or label_set is None:
        raise _error(problems)
    results = tuple(
        _result(pair, cases[pair.case], label_set, conventions, noisy.get(pair.case))
        for pair in pairs
    )
    return Evaluation(results, label_set, conventions, n_references - len(references))


def _find_both(
    prediction_dir: Path, reference_dir: Path
) -> tuple[dict[str, Path], dict[str, Path]]:
    problems: list[str] = []
    found = []
    for folder in (prediction_dir, reference_dir):
        with collecting(problems):
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
        if (folder / DATASET_JSON).is_file():
            return declared_labels(folder / DATASET_JSON, ignore_label)
    return None


def _measure_all(
    pairs: Sequence[Pair],
    wanted: Measurements,
    num_processes: int,
    track: Track,
    problems: list[str],
) -> dict[str, MeasuredCase]:
    """Measure the cases without problems, and append the problems of the others to `problems`."""
    cases = {}
    with process_map(num_processes) as map_:
        measured = iter(map_(partial(measure, wanted=wanted), pairs))
        for case in track([pair.case for pair in pairs], "evaluating"):
            result = next(measured)
            if isinstance(result, MeasuredCase):
                cases[case] = result
            else:
                problems += result
    return cases


def _found(cases: Mapping[str, MeasuredCase]) -> set[int]:
    return set().union(*(case.reference.matrix.reference_labels for case in cases.values()))


def _unit(cases: Mapping[str, MeasuredCase], surfaces: bool) -> Literal["mm", "px"]:
    without = sorted(case for case, measured in cases.items() if not measured.has_spacing)
    if surfaces and 0 < len(without) < len(cases):
        raise InputError(
            f"{len(without)} of {len(cases)} cases have no pixel spacing ({named(without)}), the "
            "others do; lengths in mm and in pixels cannot be averaged: give masks of one format"
        )
    return "px" if without else "mm"


def _result(
    pair: Pair,
    measured: MeasuredCase,
    label_set: LabelSet,
    conventions: Conventions,
    noisy: NoisyMask | None,
) -> CaseResult:
    matrix = measured.reference.matrix
    return CaseResult(
        case=pair.case,
        prediction_file=pair.prediction,
        reference_file=pair.reference,
        counts={label: count(matrix, label) for label in label_set.names},
        values=_values(measured.reference, label_set, conventions),
        noise=noisy.kind if noisy else None,
        noisy_values=_values(measured.noisy, label_set, conventions) if measured.noisy else None,
        voxel_ml=measured.voxel_ml,
    )


def _values(
    measured: Measured, label_set: LabelSet, conventions: Conventions
) -> dict[Label, dict[str, float]]:
    values = {}
    for label in label_set.names:
        counts = count(measured.matrix, label)
        values[label] = {
            **overlap_values(counts, conventions.empty),
            **measured.surface.get(label, measured.absent),
            **count_values(counts),
        }
    return values


def _error(problems: Sequence[str]) -> InputError:
    return InputError(listed(problems, "problems, nothing evaluated"))
