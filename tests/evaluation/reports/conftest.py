"""Small evaluations and comparisons on disk, for all tests of the reports."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from anl_seg.evaluation import evaluate_folders, summarize
from anl_seg.evaluation.compare import compare, evaluate_methods

SIZE = 40


def disc(radius, shift=0):
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return (np.hypot(rows - SIZE / 2, columns - SIZE / 2 - shift) < radius).astype(np.uint8)


def references():
    """Ten cases of growing discs with a second class inside; the last one is empty."""
    masks = {f"case_{n}": disc(4 + n) + disc(2 + n // 2) for n in range(9)}
    return {**masks, "case_9": disc(0)}


def predictions(shift):
    """The same discs, moved further in every case; the first is missed."""
    masks = {
        f"case_{n}": disc(4 + n, shift * n / 8) + disc(2 + n // 2, shift * n / 8) for n in range(9)
    }
    return {**masks, "case_0": disc(0), "case_9": disc(0)}


def save(folder, masks, factor=1):
    folder.mkdir(parents=True)
    for case, mask in masks.items():
        Image.fromarray(mask * factor).save(folder / f"{case}.png")
    return folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """References, two seeds of a near method, one run of a far method, and images."""
    root = tmp_path_factory.mktemp("reports")
    masks = references()
    return {
        "ref": save(root / "ref", masks),
        "near1": save(root / "near1", predictions(2)),
        "near2": save(root / "near2", predictions(3)),
        "far": save(root / "far", predictions(9)),
        "images": save(root / "images", {f"{c}_0000": m for c, m in masks.items()}, 100),
    }


@pytest.fixture(scope="session")
def evaluation(folders):
    return evaluate_folders(folders["far"], folders["ref"], labels=(1, 2))


@pytest.fixture(scope="session")
def summary(evaluation):
    return summarize(evaluation)


@pytest.fixture(scope="session")
def comparison(folders):
    runs = {"far": [folders["far"]], "anl-ce": [folders["near1"], folders["near2"]]}
    return compare(evaluate_methods(runs, folders["ref"], labels=(1, 2)))
