"""CIFAR from archives of the official layout, packed and unpacked."""

from __future__ import annotations

import pickle
import tarfile

import numpy as np
import pytest

from anl_seg.datasets.classification import load
from anl_seg.errors import InputError

RNG = np.random.default_rng(0)


def batch(label_key: str, labels: list[int]) -> dict[str, object]:
    """Return the content of an official file: rows of 1024 red, 1024 green, 1024 blue values."""
    data = RNG.integers(256, size=(len(labels), 3072), dtype=np.uint8)
    return {"batch_label": "b", label_key: labels, "data": data, "filenames": ["x"] * len(labels)}


CIFAR10 = {f"data_batch_{n}": batch("labels", [n, 9]) for n in range(1, 6)}
CIFAR10 |= {"test_batch": batch("labels", [3, 4, 5])}
CIFAR100 = {"train": batch("fine_labels", [0, 99, 50]), "test": batch("fine_labels", [1])}
SETS = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-python.tar.gz", CIFAR10),
    "cifar100": ("cifar-100-python", "cifar-100-python.tar.gz", CIFAR100),
}


def unpacked(root, name):
    folder, _, files = SETS[name]
    (root / folder).mkdir(parents=True)
    for file, content in files.items():
        (root / folder / file).write_bytes(pickle.dumps(content, protocol=2))
    return root


def packed(root, name):
    folder, archive, _ = SETS[name]
    source = unpacked(root / "source", name)
    with tarfile.open(root / archive, "w:gz") as bundle:
        bundle.add(source / folder, folder)
    return root


@pytest.fixture(params=["cifar10", "cifar100"])
def name(request):
    return request.param


@pytest.mark.parametrize("where", ["root", "folder", "packed", "archive"])
def test_official_layouts(tmp_path, name, where):
    folder, archive, files = SETS[name]
    root = {
        "root": lambda: unpacked(tmp_path, name),
        "folder": lambda: unpacked(tmp_path, name) / folder,
        "packed": lambda: packed(tmp_path, name),
        "archive": lambda: packed(tmp_path, name) / archive,
    }[where]()
    data = load(name, root)
    train = [content for file, content in files.items() if not file.startswith("test")]
    key = "labels" if name == "cifar10" else "fine_labels"
    assert data.y_train.tolist() == [label for content in train for label in content[key]]
    rows = np.concatenate([content["data"] for content in train])
    assert data.x_train.shape == (len(rows), 32, 32, 3)
    for image, row in zip(data.x_train, rows, strict=True):
        assert image[2, 5].tolist() == [row[2 * 32 + 5 + 1024 * channel] for channel in range(3)]
    assert len(data.x_test) == len(data.y_test) == len(files[list(files)[-1]]["data"])


@pytest.mark.parametrize("train", [True, False])
def test_torchvision_reads_the_same(tmp_path, name, train, monkeypatch):
    datasets = pytest.importorskip("torchvision.datasets")
    reader = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    monkeypatch.setattr(reader, "_check_integrity", lambda _: True)  # these are not the real files
    monkeypatch.setattr(reader, "_load_meta", lambda _: None)
    theirs = reader(unpacked(tmp_path, name), train=train)
    ours = load(name, tmp_path)
    np.testing.assert_array_equal(ours.x_train if train else ours.x_test, theirs.data)
    assert (ours.y_train if train else ours.y_test).tolist() == theirs.targets


def test_classes_are_in_the_order_of_the_labels(tmp_path):
    cifar10 = load("cifar10", unpacked(tmp_path / "10", "cifar10"))
    assert (cifar10.classes[0], cifar10.classes[3], cifar10.classes[9]) == (
        *("airplane", "cat", "truck"),
    )
    cifar100 = load("cifar100", unpacked(tmp_path / "100", "cifar100"))
    assert (cifar100.classes[0], cifar100.classes[99]) == ("apple", "worm")


def test_all_missing_batches_are_named(tmp_path):
    unpacked(tmp_path, "cifar10")
    for file in ("data_batch_2", "test_batch"):
        (tmp_path / "cifar-10-batches-py" / file).unlink()
    with pytest.raises(InputError, match="lacks data_batch_2, test_batch of cifar-10-python"):
        load("cifar10", tmp_path)


def test_half_an_archive(tmp_path, name):
    archive = packed(tmp_path, name) / SETS[name][1]
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"tar\.gz is damaged .* get it again from https"):
        load(name, tmp_path)


def test_no_archive_at_all(tmp_path, name):
    (tmp_path / SETS[name][1]).write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"tar\.gz is damaged"):
        load(name, tmp_path)


@pytest.mark.parametrize("content", [b"half", pickle.dumps([1, 2]), pickle.dumps({"data": 1})])
def test_damaged_batch(tmp_path, content):
    unpacked(tmp_path, "cifar10")
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").write_bytes(content)
    with pytest.raises(InputError, match="data_batch_4 is not a batch of CIFAR"):
        load("cifar10", tmp_path)


def test_the_other_cifar(tmp_path):
    unpacked(tmp_path, "cifar10")
    with pytest.raises(InputError, match="cifar100 not found"):
        load("cifar100", tmp_path)
