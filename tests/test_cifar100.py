"""CIFAR-100's classes: 20 super-classes of five, in the order of the official labels."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from anl_seg.cifar100 import CLASSES, SUPERCLASSES
from anl_seg.datasets import pickles

HUMAN = Path(__file__).parents[2] / "shared/data/cifar-n/CIFAR-100_human.pt"


def test_twenty_superclasses_of_five():
    assert len(SUPERCLASSES) == 20
    assert {len(members) for members in SUPERCLASSES.values()} == {5}
    assert len(set(CLASSES)) == 100


@pytest.mark.data
@pytest.mark.skipif(not HUMAN.exists(), reason=f"no {HUMAN}")
def test_labels_and_superclasses_are_the_official_ones():
    with zipfile.ZipFile(HUMAN) as bundle:
        official = pickles.loads(bundle.read("CIFAR-100_human/data.pkl"))
    fine, coarse = (np.asarray(official[f"clean_{kind}label"]) for kind in ("", "coarse_"))
    for number, members in enumerate(SUPERCLASSES.values()):
        labels = [CLASSES.index(name) for name in members]
        assert set(coarse[np.isin(fine, labels)]) == {number}
        assert set(fine[coarse == number]) == set(labels)
