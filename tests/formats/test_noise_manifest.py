"""The manifest of `anl-seg noise`, and errors of other files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.noise_manifest import NoisyMask, read_noisy_masks
from anl_seg.noise import NoiseSettings, corrupt_masks


def test_of_a_real_run_as_json_and_as_csv(tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    square = np.zeros((32, 32), np.uint8)
    square[8:24, 8:24] = 1
    for number in range(6):
        Image.fromarray(square).save(masks / f"case_{number}.png")
    noisy = tmp_path / "noisy"
    corrupt_masks(masks, noisy, NoiseSettings(eta_alpha=0.5, eta_beta=0.5, seed=1))
    found = read_noisy_masks(noisy)
    assert found == read_noisy_masks(noisy / "noise_manifest.csv")
    assert list(found) == [f"case_{number}" for number in range(6)]
    assert 0 < sum(mask.kind != "clean" for mask in found.values()) < 6
    for mask in found.values():
        changed = np.any(np.asarray(Image.open(mask.file)) != square)
        assert changed == (mask.kind != "clean")


def test_a_case_with_rows_for_several_classes_has_all_their_kinds(tmp_path):
    rows = [
        {"case": "a", "file": "a.png", "kind": kind}
        for kind in ("dilation", "clean", "affine", "dilation")
    ]
    rows += [{"case": "b", "file": "b.png", "kind": "clean"}] * 2
    rows += [{"case": "c", "file": "c.png", "kind": "skipped"}]  # has no noisy mask
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"cases": rows}))
    assert read_noisy_masks(path) == {
        "a": NoisyMask("affine+dilation", tmp_path / "a.png"),
        "b": NoisyMask("clean", tmp_path / "b.png"),
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.json", "{", "is not a noise manifest"),
        ("m.json", "[]", "is not a noise manifest"),
        ("m.json", '{"cases": [{"case": "a"}]}', "is not a noise manifest"),
        ("m.json", '{"complete": false}', "contains no cases"),
        ("m.csv", "case,file\na,a.png\n", "is not a noise manifest"),
        ("m.csv", "", "contains no cases"),
    ],
)
def test_refuses(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_noisy_masks(path)
    assert str(path) in str(error.value)


def test_absent(tmp_path):
    with pytest.raises(InputError, match=r"noise_manifest\.json: is not a noise manifest"):
        read_noisy_masks(tmp_path)
