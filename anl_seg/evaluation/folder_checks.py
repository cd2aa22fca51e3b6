"""Checks of two folders of masks as a whole, with one line per problem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from anl_seg.errors import named
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.pairs import MeasuredCase
from anl_seg.formats.noise_manifest import NoisyMask

#: Typical names of folders of references: labelsTr, labelsTs_clean, gt_segmentations, ref.
REFERENCE_NAME = re.compile(
    r"labels|gt|ground[-_ ]?truth|reference|refs?$|masks?$|truth", re.IGNORECASE
)


def unpaired(
    predictions: Mapping[str, Path],
    references: Mapping[str, Path],
    prediction_dir: Path,
    reference_dir: Path,
) -> list[str]:
    """List the cases without a prediction or without a reference, one line per folder."""
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


def swapped_folders(prediction_dir: Path, reference_dir: Path) -> str:
    """Warn if the names of the folders suggest that they were given in the wrong order.

    nnU-Net's own command takes the references first. Names of reference folders are nnU-Net's:
    labelsTr, labelsTs, gt_segmentations.

    Args:
        prediction_dir: Folder that is used as predictions.
        reference_dir: Folder that is used as references.

    Returns:
        A warning, or "" if the names suggest nothing.

    Examples:
        >>> swapped_folders(Path("predictions"), Path("labelsTs"))
        ''
    """
    given, other = (folder.absolute().name for folder in (prediction_dir, reference_dir))
    if not REFERENCE_NAME.match(given) or REFERENCE_NAME.match(other):
        return ""
    return (
        f"{prediction_dir} is used as predictions and {reference_dir} as references, but {given} "
        "is a typical name of references; if they are swapped, give PRED first and REF second"
    )


def not_in_manifest(
    cases: Sequence[str], noisy: Mapping[str, NoisyMask], noise_manifest: Path
) -> list[str]:
    """List the cases that are not in the manifest."""
    if not (absent := [case for case in cases if case not in noisy]):
        return []
    return [
        f"{noise_manifest}: {len(absent)} of {len(cases)} cases are not in it: {named(absent)}; "
        "give the manifest of the data set whose training masks were predicted"
    ]


def unknown_labels(
    prediction_dir: Path,
    reference_dir: Path,
    cases: Mapping[str, MeasuredCase],
    label_set: LabelSet,
) -> list[str]:
    """List the labels that are not scored, each with its masks."""
    matrices = {case: measured.reference.matrix for case, measured in cases.items()}
    noisy = {case: measured.noisy.matrix for case, measured in cases.items() if measured.noisy}
    found = {
        f"{prediction_dir}": {case: m.prediction_labels for case, m in matrices.items()},
        f"{reference_dir}": {case: m.reference_labels for case, m in matrices.items()},
        "noisy masks": {case: m.reference_labels for case, m in noisy.items()},
    }
    return [
        problem
        for where, labels in found.items()
        for problem in _unknown_of(where, labels, label_set)
    ]


def _unknown_of(where: str, found: Mapping[str, set[int]], label_set: LabelSet) -> list[str]:
    allowed = sorted(label_set.allowed)
    holders = {
        label: [case for case, labels in found.items() if label in labels]
        for label in sorted(set().union(*found.values()).difference(allowed))
    }
    cure = "convert the masks, or name all their labels with --labels"
    if 255 in holders:
        cure += "; masks of 0 and 255 can be read with --threshold 128"
    return [
        f"{where}: label {label} in {len(cases)} of {len(found)} masks ({named(cases)}), "
        f"expected only {', '.join(map(str, allowed))} (labels {label_set.source}); nnU-Net masks "
        f"contain 0..K-1: {cure}"
        for label, cases in holders.items()
    ]
