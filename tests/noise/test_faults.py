"""The 21 faults of existing generators, by their numbers in FIELD.md."""

import ast
import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from noise.shapes import ball, disc
from PIL import Image
from scipy import ndimage

from anl_seg.errors import InputError
from anl_seg.noise import (
    METHODS,
    PAPER_KINDS,
    NoiseSettings,
    apply,
    choose,
    corrupt,
    corrupt_labels,
    corrupt_masks,
    generator,
    published,
)
from anl_seg.noise.affine import directions

SOURCE = Path(__file__).parents[2] / "noise"
RATES = {"eta_alpha": 1.0, "eta_beta": 0.5}


def share(clean, noisy):
    return (clean ^ noisy).sum() / clean.sum()


def move(mask, eta_beta, direction, turn_deg=0.0):
    drawn = {"direction": direction, "turn_deg": turn_deg, "split_seed": 0}
    return apply(mask, "affine", eta_beta, drawn)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        mask = disc((50, 50), 25, 25, 9 + number).astype(np.uint8)
        save(tmp_path / "src" / f"case_{number}.png", mask)
    return tmp_path / "src"


def test_01_negative_shifts_go_the_negative_way():
    mask = disc((100, 100), 50, 50, 15)
    for direction in ((-1, 0), (0, -1), (-1, -1)):
        way = np.argwhere(move(mask, 0.5, direction)[0]).mean(0) - np.argwhere(mask).mean(0)
        assert np.sign(np.round(way)).tolist() == list(direction)


def test_02_all_eight_directions_are_there_once():
    assert len(directions(2)) == len(set(directions(2))) == 8
    assert (-1, -1) in directions(2)
    assert published.DIRECTIONS.count((-1, 1)) == 2  # the published fault, kept where asked for


@pytest.mark.parametrize("turn_deg", [-40, -13, 8, 33])
def test_03_rotation_keeps_the_area(turn_deg):
    mask = disc((120, 120), 60, 60, 20)
    noisy, _ = move(mask, 0.5, (0, 1), turn_deg)
    assert noisy.sum() == pytest.approx(mask.sum(), rel=0.01)
    assert published.rotate(mask, 13.0)[1].sum() < 0.95 * mask.sum()  # kept where asked for


