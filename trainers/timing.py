"""Measure the steps of a planned training: `python -m anl_seg.trainers.timing DATASET PLANS ...`.

It stands alone because nnU-Net's own command can only train to the end.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import Any

import torch

from anl_seg.formats.nnunet import TRAINER

#: Seconds of training steps before those that count: they compile, and use up batches in store.
WARM_UP_SECONDS = 3.0
#: Seconds of training steps that count, and of validation steps.
SECONDS, VALIDATION_SECONDS = 12.0, 3.0
#: At least so many steps count.
LEAST_STEPS = 2


@dataclass(frozen=True)
class Timing:
    """How long a training takes on this machine, without its final validation.

    Attributes:
        train_step: Seconds of a training step.
        validation_step: Seconds of a step of the validation in each epoch.
        steps: Training steps that were measured.
        epochs: Epochs of the whole training.
        iterations: Training steps in an epoch.
        validation_iterations: Validation steps in an epoch.
    """

    train_step: float
    validation_step: float
    steps: int
    epochs: int
    iterations: int
    validation_iterations: int

    @property
    def total(self) -> float:
        """Seconds of the whole training.

        Examples:
            >>> Timing(1.0, 0.5, steps=9, epochs=10, iterations=4, validation_iterations=2).total
            50.0
        """
        epoch = self.iterations * self.train_step
        epoch += self.validation_iterations * self.validation_step
        return self.epochs * epoch


def measure(dataset: str, plans: str, configuration: str, fold: str, device: str) -> Timing:
    """Start a training with `nnUNetTrainerANL`, do a few of its steps, and measure them.

    Args:
        dataset: Id of a preprocessed data set.
        plans: Name of its plans.
        configuration: Such as "2d".
        fold: The fold to train, or "all".
        device: "cpu", "cuda" or "mps".
    """
    from nnunetv2.run.run_training import get_trainer_from_args

    trainer: Any = get_trainer_from_args(
        dataset,
        configuration,
        fold if fold == "all" else int(fold),
        TRAINER,
        plans,
        device=torch.device(device),
    )
    trainer.disable_checkpointing = True
    with TemporaryDirectory() as folder:
        trainer.output_folder = folder  # a training of this fold may have its files in the other
        trainer.on_train_start()
        trainer.on_train_epoch_start()
        train_step, steps = time_repeated(_steps(trainer.train_step, trainer.dataloader_train))
        trainer.on_validation_epoch_start()
        with torch.no_grad():
            validate = _steps(trainer.validation_step, trainer.dataloader_val)
            validation_step, _ = time_repeated(validate, warm_up=0, seconds=VALIDATION_SECONDS)
        trainer.on_train_end()  # ends the loading processes
    return Timing(
        train_step,
        validation_step,
        steps,
        epochs=trainer.num_epochs,
        iterations=trainer.num_iterations_per_epoch,
        validation_iterations=trainer.num_val_iterations_per_epoch,
    )


def _steps(step: Callable[[Any], object], batches: Any) -> Iterator[object]:  # noqa: ANN401
    """Do a step each time that the next item is asked for."""
    while True:
        yield step(next(batches))


def time_repeated(
    steps: Iterator[object],
    *,
    warm_up: float = WARM_UP_SECONDS,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, int]:
    """Measure the mean time of a step after a warm-up of at least one step.

    Args:
        steps: Does a step for each item.
        warm_up: Seconds of steps that do not count.
        seconds: Seconds of steps that count.
        clock: Returns the time in seconds.

    Returns:
        Seconds of a step, and the number of steps that count.
    """
    _repeat(steps, warm_up, 1, clock)
    return _repeat(steps, seconds, LEAST_STEPS, clock)


def _repeat(
    steps: Iterator[object], seconds: float, least: int, clock: Callable[[], float]
) -> tuple[float, int]:
    start, done = clock(), 0
    while done < least or clock() - start < seconds:
        next(steps)
        done += 1
    return (clock() - start) / done, done


if __name__ == "__main__":
    print(json.dumps(asdict(measure(*sys.argv[1:]))))
