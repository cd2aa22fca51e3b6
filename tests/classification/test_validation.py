"""Images held out of training: their choice, their labels, and their accuracy in a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anl_seg.classification import ClassificationSettings, read_log, read_run, run
from anl_seg.classification.validation import hold_out
from anl_seg.datasets import classification as datasets
from anl_seg.datasets.labelled_images import ImageFiles
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise
from anl_seg.noise.labels import NoisyLabels

QUICK = {"epochs": 2, "batch_size": 256, "device": "cpu"}
SETTINGS = ClassificationSettings(
    noise="symmetric", eta=0.4, loss="anl-ce", seed=1, **QUICK, validation=0.25
)


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("digits")
    noisy = label_noise.draw(data.y_train, kind="symmetric", n_classes=10, eta=0.4, seed=1)
    return data, noisy


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(SETTINGS, folder)


def as_set(images):
    return {image.tobytes() for image in images}


def test_every_image_is_in_one_part_with_its_own_labels(digits):
    data, noisy = digits
    kept, rest = hold_out(data, noisy, 0.25, seed=1)
    held = kept.further["validation"]
    assert len(held.labels) == 361  # a quarter of 1442, rounded up
    assert not as_set(kept.x_train) & as_set(held.images)
    assert as_set(kept.x_train) | as_set(held.images) == as_set(data.x_train)
    given = {
        image.tobytes(): label for image, label in zip(data.x_train, noisy.labels, strict=True)
    }
    clean = {image.tobytes(): label for image, label in zip(data.x_train, noisy.clean, strict=True)}
    for images, labels, expected in (
        (kept.x_train, rest.labels, given),
        (kept.x_train, rest.clean, clean),
        (held.images, held.labels, given),
        (held.images, kept.further["validation_clean"].labels, clean),
    ):
        assert labels.tolist() == [expected[image.tobytes()] for image in images]


def test_the_share_is_that_of_each_given_label(digits):
    data, noisy = digits
    kept, _ = hold_out(data, noisy, 0.25, seed=1)
    all_counts, held_counts = (
        np.bincount(labels) for labels in (noisy.labels, kept.further["validation"].labels)
    )
    assert np.abs(held_counts - all_counts / 4).max() < 1


def test_the_seed_decides_which(digits):
    data, noisy = digits
    one, again, other = (hold_out(data, noisy, 0.25, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one.x_train, again.x_train)
    assert not np.array_equal(one.x_train, other.x_train)


def test_a_share_of_0_holds_nothing_out(digits):
    assert hold_out(*digits, 0.0, seed=1) == digits


def test_files_are_held_out_with_given_labels_only():
    files = tuple(Path(f"{number}.jpg") for number in range(40))
    labels = np.arange(40) % 2
    data = ImageFiles("photos", files, labels, files[:2], labels[:2], ("even", "odd"))
    kept, rest = hold_out(data, NoisyLabels(labels, labels, 2, "clean"), 0.2, seed=1)
    held = kept.further["validation"]
    assert set(kept.further) == {"validation"}
    assert sorted(held.files + kept.train_files) == sorted(files)
    assert sorted(held.labels.tolist()) == [0] * 4 + [1] * 4
    assert [int(path.stem) % 2 for path in held.files] == held.labels.tolist()
    assert [int(path.stem) % 2 for path in kept.train_files] == rest.labels.tolist()


def test_a_class_of_one_image_cannot_be_in_both_parts():
    files = tuple(Path(f"{number}.jpg") for number in range(9))
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2])
    data = ImageFiles("photos", files, labels, files[:1], labels[:1], ("a", "b", "c"))
    with pytest.raises(InputError, match=r"validation share of 0\.4 .*only 1 member"):
        hold_out(data, NoisyLabels(labels, labels, 3, "clean"), 0.4, seed=1)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan"), "half"])
def test_an_impossible_share(share):
    with pytest.raises(InputError, match="validation must be a share from 0 to below 1"):
        ClassificationSettings(validation=share)


def test_a_run_trains_on_the_rest_and_logs_both_accuracies(finished):
    folder, result = finished
    log = read_log(folder)
    assert set(result.further) == {"validation", "validation_clean"}
    assert log[-1].validation_accuracy == result.further["validation"]
    assert log[-1].validation_accuracy_clean == result.further["validation_clean"]
    assert log[-1].gradients is None  # they stand in a file of their own
    told = json.loads((folder / "gradients.jsonl").read_text().splitlines()[-1])["gradients"]
    assert told["clean"]["n"] + told["mislabelled"]["n"] == 1442 - 361
    assert read_run(folder)["labels"]["images"] == 1442


def test_the_accuracies_are_those_of_the_network_on_the_images_held_out(finished, digits):
    from anl_seg.classification.models import create
    from anl_seg.classification.protocols import PROTOCOLS

    folder, result = finished
    kept, _ = hold_out(*digits, 0.25, seed=1)
    held = kept.further["validation"]
    model = create("cnn4", 10, (8, 8, 1)).eval()
    model.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["model"])
    normalization = PROTOCOLS["digits"].normalization
    centred = held.images.transpose(0, 3, 1, 2) / 255 - normalization.mean[0]
    pixels = centred / normalization.std[0]
    with torch.no_grad():
        predicted = model(torch.from_numpy(pixels).float()).argmax(1).numpy()
    assert result.further["validation"] == pytest.approx((predicted == held.labels).mean())
    clean = kept.further["validation_clean"].labels
    assert result.further["validation_clean"] == pytest.approx((predicted == clean).mean())


def test_without_a_share_the_records_lack_validation(tmp_path):
    settings = dataclasses.replace(SETTINGS, validation=0.0, **{**QUICK, "epochs": 1})
    assert run(settings, tmp_path).further == {}
    assert "validation" not in (tmp_path / "log.jsonl").read_text()
    assert "validation" not in (tmp_path / "run.json").read_text()


def test_a_run_is_not_continued_with_another_share(finished):
    folder, _ = finished
    for share, told in ((0.5, "0.5"), (0.0, "None")):
        with pytest.raises(InputError, match=f"validation was 0.25, now {told}"):
            run(dataclasses.replace(SETTINGS, validation=share), folder)
