"""Figure 6: training images with their clean masks, noisy masks and predictions."""

from __future__ import annotations

import hashlib
from pathlib import Path

from anl_seg.errors import InputError
from anl_seg.evaluation import confusion_matrix, count, dice
from anl_seg.experiments.figures.outlines import OutlinedCase, draw_columns
from anl_seg.experiments.figures.style import COLUMN, Drawing, Placed
from anl_seg.experiments.kinds import SHARED_NAME
from anl_seg.experiments.runs.records import read_record
from anl_seg.formats.masks import read_labels
from anl_seg.formats.nnunet import CLEAN_LABELS, IMAGES, image_name
from anl_seg.formats.noise_manifest import JSON_NAME, NoisyMask, read_noisy_masks

#: The kinds of noise shown, in the order of the paper.
KINDS = ("affine", "dilation", "erosion")
CLEAN, NOISY, PREDICTED = "ground truth", "noisy mask", "prediction"


def draw_masks(placed: Placed) -> Drawing:
    """Draw one column per kind of noise: image, clean mask, noisy mask, predicted mask.

    Each column shows the first training image, by name, with this kind of noise.

    Raises:
        InputError: If the data set of the run no longer exists.
    """
    ((_, folder),) = placed
    assert folder is not None  # figures are drawn only from runs
    data = _data_of(folder)
    noisy = read_noisy_masks(data)
    (predictions,) = folder.glob("nnUNet_results/*/*/fold_*/validation")
    predicted = {path.stem for path in predictions.glob("*.png")}
    cases = []
    for kind in KINDS:
        of_kind = sorted(
            case for case, mask in noisy.items() if mask.kind == kind and case in predicted
        )
        cases += [_case(case, noisy[case], data, predictions) for case in of_kind[:1]]
    rows = [
        [case.title, case.image.name, _dice(case, NOISY, CLEAN), _dice(case, PREDICTED, CLEAN)]
        for case in cases
    ]
    figure = draw_columns(cases, panel=COLUMN / len(cases))
    return Drawing(figure, ("noise", "image", "dice_noisy", "dice_prediction"), rows)


def _data_of(folder: Path) -> Path:
    """Find the noisy data set of a run by the hash of its manifest."""
    record = read_record(folder)
    shared = folder.parent / SHARED_NAME
    for path in sorted(shared.glob(f"*/nnUNet_raw/*/{JSON_NAME}")):
        if record and hashlib.sha256(path.read_bytes()).hexdigest() == record.noise_sha256:
            return path.parent
    raise InputError(
        f"{shared} no longer contains the data set that {folder} was trained on; delete the "
        "latter folder and do the run again"
    )


def _case(case: str, noisy: NoisyMask, data: Path, predictions: Path) -> OutlinedCase:
    return OutlinedCase(
        title=noisy.kind,
        image=data / IMAGES / image_name(case, ".png"),
        masks={
            CLEAN: data / CLEAN_LABELS / f"{case}.png",
            NOISY: noisy.file,
            PREDICTED: predictions / f"{case}.png",
        },
    )


def _dice(case: OutlinedCase, one: str, other: str) -> float:
    matrix = confusion_matrix(read_labels(case.masks[one]), read_labels(case.masks[other]))
    return dice(count(matrix, 1))