@pytest.mark.parametrize("kind", PAPER_KINDS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_04_empty_full_and_tiny_masks_are_recorded_and_do_not_stop_the_run(kind, method):
    tiny = np.zeros((20, 20), bool)
    tiny[10, 10] = True
    for mask in (np.zeros((9, 9), bool), np.ones((9, 9), bool), tiny):
        noisy, record = corrupt(mask, kind, 0.3, generator(0, "case"), method)
        assert np.array_equal(noisy, mask) == (bool(record.situation) or record.achieved == 0)
    for eta_beta in (0, -1, 1):
        with pytest.raises(InputError, match="eta_beta"):
            corrupt(tiny, kind, eta_beta, generator(0, "case"), method)


def test_05_a_thin_line_is_eroded_not_just_called_so():
    line = np.zeros((30, 60), bool)
    line[15, 5:55] = True
    noisy, record = corrupt(line, "erosion", 0.5, generator(0, "case"))
    assert share(line, noisy) == record.achieved == 0.5


def test_06_small_components_survive_erosion():
    small = disc((90, 120), 20, 100, 3)
    mask = disc((90, 120), 45, 40, 20) | small
    noisy, record = corrupt(mask, "erosion", 0.5, generator(0, "case"))
    assert (noisy & small).any()
    assert record.achieved == pytest.approx(0.5, abs=1 / mask.sum())
    assert ndimage.label(noisy)[1] == 2


def test_06_of_many_components_each_keeps_its_innermost_pixel():
    mask = np.zeros((300, 300), bool)
    mask[::3, ::3] = True  # 10 000 specks,
    mask[30:33, :] = mask[:, 30:33] = False
    mask[200:280, 200:280] = True  # and a square that others touch
    before = mask.copy()
    noisy, record = corrupt(mask, "erosion", 0.3, generator(0, "case"))
    components, count = ndimage.label(before)
    assert len(np.unique(components[noisy])) == count
    assert record.achieved == pytest.approx(0.3, abs=1 / mask.sum())


@pytest.mark.parametrize("pixels", [1, 2, 5, 40])
def test_07_small_and_thin_objects_never_become_empty(pixels):
    mask = np.zeros((60, 60), bool)
    mask[30, 10 : 10 + pixels] = True
    for seed in range(10):
        noisy, record = corrupt(mask, "affine", 0.7, generator(seed, "case"))
        assert noisy.any()
        assert not record.situation


@pytest.mark.parametrize("kind", PAPER_KINDS)
@pytest.mark.parametrize("radius", [5, 10, 40])
@pytest.mark.parametrize("eta_beta", [0.5, 0.7])
def test_08_the_level_is_met_within_one_percent_or_a_pixel(kind, radius, eta_beta):
    mask = disc((200, 200), 100, 100, radius)
    _, record = corrupt(mask, kind, eta_beta, generator(0, "case"))
    assert record.achieved == pytest.approx(eta_beta, abs=max(0.006, 0.51 / mask.sum()))


def test_09_large_objects_are_displaced_as_far_as_asked():
    mask = disc((1024, 1024), 500, 500, 300)
    _, record = corrupt(mask, "affine", 0.9, generator(0, "case"))
    assert record.achieved == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("direction", directions(2))
def test_10_objects_at_the_border_stay_in_view(direction):
    mask = disc((100, 100), 95, 50, 20)
    noisy, record = move(mask, 0.7, direction)
    assert noisy.sum() >= 0.9 * mask.sum()
    assert record.achieved == pytest.approx(0.7, abs=0.01)


def test_10_objects_without_room_are_counted(tmp_path):
    wide = np.zeros((60, 60), np.uint8)
    wide[1:-1, 1:-1] = 1
    save(tmp_path / "src" / "wide.png", wide)
    rates = {"eta_alpha": 1, "eta_beta": 0.7}
    for seed in range(9):  # until a displacement is drawn
        content = corrupt_masks(
            tmp_path / "src", tmp_path / str(seed), NoiseSettings(**rates, seed=seed)
        )
        if content["cases"][0]["kind"] == "affine":
            break
    assert content["cases"][0]["achieved"] < 0.6
    assert content["summary"]["off_level"] == 1


@pytest.mark.parametrize("kind", PAPER_KINDS)
def test_11_the_level_means_the_same_for_all_kinds(kind):
    mask = disc((160, 160), 80, 80, 30)
    noisy, record = corrupt(mask, kind, 0.6, generator(0, "case"))
    assert share(mask, noisy) == record.achieved == pytest.approx(0.6, abs=0.006)


def test_12_spacing_counts_and_image_borders_are_not_eaten():
    organ = ball((14, 50, 50), (7, 25, 25), 14, (3, 1, 1))
    noisy, _ = corrupt(organ, "erosion", 0.3, generator(0, "c"), spacing_mm=(3.0, 1.0, 1.0))
    distance = ndimage.distance_transform_edt(organ, (3, 1, 1))
    assert distance[organ & ~noisy].max() <= distance[noisy].min() + 1e-4
    half = np.zeros((40, 40), bool)
    half[:, :20] = True
    assert corrupt(half, "erosion", 0.5, generator(0, "c"))[0][:, :10].all()
    assert corrupt(half, "dilation", 0.5, generator(0, "c"))[0].sum() == 1200


@pytest.mark.parametrize("kind", PAPER_KINDS)
def test_13_label_maps_stay_label_maps(kind):
    labels = np.zeros((80, 150), np.uint8)
    labels[disc(labels.shape, 40, 35, 15)] = 2
    labels[disc(labels.shape, 40, 105, 18)] = 5
    noisy, records = corrupt_labels(labels, kind, 0.5, lambda label: generator(0, "c", str(label)))
    assert set(np.unique(noisy)) == {0, 2, 5}
    assert {label: round(each.achieved, 1) for label, each in records.items()} == {2: 0.5, 5: 0.5}


@pytest.mark.parametrize(("eta_alpha", "expected"), [(0.29, 29), (0.57, 57)])
def test_14_no_case_is_lost_to_rounding(eta_alpha, expected):
    cases = [str(number) for number in range(100)]
    assert len(choose(cases, eta_alpha, 0)) == expected
    assert len(published.draw_set(cases, eta_alpha, 0)) == expected - 1  # kept where asked for


def test_15_the_draw_depends_on_seed_and_name_alone_and_keeps_its_kind():
    cases = [str(number) for number in range(60)]
    smaller, larger = choose(cases, 0.3, 1), choose(cases[::-1], 0.5, 1)
    assert smaller.items() <= larger.items()
    assert choose(cases, 0.5, 2) != larger
    np.random.seed(5)  # noqa: NPY002 (the global state is what must not matter)
    assert choose(cases, 0.5, 1) == larger


def test_16_nothing_is_deleted_and_the_coding_is_kept(folder, tmp_path):
    save(tmp_path / "dst" / "mine.png", np.ones((3, 3), np.uint8))
    with pytest.raises(InputError, match="not empty"):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), overwrite=True)
    assert (tmp_path / "dst" / "mine.png").exists()
    assert set(np.unique(Image.open(tmp_path / "dst" / "case_0.png"))) == {0, 1}


