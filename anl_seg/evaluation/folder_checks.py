"""Problems of two folders of masks as a whole, one line a problem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from anl_seg.errors import named
from anl_seg.evaluation.labels import LabelSet
from anl_seg.evaluation.pairs import MeasuredCase
from anl_seg.formats.noise_manifest import NoisyMask

#: Names of folders of references, such as labelsTr, labelsTs_clean, gt_segmentations, ref.
REFERENCE_NAME = re.compile(
    r"labels|gt|ground[-_ ]?truth|reference|refs?$|masks?$|truth", re.IGNORECASE
)


def unpaired(
    predictions: Mapping[str, Path],
    references: Mapping[str, Path],
    prediction_dir: Path,
    reference_dir: Path,
) -> list[str]:
    """List cases that lack the prediction or the reference, one line per folder."""
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
    """Say if the names of the folders suggest that they were given in the wrong order.

    nnU-Net's own command takes the references first. Folders of references are called as nnU-Net
    calls them: labelsTr, labelsTs, gt_segmentations.

    Args:
        prediction_dir: Folder that is taken for the predictions.
        reference_dir: Folder that is taken for the references.

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
        f"{prediction_dir} is taken for the predictions and {reference_dir} for the references, "
        f"but {given} is a name of references; if they are swapped, give PRED first and REF second"
    )


def not_in_manifest(
    cases: Sequence[str], noisy: Mapping[str, NoisyMask], noise_manifest: Path
) -> list[str]:
    """Cases of which the manifest says nothing."""
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
    """Labels that are not scored, by label, with the masks that hold them."""
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
        f"hold 0..K-1: {cure}"
        for label, cases in holders.items()
    ]
