"""Messages about a training that goes wrong: what was found, and what to try."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from anl_seg.errors import named
from anl_seg.trainers.settings import TrainerSettings


def explain_divergence(
    terms: Sequence[str],
    images: Tensor,
    keys: Sequence[str],
    settings: TrainerSettings,
    device: str,
) -> str:
    """Say which part of a loss is not finite, and what to try.

    Args:
        terms: Names of the parts that are not finite; empty if unknown.
        images: The batch `(B, C, *S)`.
        keys: Its cases; empty if unknown.
        settings: Of the training.
        device: Its kind, such as "cuda".

    Returns:
        The message.
    """
    which = f"the {' and '.join(terms) or 'loss'} ({settings.loss})"
    broken = [index for index, image in enumerate(images) if not image.isfinite().all()]
    if not broken:
        return (
            f"{which}; the images of this batch are fine, so the training has diverged: try "
            f"{', '.join(_calmer(settings, device))}"
        )
    cases = named([keys[index] for index in broken]) if len(keys) else "this batch"
    return (
        f"{which}; the images of {cases} hold values that are not finite: check them with "
        "nnUNetv2_plan_and_preprocess --verify_dataset_integrity and preprocess again"
    )


def _calmer(settings: TrainerSettings, device: str) -> list[str]:
    """Options of `anl-seg plan` with which the same training may stay finite."""
    options = ["--optimizer sgd" if settings.optimizer == "adam" else "--optimizer adam"]
    weights = [name for name in ("alpha", "beta") if name in settings.loss_parameters]
    options += [f"a smaller --{name}" for name in weights]
    if settings.dice_weight:
        options.append("a smaller --dice-weight")
    if device == "cuda" and settings.precision == "float32":
        options.append("--precision bf16 in place of nnU-Net's float16")
    if device == "cpu" and settings.precision == "bf16":
        options.append("--precision float32")
    return options
