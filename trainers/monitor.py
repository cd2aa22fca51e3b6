"""Dice on the test images while a training runs, as the paper reports it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anl_seg.formats.files import write_json
from anl_seg.formats.nnunet import TEST_LABELS
from anl_seg.trainers.prediction import predicting, predictor_of, unwrapped
from anl_seg.trainers.raw_dataset import find_masks, find_test_images
from anl_seg.trainers.validation_summary import write_summary

CURVE = "test_dice.json"


@dataclass(frozen=True)
class TestImageMonitor:
    """Measurement of Dice on the test images with a network in training.

    Attributes:
        images: Files of each case, one per channel.
        masks: Mask of each case.
    """

    images: dict[str, list[str]]
    masks: dict[str, Path]

    @classmethod
    def of_dataset(cls, dataset: str, ending: str) -> TestImageMonitor:
        """Find images and masks of the raw data set called `dataset`.

        Raises:
            InputError: If an image or mask is missing.
        """
        images = find_test_images(dataset, ending)
        return cls(images, find_masks(dataset, TEST_LABELS, images, ending))

    def measure(self, trainer: Any, epoch: int) -> float:  # noqa: ANN401 (nnU-Net carries no types)
        """Predict the test images and add their Dice to `test_dice.json`.

        Args:
            trainer: An initialised trainer of nnU-Net.
            epoch: The epoch, counted from 0.

        Returns:
            Mean Dice over the test images.
        """
        output = Path(trainer.output_folder)
        predictions = output / f"test_epoch_{epoch:04d}"
        self.predict(trainer, predictions)
        dice = write_summary(
            predictions,
            self.masks,
            predictions / "summary.json",
            trainer.label_manager,
            trainer.plans_manager.image_reader_writer_class(),
        )
        path = output / CURVE
        curve = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_json(path, {**curve, str(epoch): dice})
        return dice

    def predict(self, trainer: Any, predictions: Path) -> None:  # noqa: ANN401
        """Predict with the trainer's current network as `nnUNetv2_predict` does."""
        predictions.mkdir(parents=True, exist_ok=True)
        network = unwrapped(trainer.network)
        predictor = predictor_of(trainer, network, [network.state_dict()])
        reader = trainer.plans_manager.image_reader_writer_class()
        with predicting(trainer):
            for case, files in self.images.items():
                image, properties = reader.read_images(files)
                predictor.predict_single_npy_array(image, properties, None, str(predictions / case))