def test_17_no_path_is_written_into_the_code_and_any_folder_name_does(folder, tmp_path):
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not node.value.startswith(("/", "~")), f"{path}: {node.value}"
    content = corrupt_masks(Path(f"{folder}/"), tmp_path / "a b", NoiseSettings(**RATES))
    assert content["summary"]["corrupted"] == 6


def test_18_the_summary_is_that_of_the_files(folder, tmp_path):
    summary = corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))["summary"]
    table = np.zeros((2, 2), int)
    shares = []
    for path in sorted(folder.iterdir()):
        clean, noisy = (np.asarray(Image.open(f / path.name)) for f in (folder, tmp_path / "dst"))
        np.add.at(table, (clean, noisy), 1)
        shares.append(share(clean > 0, noisy > 0))
    assert summary["eta_beta"]["mean"] == pytest.approx(np.mean(shares))
    assert summary["eta_alpha"] == 1
    assert summary["confusion"] == {"labels": [0, 1], "pixels": table.tolist()}


def test_19_masks_keep_their_size(folder, tmp_path):
    save(folder / "wide.png", disc((30, 90), 15, 40, 10).astype(np.uint8))
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    for path in folder.iterdir():
        with Image.open(path) as clean, Image.open(tmp_path / "dst" / path.name) as noisy:
            assert noisy.size == clean.size


def test_20_several_processes_do_the_same_as_one(folder, tmp_path):
    for processes in (1, 2):
        corrupt_masks(
            folder, tmp_path / str(processes), NoiseSettings(**RATES), processes=processes
        )
    hashes = [
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in each.iterdir()}
        for each in (tmp_path / "1", tmp_path / "2")
    ]
    assert hashes[0] == hashes[1]


def test_21_volumes_keep_geometry_and_labels(tmp_path):
    labels = np.zeros((12, 40, 60), np.uint8)
    labels[ball(labels.shape, (6, 20, 15), 9, (2, 1, 1))] = 1
    labels[ball(labels.shape, (6, 20, 45), 9, (2, 1, 1))] = 2
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((0.8, 0.9, 3.0))
    image.SetOrigin((-10.0, 4.0, 7.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    (tmp_path / "src").mkdir()
    sitk.WriteImage(image, str(tmp_path / "src" / "case.nii.gz"))
    content = corrupt_masks(
        tmp_path / "src", tmp_path / "dst", NoiseSettings(**RATES, millimetres=True)
    )
    noisy = sitk.ReadImage(str(tmp_path / "dst" / "case.nii.gz"))
    for name in ("Spacing", "Origin", "Direction"):
        assert getattr(noisy, f"Get{name}")() == pytest.approx(getattr(image, f"Get{name}")())
    found = sitk.GetArrayFromImage(noisy)
    assert set(np.unique(found)) == {0, 1, 2}
    text = (tmp_path / "dst" / "noise_manifest.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["label"] for row in rows] == ["1", "2"]
    for row in rows:
        clean = labels == int(row["label"])
        assert float(row["achieved"]) == share(clean, found == int(row["label"]))
    assert json.loads((tmp_path / "dst" / "noise_manifest.json").read_text()) == content
