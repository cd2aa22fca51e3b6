"""The preview: pictures of the noise, mildest first."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from matplotlib.figure import Figure
from noise.shapes import ball, disc
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.noise import PUBLISHED, NoiseSettings, corrupt_masks, verify
from anl_seg.noise.preview import (
    CLEAN_COLOUR,
    NOISY_COLOUR,
    SHOWN,
    _by_severity,
    _draw,
    draw_preview,
    write_preview,
)


def shows(path, colour):
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    return (pixels == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=2).any()


def test_masks_of_a_folder(tmp_path):
    (tmp_path / "src").mkdir()
    for number in range(8):
        mask = disc((64, 90), 30, 40, 6 + number % 12).astype(np.uint8)
        Image.fromarray(mask).save(tmp_path / "src" / f"{number}.png")
    corrupt_masks(tmp_path / "src", tmp_path / "dst", NoiseSettings(eta_alpha=1, eta_beta=0.5))
    path = write_preview(tmp_path / "src", tmp_path / "dst")
    assert path == tmp_path / "dst" / "preview" / "noise_preview.png"
    assert verify(tmp_path / "dst") == (8, [])  # the sheet is not taken for a mask
    assert shows(path, CLEAN_COLOUR)
    assert shows(path, NOISY_COLOUR)
    with Image.open(path) as sheet:
        width, height = sheet.size
    assert width == 6 * 2 * 200
    assert height == int((2 * (2 * 64 / 90 + 0.4) + 1.0) * 200)


def test_a_data_set_of_volumes(tmp_path):
    source = tmp_path / "Dataset001_A"
    labels = ball((9, 40, 60), (5, 20, 30), 10, (2, 1, 1)).astype(np.uint8)
    for name in ("imagesTr/c_0000.nii.gz", "labelsTr/c.nii.gz"):
        (source / name).parent.mkdir(parents=True)
        image = sitk.GetImageFromArray(labels * np.uint8(1 if "labels" in name else 90))
        sitk.WriteImage(image, str(source / name))
    content = {"labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}
    (source / "dataset.json").write_text(json.dumps(content))
    corrupt_masks(source, tmp_path / "dst", NoiseSettings(eta_alpha=1, eta_beta=0.5))
    path = write_preview(source, tmp_path / "dst")
    assert shows(path, CLEAN_COLOUR)
    assert shows(path, NOISY_COLOUR)


def test_a_mask_that_fills_its_image_is_drawn(tmp_path):
    (tmp_path / "src").mkdir()
    mask = np.ones((40, 40), np.uint8)
    for number in range(9):  # some of the nine are eroded
        Image.fromarray(mask).save(tmp_path / "src" / f"{number}.png")
    corrupt_masks(
        tmp_path / "src",
        tmp_path / "dst",
        NoiseSettings(eta_alpha=1, eta_beta=0.5, method=PUBLISHED),
    )
    path = write_preview(tmp_path / "src", tmp_path / "dst")
    assert shows(path, NOISY_COLOUR)


def test_cases_run_from_mild_to_severe_by_the_mean_over_their_classes():
    rows = [
        {"file": "a", "kind": "erosion", "dice": 0.2},
        {"file": "b", "kind": "dilation", "dice": 0.9},
        {"file": "c", "kind": "affine", "dice": 0.4},
        {"file": "c", "kind": "affine", "dice": 0.6},
        {"file": "d", "kind": "clean", "dice": 1.0},
        {"file": "e", "kind": "skipped", "dice": None},
    ]
    assert _by_severity(rows) == [
        ("b", "dilation", 0.9),
        ("c", "affine", 0.5),
        ("a", "erosion", 0.2),
    ]


def test_without_a_corrupted_mask_there_is_nothing_to_show(tmp_path):
    (tmp_path / "src").mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "src" / "a.png")
    corrupt_masks(tmp_path / "src", tmp_path / "dst", NoiseSettings(eta_alpha=1, eta_beta=0.5))
    with pytest.raises(InputError, match="nothing to show"):
        write_preview(tmp_path / "src", tmp_path / "dst")


def test_panels_have_names_and_the_sheet_says_how_many_it_shows(tmp_path):
    (tmp_path / "src").mkdir()
    names = [f"{number}$ä$.png" for number in range(SHOWN + 6)] + [f"{'long_name_' * 5}1.png"]
    for name in names:
        Image.fromarray(disc((40, 40), 20, 20, 9).astype(np.uint8)).save(tmp_path / "src" / name)
    corrupt_masks(tmp_path / "src", tmp_path / "dst", NoiseSettings(1, 0.5))
    figure = draw_preview(tmp_path / "src", tmp_path / "dst")
    assert figure.get_suptitle() == (
        f"{SHOWN} of {SHOWN + 7} corrupted masks are shown\n(the data set has {SHOWN + 7} masks)"
    )
    titles = [axes.get_title().splitlines() for axes in figure.axes]
    assert len({name for name, _ in titles}) == SHOWN
    assert all(name in names or ("…" in name and name.endswith("1.png")) for name, _ in titles)
    assert all("Dice" in kind for _, kind in titles)
    assert write_preview(tmp_path / "src", tmp_path / "dst").is_file()


def drawn(labels):
    """Return the corners of each line around the clean labels, in the preview's coordinates."""
    axes = Figure().add_subplot()
    _draw(axes, np.zeros_like(labels), labels, np.zeros_like(labels))
    return [path.vertices for path in axes.collections[0].get_paths()]


def test_outlines_enclose_the_mask_and_its_holes():
    ring = disc((30, 40), 15, 20, 9) & ~disc((30, 40), 15, 20, 3)
    outer, inner = sorted(drawn(ring.astype(np.uint8)), key=lambda line: -np.ptp(line[:, 0]))
    assert np.allclose([outer.min(axis=0), outer.max(axis=0)], [(10.75, 5.75), (29.25, 24.25)])
    assert np.ptp(inner[:, 0]) < 8
    assert len(drawn(np.eye(2, dtype=np.uint8)[:1])) == 1
    assert drawn(np.zeros((4, 4), np.uint8)) == []
