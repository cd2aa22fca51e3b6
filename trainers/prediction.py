"""Predictions by a network in training, as nnU-Net makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import nn


def predictor_of(
    trainer: Any,  # noqa: ANN401 (nnU-Net carries no types)
    network: nn.Module,
    weights: Sequence[Mapping[str, Any]] | None = None,
) -> nnUNetPredictor:
    """Return nnU-Net's predictor for a network of a trainer.

    Args:
        trainer: An initialised trainer of nnU-Net.
        network: Network of the trainer, with or without wrappers.
        weights: State of the network for each member of an ensemble. With None, the predictor uses
            the current network, and only `predict_sliding_window_return_logits` works.
    """
    predictor = nnUNetPredictor(
        device=trainer.device,
        perform_everything_on_device=trainer.device.type == "cuda",
        allow_tqdm=False,
    )
    predictor.manual_initialization(
        network,
        trainer.plans_manager,
        trainer.configuration_manager,
        weights,
        trainer.dataset_json,
        type(trainer).__name__,
        trainer.inference_allowed_mirroring_axes,
    )
    return predictor


@contextmanager
def predicting(trainer: Any) -> Iterator[None]:  # noqa: ANN401
    """Let a trainer's network predict only at full resolution, within a block."""
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    try:
        yield
    finally:
        trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)


def label_predictor(
    trainer: Any,  # noqa: ANN401
    autocast: Callable[[], AbstractContextManager[object]],
) -> Callable[[Any], NDArray[Any]]:
    """Return a function that predicts labels as nnU-Net's validation does.

    Args:
        trainer: An initialised trainer of nnU-Net, within `predicting`.
        autocast: Function that creates the context for the network.

    Returns:
        A function from a preprocessed image `(C, *S)` to labels `(*S)`.
    """
    predictor = predictor_of(trainer, unwrapped(trainer.network))

    def predict(image: Any) -> NDArray[Any]:  # noqa: ANN401 (an array of nnU-Net's)
        with autocast():
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
        labels: NDArray[Any] = logits.argmax(0).cpu().numpy()
        return labels

    return predict


def unwrapped(network: Any) -> Any:  # noqa: ANN401
    """Return the network inside the wrappers of DDP and torch.compile."""
    network = getattr(network, "module", network)
    return getattr(network, "_orig_mod", network)
