"""Batches of a large data set, on a tiny tree of image files."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from anl_seg.classification import ClassificationSettings, read_log, run
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.inputs import make_batches
from anl_seg.classification.protocols import PROTOCOLS
from anl_seg.classification.transforms import Photos, for_testing
from anl_seg.datasets.classification import ImageFiles, LabelledFiles
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise

PROTOCOL = dataclasses.replace(
    PROTOCOLS["webvision"],
    batch_size=4,
    augmentation=Photos(resize_px=20, crop_px=16, random_resized_crop=True, color_jitter=True),
)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    files = []
    for number in range(10):
        pixels = rng.integers(0, 256, (24 + number, 30, 3), dtype=np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        files.append(path)
    files[9].unlink()
    Image.fromarray(pixels[..., 0]).save(files[9])  # a grey one
    labels = np.arange(10) % 3
    further = {"other": LabelledFiles(tuple(files[:3]), labels[:3])}
    return ImageFiles(
        "webvision", tuple(files), labels, tuple(files[:5]), labels[:5], ("a", "b", "c"), further
    )


def batches(data, workers=0, seed=1, ranks=None):
    noisy = label_noise.draw(data.y_train, kind="clean", n_classes=3)
    cpu = torch.device("cpu")
    return make_batches(
        data, noisy, PROTOCOL, seed=seed, device=cpu, ranks=ranks or Ranks(), workers=workers
    )


def epoch(made, number=0):
    parts = list(made.training(number))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def test_an_epoch_is_all_images_of_one_size(data):
    made = batches(data)
    images, labels = epoch(made)
    assert images.shape == (10, 3, 16, 16)
    assert made.shape == (16, 16, 3)
    assert sorted(labels.tolist()) == sorted(data.y_train.tolist())


def test_augmentation_does_not_depend_on_the_workers(data):
    images, labels = epoch(batches(data), 5)
    images_again, labels_again = epoch(batches(data, workers=2), 5)
    assert torch.equal(images, images_again)
    assert torch.equal(labels, labels_again)
    assert not torch.equal(images, epoch(batches(data), 6)[0])
    assert not torch.equal(images, epoch(batches(data, seed=2), 5)[0])


def test_the_global_generator_is_left_alone(data):
    state = torch.random.get_rng_state()
    epoch(batches(data))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(("part", "n"), [("train", 10), ("test", 5), ("other", 3)])
def test_plain_images_are_cut_from_the_middle_in_order(data, part, n):
    made = batches(data)
    assert part in made.parts
    images, labels = (torch.cat(parts) for parts in zip(*made.plain(part), strict=True))
    assert labels.tolist() == data.y_train[:n].tolist()
    photo = Image.open(data.train_files[2])  # 26 x 30: to 20 x 23
    pixels = np.asarray(photo.resize((23, 20), Image.Resampling.BILINEAR))[2:18, 4:20] / 255
    normal = PROTOCOL.normalization
    expected = ((pixels - normal.mean) / normal.std).transpose(2, 0, 1)
    np.testing.assert_allclose(images[2], expected, atol=1e-4)


def test_processes_share_the_test_images(data):
    shares = [batches(data, ranks=Ranks(rank, rank, 2)) for rank in range(2)]
    labels = [torch.cat([labels for _, labels in share.plain("test")]) for share in shares]
    assert labels[0].tolist() == data.y_test[0::2].tolist()
    assert labels[1].tolist() == data.y_test[1::2].tolist()


def test_clothing1m_takes_the_middle_224_of_256():
    photos = PROTOCOLS["clothing1m"].augmentation
    image = Image.new("RGB", (300, 500))
    transform = for_testing(photos, PROTOCOLS["clothing1m"].normalization)
    assert transform(image).shape == (3, 224, 224)
    assert photos.resize_px == (256, 256)
    assert not photos.random_resized_crop


def test_a_whole_run(data, tmp_path, monkeypatch):
    def small_network(name, classes, shape):
        assert (name, classes, shape) == ("resnet50", 3, (224, 224, 3))
        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, classes))

    module = importlib.import_module("anl_seg.classification.run")
    monkeypatch.setattr(module, "load", lambda name, root: data)
    monkeypatch.setattr(module, "create", small_network)
    settings = ClassificationSettings("webvision", "anl-ce", epochs=2, batch_size=5, device="cpu")
    result = run(settings, tmp_path / "run", workers=0)
    assert set(result.further) == {"other"}
    epochs = read_log(tmp_path / "run")
    assert [epoch.lr for epoch in epochs] == pytest.approx([0.4, 0.388])
    assert {epoch.mislabelled_accuracy for epoch in epochs} == {None}


def test_noise_is_not_drawn_on_top_of_real_noise(data, tmp_path, monkeypatch):
    module = importlib.import_module("anl_seg.classification.run")
    monkeypatch.setattr(module, "load", lambda name, root: data)
    settings = ClassificationSettings("webvision", "anl-ce", "symmetric", 0.4)
    with pytest.raises(InputError, match="already noisy"):
        run(settings, tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.5])  # of the file that is left
def test_a_broken_image_is_named(data, share, workers):
    content = data.train_files[3].read_bytes()
    data.train_files[3].write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"^\S*3\.png cannot be read as an image \(.*again$"):
        epoch(batches(data, workers))
