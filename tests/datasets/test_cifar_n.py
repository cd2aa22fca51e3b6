"""Human labels: of these images, in this order, and nothing run from the pickle."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anl_seg.datasets import cifar_n
from anl_seg.datasets.labelled_images import ImageArrays
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise

SHARED = Path(__file__).parents[3] / "shared/data/cifar-n"

CLEAN = np.array([6, 9, 9, 4, 1, 1, 2, 7])
WORSE = np.array([1, 9, 1, 4, 0, 1, 3, 6])


def images(name: str, labels: np.ndarray, index: np.ndarray | None = None) -> ImageArrays:
    pixels = np.zeros((len(labels), 1, 1, 1), np.uint8)
    places = np.arange(len(labels)) if index is None else index
    return ImageArrays(name, pixels, labels, pixels[:1], labels[:1], ("x",), places)


DATA = images("cifar10", CLEAN)


@pytest.fixture
def path(tmp_path):
    """The official file, as torch wrote it."""
    sets = {"clean_label": CLEAN, "aggre_label": CLEAN, "worse_label": WORSE}
    torch.save(sets, tmp_path / "CIFAR-10_human.pt")
    return tmp_path / "CIFAR-10_human.pt"


def test_worst_labels_from_the_file_or_its_folder(path):
    np.testing.assert_array_equal(cifar_n.read(path, DATA), WORSE)
    np.testing.assert_array_equal(cifar_n.read(path.parent, DATA), WORSE)


def test_subset_of_the_images(path):
    index = np.array([7, 0, 3])
    labels = cifar_n.read(path, images("cifar10", CLEAN[index], index))
    np.testing.assert_array_equal(labels, WORSE[index])


def test_noisy_labels_of_cifar100(tmp_path):
    torch.save(
        {"clean_label": CLEAN, "noisy_label": WORSE, "noisy_coarse_label": [1, 2]},
        tmp_path / "CIFAR-100_human.pt",
    )
    np.testing.assert_array_equal(cifar_n.read(tmp_path, images("cifar100", CLEAN)), WORSE)


def test_another_order(path):
    """FIELD.md D2: the orders of TensorFlow and torch differ."""
    other = replace(DATA, y_train=CLEAN[::-1])
    with pytest.raises(InputError, match="differ from those of cifar10 at 8 of 8 images"):
        cifar_n.read(path, other)


def test_more_images_than_labels(path):
    with pytest.raises(InputError, match="has 8 labels, too few"):
        cifar_n.read(path, images("cifar10", np.tile(CLEAN, 2)))


def test_empty_file(path):
    """FIELD.md D2: the files were once 0 bytes long."""
    path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"CIFAR-10_human\.pt \(0 bytes\) is not a file of CIFAR-N"
    ):
        cifar_n.read(path, DATA)


@pytest.mark.parametrize("content", [{"clean_label": CLEAN}, [1, 2]])
def test_other_content(path, content):
    torch.save(content, path)
    with pytest.raises(InputError, match=r"lacks worse_label|is not a file of CIFAR-N"):
        cifar_n.read(path, DATA)


def test_other_archive(path):
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("x/readme", "text")
    with pytest.raises(InputError, match="is not a file of CIFAR-N"):
        cifar_n.read(path, DATA)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no such file\. Get CIFAR-10_human\.pt from http"):
        cifar_n.read(tmp_path, DATA)


def test_other_data_set(path):
    with pytest.raises(InputError, match="no human labels for 'mnist', only for cifar10 and"):
        cifar_n.read(path, images("mnist", CLEAN))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no human labels in {SHARED}")
@pytest.mark.parametrize(("name", "rate"), [("cifar10", 0.4021), ("cifar100", 0.4020)])
def test_real_files_have_the_published_rates(name, rate):
    """Rates: Table 1 of Wei et al., ICLR 2022."""
    file = SHARED / cifar_n.RELEASES[name][0]
    clean = torch.load(file, weights_only=False)["clean_label"]
    human = cifar_n.read(SHARED, images(name, clean))
    n_classes = len(np.unique(clean))
    noisy = label_noise.draw(clean, kind="human", n_classes=n_classes, human=human)
    assert noisy.rate == pytest.approx(rate, abs=5e-5)
    assert np.bincount(clean).tolist() == [50_000 // n_classes] * n_classes
