"""What to say where the loss of a training step is not finite: what, why, and what to try."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from anl_seg.errors import named
from anl_seg.trainers.settings import Settings


def explain(
    terms: Sequence[str], images: Tensor, keys: Sequence[str], settings: Settings, device: str
) -> str:
    """Put into words what is not finite, and the advice that fits.

    Args:
        terms: What is not finite by name; empty where that is not known.
        images: The batch `(B, C, *S)`.
        keys: Its cases, none where they are not known.
        settings: Of the training.
        device: Its kind, such as "cuda".
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


def _calmer(settings: Settings, device: str) -> list[str]:
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
