"""Export of trained models as a zip for plain nnU-Net."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.formats.nnunet import CHECKPOINT, DATASET_JSON, FINGERPRINT
from anl_seg.progress import Track, untracked
from anl_seg.trainers.models import choose_folds

#: nnU-Net's own trainer, which builds the same network.
PLAIN = "nnUNetTrainer"
#: Entries of a checkpoint for prediction and `-pretrained_weights`. The optimiser's state is left
#: out: it is half of a checkpoint, and only `--c` with the same trainer could use it.
KEPT = ("network_weights", "init_args", "inference_allowed_mirroring_axes", "current_epoch")
#: Files to add if they exist, as in nnU-Net's own export.
MODEL_FILES = (
    "plans.json",
    DATASET_JSON,
    FINGERPRINT,
    "crossval_results_folds_*/summary.json",
    "crossval_results_folds_*/postprocessing.*",
)
FOLD_FILES = ("progress.png", "validation/summary.json", "validation/summary_clean.json")


def export_models(
    models: Sequence[Path],
    output: Path,
    *,
    folds: Sequence[str] = (),
    checkpoint: str = CHECKPOINT,
    track: Track = untracked,
) -> list[str]:
    """Write trained models to a zip for `nnUNetv2_install_pretrained_model_from_zip`.

    The trainer's name in checkpoints and folders becomes nnU-Net's own. Both trainers build each
    network and predict the same random patch. If the outputs differ in any bit, no zip is written.

    Args:
        models: Folders such as nnUNet_results/Dataset501_X/nnUNetTrainerANL__plans__2d.
        output: The zip file.
        folds: Folds such as "0" or "all"; by default every fold with the checkpoint.
        checkpoint: Name of the checkpoint of each fold.
        track: Wrapper of the folds that shows progress.

    Returns:
        Names of the files in the zip.

    Raises:
        InputError: If a fold or file is missing, or the outputs differ.
    """
    chosen = [
        (model, f"fold_{fold}")
        for model in models
        for fold in choose_folds(model, folds, checkpoint)
    ]
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        for model, fold in track(chosen, "exporting"):
            plain = root / model.parent.name / _plain_name(model)
            _copy(model, plain, MODEL_FILES)
            _copy(model / fold, plain / fold, FOLD_FILES)
            _rewrite(model / fold / checkpoint, plain / fold / checkpoint)
            _check_outputs(model, plain, fold, checkpoint)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        names = [str(path.relative_to(root)) for path in files]
        with (
            atomic_path(output) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for path, name in zip(files, names, strict=True):
                archive.write(path, name)
    return names


def _plain_name(model: Path) -> str:
    _, plans, configuration = model.name.split("__")
    return f"{PLAIN}__{plans}__{configuration}"


def _copy(source: Path, target: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


def _rewrite(source: Path, target: Path) -> None:
    checkpoint: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=False)
    kept = {key: checkpoint[key] for key in KEPT}
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**kept, "trainer_name": PLAIN}, target)


def _check_outputs(model: Path, plain: Path, fold: str, checkpoint: str) -> None:
    outputs = [_output(folder, fold, checkpoint) for folder in (model, plain)]
    if not torch.equal(*outputs):
        raise InputError(
            f"{model / fold}: the network that {PLAIN} builds from these plans differs in its "
            "output from the trained one; export a trainer that keeps nnU-Net's architecture"
        )


@torch.no_grad()
def _output(model: Path, fold: str, checkpoint: str) -> torch.Tensor:
    """Predict a fixed patch of noise with the network of a model folder."""
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
    with contextlib.redirect_stdout(io.StringIO()):  # the search for the trainer prints each step
        predictor.initialize_from_trained_model_folder(
            str(model), (fold.removeprefix("fold_"),), checkpoint
        )
    network = predictor.network.eval()
    channels = next(network.parameters()).shape[1]
    generator = torch.Generator().manual_seed(0)
    patch = predictor.configuration_manager.patch_size
    output: torch.Tensor = network(torch.randn(1, channels, *patch, generator=generator))
    return output
