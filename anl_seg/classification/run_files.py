"""Files of a run: run.json, logs, TensorBoard's events and the checkpoint."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from anl_seg.classification.gradients import Box
from anl_seg.classification.training import Learner
from anl_seg.errors import InputError
from anl_seg.formats.files import RUN_NAME, atomic_path, write_json, write_text
from anl_seg.formats.text import read_json

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

LOG_NAME = "log.jsonl"
GRADIENTS_NAME = "gradients.jsonl"
CHECKPOINT_NAME = "checkpoint.pt"
LABELS_NAME = "labels.npz"
MARGINALS_NAME = "marginals.json"
EVENTS_NAME = "tensorboard"
MARGINALS_FIGURE_NAME = "marginals.png"
ACCURACIES_FIGURE_NAME = "accuracies.png"
#: Fields of `Epoch` that the log omits if no images are held out.
OF_VALIDATION = ("validation_accuracy", "validation_accuracy_clean")


@dataclass(frozen=True)
class Epoch:
    """A line of the log. Accuracies are shares; None if there are no such images.

    Attributes:
        epoch: Number of the epoch, counted from 1.
        test_accuracy: Accuracy on the test set, after the epoch.
        clean_accuracy: Accuracy on the correctly labelled training images, during the epoch.
        mislabelled_accuracy: Share of the other training images predicted as their wrong label.
        loss: Mean loss over the training images, without penalties.
        lr: Learning rate of the epoch.
        gradients: Box plots of the loss's gradients (see `anl_seg.classification.gradients`),
            stored in gradients.jsonl, not in the log.
        validation_accuracy: Accuracy on held-out images against the given labels. The log has it
            only if images are held out.
        validation_accuracy_clean: Accuracy on held-out images against the correct labels.
    """

    epoch: int
    test_accuracy: float
    clean_accuracy: float | None
    mislabelled_accuracy: float | None
    loss: float
    lr: float
    gradients: dict[str, Box] | None = None
    validation_accuracy: float | None = None
    validation_accuracy_clean: float | None = None


def read_log(folder: Path) -> list[Epoch]:
    """Read the log of a run.

    Args:
        folder: Folder of the run.

    Returns:
        The epochs in their order.

    Raises:
        OSError: If the folder has no log.

    Examples:
        >>> import tempfile
        >>> line = '{"epoch": 1, "test_accuracy": 0.5, "clean_accuracy": 0.6, "lr": 0.01,'
        >>> line += ' "mislabelled_accuracy": null, "loss": 1.5}'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "log.jsonl").write_text(line)
        ...     read_log(Path(folder))[0].test_accuracy
        0.5
    """
    lines = (folder / LOG_NAME).read_text(encoding="utf-8").splitlines()
    return [Epoch(**json.loads(line)) for line in lines]


def read_gradients(folder: Path) -> list[dict[str, Box]]:
    """Read the box plots of a run, per epoch: "clean" and, if any are wrong, "mislabelled".

    Args:
        folder: Folder of the run.

    Returns:
        For each epoch, the box plot of each part of the training images by its name.

    Raises:
        OSError: If the folder has none, because the loss has no normalised negative part.

    Examples:
        >>> import tempfile
        >>> line = '{"epoch": 1, "gradients": {"clean": [0.0, 0.1, 0.2, 0.3, 0.4]}}'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "gradients.jsonl").write_text(line)
        ...     read_gradients(Path(folder))
        [{'clean': [0.0, 0.1, 0.2, 0.3, 0.4]}]
    """
    lines = (folder / GRADIENTS_NAME).read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["gradients"] for line in lines]


def write_run(folder: Path, content: dict[str, Any]) -> None:
    """Write run.json."""
    write_json(folder / RUN_NAME, content)


def read_run(folder: Path) -> dict[str, Any] | None:
    """Read run.json if it exists.

    Args:
        folder: Folder of the run.

    Returns:
        Settings, versions, hash of the labels and result by name; None if the file does not exist.

    Raises:
        InputError: If it is not a JSON object.

    Examples:
        >>> read_run(Path("nowhere")) is None
        True
    """
    path = folder / RUN_NAME
    if not path.exists():
        return None
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} must contain a JSON object; choose another folder")
    return content


def open_events(folder: Path, done: int) -> SummaryWriter:
    """Open TensorBoard's events, to be closed by `with`.

    Epochs after the first `done` ones are hidden. A process wrote them that was killed before it
    saved its checkpoint.
    """
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder / EVENTS_NAME), purge_step=done + 1)


def save_epoch(folder: Path, learner: Learner, log: list[Epoch], events: SummaryWriter) -> None:
    """Save the last epoch of `log`: TensorBoard's events, the logs, and then the checkpoint."""
    last = log[-1]
    scalars = {
        "accuracy/test": last.test_accuracy,
        "accuracy/training, clean": last.clean_accuracy,
        "accuracy/training, mislabelled": last.mislabelled_accuracy,
        "accuracy/validation": last.validation_accuracy,
        "accuracy/validation, clean": last.validation_accuracy_clean,
        "loss": last.loss,
        "learning rate": last.lr,
    }
    for name, value in scalars.items():
        if value is not None:
            events.add_scalar(name, value, last.epoch)
    events.flush()
    rows = [dict(vars(epoch)) for epoch in log]
    boxes = [{"epoch": row["epoch"], "gradients": row.pop("gradients")} for row in rows]
    for row in rows:
        for name in OF_VALIDATION:
            if row[name] is None:
                del row[name]
    _write_lines(folder / LOG_NAME, rows)
    if last.gradients is not None:
        _write_lines(folder / GRADIENTS_NAME, boxes)
    save_checkpoint(folder, learner, log)


def save_checkpoint(folder: Path, learner: Learner, log: list[Epoch]) -> None:
    """Save everything that is needed to continue after the last epoch of `log`."""
    content = {
        "model": learner.model.state_dict(),
        "criterion": learner.criterion.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "log": [vars(epoch) for epoch in log],
    }
    with atomic_path(folder / CHECKPOINT_NAME) as partial:
        torch.save(content, partial)


def load_checkpoint(folder: Path, learner: Learner) -> list[Epoch]:
    """Load the checkpoint if it exists, and return the log up to it.

    Raises:
        InputError: If it is damaged.
    """
    path = folder / CHECKPOINT_NAME
    if not path.exists():
        return []
    try:
        # a full GPU raises a RuntimeError too, so the file is read into the memory of the machine
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} is damaged; delete it to train again from the first epoch"
        ) from error
    learner.model.load_state_dict(content["model"])
    learner.criterion.load_state_dict(content["criterion"])
    momenta = content["optimizer"]["state"]
    # the options depend on the device, and the checkpoint may be from another one
    options = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": momenta, "param_groups": options})
    return [Epoch(**epoch) for epoch in content["log"]]


def written(folder: Path) -> list[Path]:
    """Return the files in `folder` that a run writes."""
    names = (
        *(RUN_NAME, LOG_NAME, GRADIENTS_NAME, CHECKPOINT_NAME, LABELS_NAME, MARGINALS_NAME),
        *(MARGINALS_FIGURE_NAME, ACCURACIES_FIGURE_NAME),
    )
    events = sorted((folder / EVENTS_NAME).glob("events.out.tfevents.*"))
    return [path for name in names if (path := folder / name).exists()] + events


def clear(folder: Path) -> None:
    """Delete the files of an earlier run in `folder`, and nothing else."""
    for path in written(folder):
        path.unlink()


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(f"{json.dumps(row)}\n" for row in rows))
