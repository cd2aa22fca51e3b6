"""Predictions of training cases by networks that did not see them: nnU-Net's cross-validation."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anl_seg.errors import InputError, named
from anl_seg.formats.files import atomic_path, write_json
from anl_seg.formats.nnunet import CHECKPOINT, LABELS, read_splits
from anl_seg.formats.text import read_json
from anl_seg.progress import Track, untracked
from anl_seg.trainers.models import choose_folds

ALL = "all"
#: File beside the predictions that names their network.
NOTE = "network.json"


@dataclass(frozen=True)
class HeldOut:
    """A case and the network that predicts it.

    Attributes:
        case: Name of the case.
        fold: "0" to "4"; "all" for a network that was trained on the case.
        file: The softmax that nnU-Net's validation has written, or None.
    """

    case: str
    fold: str
    file: Path | None


def held_out_cases(
    model: Path,
    splits: Path,
    folds: Sequence[str],
    cases: Sequence[str],
    checkpoint: str = CHECKPOINT,
) -> list[HeldOut]:
    """List the cases that the trained folds can predict without having seen them.

    Args:
        model: Folder such as nnUNet_results/Dataset501_X/nnUNetTrainerANL__plans__2d.
        splits: nnU-Net's `splits_final.json` of the data set.
        folds: The folds; if empty, every numbered fold with the checkpoint. "all" predicts all
            cases, although its network was trained on them.
        cases: All cases of the data set.
        checkpoint: Name of the checkpoint of each fold.

    Raises:
        InputError: If the network or a fold was not trained, or its validation cases are missing or
            unknown.
    """
    trained = choose_folds(model, folds, checkpoint)
    wanted = [fold for fold in trained if folds or fold != ALL]
    if not wanted:
        raise InputError(
            f"{model}: only fold all is trained, and it saw every case; train the folds 0 to 4, or "
            "use it with --in-sample"
        )
    parts = {fold: _validation_cases(splits, fold, cases) for fold in wanted}
    return [
        HeldOut(case, fold, _softmax(model, fold, case))
        for fold, names in parts.items()
        for case in names
    ]


def _validation_cases(splits: Path, fold: str, cases: Sequence[str]) -> Sequence[str]:
    if fold == ALL:
        return cases
    if not splits.exists():
        raise InputError(f"{splits}: no such file, so the cases of fold {fold} are unknown")
    parts = read_splits(splits)
    if not fold.isdecimal() or int(fold) >= len(parts):
        raise InputError(f"-f {fold}: {splits} has the folds 0 to {len(parts) - 1}")
    names = parts[int(fold)]["val"]
    if not names:
        raise InputError(f"-f {fold}: this fold has no validation cases in {splits}")
    if unknown := sorted(set(names) - set(cases)):
        raise InputError(
            f"{splits}: {len(unknown)} cases of fold {fold} are not in {LABELS}: {named(unknown)}; "
            "were the folds made for another data set?"
        )
    return names


def _softmax(model: Path, fold: str, case: str) -> Path | None:
    """Return the file of probabilities that nnU-Net's validation wrote with --npz, if any."""
    file = model / f"fold_{fold}" / "validation" / f"{case}.npz"
    return file if fold != ALL and file.exists() else None


def predict(
    model: Path,
    cases: Sequence[HeldOut],
    images: Mapping[str, Sequence[Path]],
    output: Path,
    device: str | None,
    checkpoint: str = CHECKPOINT,
    track: Track = untracked,
) -> dict[str, Path]:
    """Predict cases with the checkpoint of their fold.

    Args:
        model: Folder such as nnUNet_results/Dataset501_X/nnUNetTrainerANL__plans__2d.
        cases: Cases to predict.
        images: Files of the channels of each case.
        output: Folder for `CASE.npz` with the probabilities. Existing files are kept, so that a
            stopped call resumes.
        device: "cpu", "cuda" or "mps"; by default "cuda" if available, otherwise "cpu".
        checkpoint: Name of the checkpoint of each fold.
        track: Wrapper of the cases that shows progress.

    Returns:
        File of the probabilities of each case.

    Raises:
        InputError: If the network is a cascade, this machine does not have the device, or `output`
            has predictions of another network.
    """
    if model.name.endswith("_cascade_fullres"):
        raise InputError(
            f"{model}: a cascade needs the predictions of the previous stage; run nnUNetv2_train "
            "... --val --npz for each fold instead"
        )
    files = {each.case: output / f"{each.case}.npz" for each in cases}
    if not (output / NOTE).exists() and any(file.exists() for file in files.values()):
        raise InputError(
            f"{output}: contains predictions, but no {NOTE} that names their network; move them, "
            "or give another -o"
        )
    note = _note(output, model, cases, checkpoint)
    missing = sorted(
        (each for each in cases if not files[each.case].exists()), key=lambda each: each.fold
    )
    predictor, loaded = None, ""
    for each in track(missing, "predicting"):
        if each.fold != loaded:
            predictor, loaded = _predictor(model, each.fold, checkpoint, device), each.fold
            write_json(output / NOTE, note)
        probabilities = _probabilities(predictor, images[each.case])
        with atomic_path(files[each.case]) as partial, partial.open("wb") as file:
            np.savez_compressed(file, probabilities=probabilities.astype(np.float16))
    return files


def _note(output: Path, model: Path, cases: Sequence[HeldOut], checkpoint: str) -> dict[str, Any]:
    """Describe the network that predicts into a folder, if no other network has done so."""
    files = {each.fold: model / f"fold_{each.fold}" / checkpoint for each in cases}
    network = {"model": str(model.resolve()), "checkpoint": checkpoint}
    written = {fold: files[fold].stat().st_mtime_ns for fold in sorted(files)}
    known: dict[str, Any] = {**network, "written": {}}
    if (output / NOTE).exists():
        known = read_json(output / NOTE)
    before: dict[str, int] = known["written"]
    if {**known, "written": {}} != {**network, "written": {}} or any(
        before.get(fold, time) != time for fold, time in written.items()
    ):
        raise InputError(
            f"{output}: contains predictions of another network or checkpoint (see {NOTE}); "
            "delete this folder, or give another -o"
        )
    return {**network, "written": {**before, **written}}


def _predictor(model: Path, fold: str, checkpoint: str, device: str | None) -> Any:  # noqa: ANN401
    import torch

    from anl_seg.devices import choose_device

    with warnings.catch_warnings():  # nnU-Net imports torchvision, which uses deprecated torch code
        warnings.simplefilter("ignore", FutureWarning)
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    device = choose_device(device)
    with contextlib.redirect_stdout(io.StringIO()):  # the search for the trainer prints each step
        predictor = nnUNetPredictor(
            device=torch.device(device),
            perform_everything_on_device=device == "cuda",
            allow_tqdm=False,
        )
        predictor.initialize_from_trained_model_folder(str(model), (fold,), checkpoint)
    return predictor


def _probabilities(predictor: Any, images: Sequence[Path]) -> np.ndarray[Any, Any]:  # noqa: ANN401
    reader = predictor.plans_manager.image_reader_writer_class()
    image, properties = reader.read_images([str(path) for path in images])
    with contextlib.redirect_stdout(io.StringIO()):
        _, probabilities = predictor.predict_single_npy_array(
            image, properties, None, None, save_or_return_probabilities=True
        )
    return np.asarray(probabilities)
