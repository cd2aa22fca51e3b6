"""A small data set whose wrong masks are known: discs, and blurred predictions of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from suspects.discs import FAULTS, disc, softmax


@pytest.fixture(scope="session")
def cases():
    """Case -> given mask, softmax and the kind of its error ("" for a right mask)."""
    random = np.random.default_rng(0)
    found = {}
    for number in range(40):
        kind = [*FAULTS, *[""] * 5][number % 10]
        row, column = random.uniform(22, 27, 2)
        radius = random.uniform(8, 11)
        right = disc(row, column, radius)
        given = FAULTS[kind](row, column, radius) if kind else right + random.normal(0, 0.3)
        error = random.normal(0, 0.7, 2)
        predicted = disc(row + error[0], column + error[1], radius + random.normal(0, 0.4))
        found[f"case_{number:02d}"] = ((given > 0).astype(np.uint8), softmax(predicted), kind)
    return found


@pytest.fixture
def raw(cases, tmp_path):
    """The cases as an nnU-Net raw data set, and their softmax beside it."""
    folder = tmp_path / "raw" / "Dataset501_Discs"
    for name in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "softmax").mkdir()
    for case, (given, probabilities, _) in cases.items():
        picture = (200 * probabilities[1]).astype(np.uint8)
        Image.fromarray(picture).save(folder / "imagesTr" / f"{case}_0000.png")
        Image.fromarray(given).save(folder / "labelsTr" / f"{case}.png")
        np.savez(tmp_path / "softmax" / f"{case}.npz", probabilities=probabilities)
    Image.fromarray(picture).save(folder / "imagesTs" / "test_0000.png")
    content = {
        "channel_names": {"0": "grey"},
        "labels": {"background": 0, "disc": 1},
        "numTraining": len(cases),
        "file_ending": ".png",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder
