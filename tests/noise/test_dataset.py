"""Whole folders and nnU-Net raw data sets: output, errors, unchanged files."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.noise import KINDS, NoiseSettings, apply, corrupt_masks

RATES = {"eta_alpha": 0.5, "eta_beta": 0.5, "seed": 1}


def disc(radius, foreground=1):
    rows, columns = np.indices((64, 64))
    inside = (rows - 30) ** 2 + (columns - 34) ** 2 <= radius**2
    return inside.astype(np.uint8) * np.uint8(foreground)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def pixels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write_dataset_json(folder, **changes):
    content = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 6,
        "file_ending": ".png",
    }
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content | changes))


@pytest.fixture
def folder(tmp_path):
    for number in range(10):
        save(tmp_path / "src" / f"case_{number}.png", disc(8 + number, 255))
    return tmp_path / "src"


@pytest.fixture
def dataset(tmp_path):
    source = tmp_path / "Dataset501_Clean"
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for number in range(6):
        save(source / "imagesTr" / f"case_{number}_0000.png", image)
        save(source / "labelsTr" / f"case_{number}.png", disc(10 + number))
    save(source / "imagesTs" / "test_0_0000.png", image)
    save(source / "labelsTs" / "test_0.png", disc(9))
    write_dataset_json(source)
    return source


def test_a_folder_gives_a_folder(folder, tmp_path):
    target = tmp_path / "new" / "dst"
    before = contents(folder)
    content = corrupt_masks(folder, target, NoiseSettings(**RATES))
    assert contents(folder) == before
    names = {path.name for path in target.iterdir()}
    assert names == {*before, "noise_manifest.csv", "noise_manifest.json"}
    noisy = [row for row in content["cases"] if row["kind"] != "clean"]
    assert len(noisy) == 5
    for row in content["cases"]:
        clean, found = pixels(folder / row["file"]), pixels(target / row["file"])
        assert set(np.unique(found)) == {0, 255}
        assert row["achieved"] == (clean != found).sum() / (clean > 0).sum()
        for name, path in (("clean", folder / row["file"]), ("noisy", target / row["file"])):
            assert row[f"sha256_{name}"] == hashlib.sha256(path.read_bytes()).hexdigest()
        if row["kind"] == "clean":
            assert row["sha256_clean"] == row["sha256_noisy"]
            assert (row["requested"], row["achieved"], row["dice"]) == (None, 0, 1)
        else:
            assert row["achieved"] == pytest.approx(row["requested"], abs=0.03)


def test_the_manifest_is_the_same_in_both_forms_and_repeats_the_noise(folder, tmp_path):
    content = corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    assert json.loads((tmp_path / "dst" / "noise_manifest.json").read_text()) == content
    assert content["schema_version"] == 2
    assert content["complete"] is True
    assert content["settings"].items() >= RATES.items()
    packages = {"anl-seg", "numpy", "pillow", "scikit-image", "scipy", "SimpleITK"}
    packages.add("opencv-python-headless")
    assert content["versions"].keys() == {"python", *packages}
    with (tmp_path / "dst" / "noise_manifest.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [line["case"] for line in lines] == [row["case"] for row in content["cases"]]
    drawn = {"erosion": ["split_seed"], "dilation": ["split_seed"]}
    drawn["affine"] = ["direction", "turn_deg", "split_seed"]
    for line, row in zip(lines, content["cases"], strict=True):
        assert line["kind"] == row["kind"]
        if row["kind"] in KINDS:
            assert float(line["achieved"]) == row["achieved"]
            assert all(line[name] == str(value) for name, value in row["parameters"].items())
            clean = pixels(folder / row["file"]) > 0
            values = {name: row["parameters"][name] for name in drawn[row["kind"]]}
            again, _ = apply(clean, row["kind"], row["requested"], values)
            assert np.array_equal(again, pixels(tmp_path / "dst" / row["file"]) > 0)


def test_the_summary_counts_and_averages(folder, tmp_path):
    save(folder / "empty.png", np.zeros((64, 64), np.uint8))
    content = corrupt_masks(folder, tmp_path / "dst", NoiseSettings(eta_alpha=1, eta_beta=0.5))
    summary, rows = content["summary"], content["cases"]
    assert (summary["cases"], summary["chosen"], summary["corrupted"]) == (11, 11, 10)
    assert summary["left_clean"] == 1
    assert summary["eta_alpha"] == 10 / 11
    achieved = [row["achieved"] for row in rows if row["kind"] != "clean"]
    assert summary["eta_beta"]["mean"] == pytest.approx(np.mean(achieved))
    assert sum(part["cases"] for part in summary["kinds"].values()) == 10
    (empty,) = (row for row in rows if row["case"] == "empty")
    assert empty["kind"] == "clean"
    assert empty["reason"].endswith(": the mask is empty")
    assert (empty["achieved"], empty["dice"], empty["area_change"]) == (None, None, None)


def test_runs_repeat_and_do_not_depend_on_the_other_files(folder, tmp_path):
    corrupt_masks(folder, tmp_path / "one", NoiseSettings(eta_alpha=1, eta_beta=0.5, seed=3))
    corrupt_masks(folder, tmp_path / "two", NoiseSettings(eta_alpha=1, eta_beta=0.5, seed=3))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    (tmp_path / "part").mkdir()
    shutil.copy(folder / "case_7.png", tmp_path / "part")
    corrupt_masks(
        tmp_path / "part", tmp_path / "three", NoiseSettings(eta_alpha=1, eta_beta=0.5, seed=3)
    )
    alone = contents(tmp_path / "three")["case_7.png"]
    assert alone == contents(tmp_path / "one")["case_7.png"]


def test_a_larger_share_corrupts_the_same_masks_and_more(folder, tmp_path):
    runs = {}
    for eta_alpha in (0.3, 0.7):
        content = corrupt_masks(
            folder, tmp_path / str(eta_alpha), NoiseSettings(eta_alpha=eta_alpha, eta_beta=0.5)
        )
        rows = [row for row in content["cases"] if row["kind"] != "clean"]
        runs[eta_alpha] = {row["case"]: row["sha256_noisy"] for row in rows}
    assert len(runs[0.3]) == 3
    assert len(runs[0.7]) == 7
    assert runs[0.3].items() < runs[0.7].items()


def test_a_data_set_gives_a_data_set(dataset, tmp_path):
    target = tmp_path / "Dataset502_Noisy"
    before = contents(dataset)
    content = corrupt_masks(dataset, target, NoiseSettings(**RATES))
    assert contents(dataset) == before
    after = contents(target)
    labels = {name for name in before if name.startswith("labelsTr/")}
    clean = {name.replace("labelsTr/", "labelsTr_clean/"): before[name] for name in labels}
    assert after.keys() == {*before, *clean, "noise_manifest.csv", "noise_manifest.json"}
    assert after.items() >= clean.items()
    assert all(after[name] == before[name] for name in before.keys() - labels)
    changed = {name for name in labels if after[name] != before[name]}
    assert changed == {row["file"] for row in content["cases"] if row["kind"] != "clean"}
    assert len(changed) == 3
    for name in before:
        linked = (target / name).samefile(dataset / name)
        assert linked == name.startswith("images")


def test_one_bit_labels_stay_0_and_1_for_nnunet(dataset, tmp_path):
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    for path in sorted((dataset / "labelsTr").iterdir()):
        save(path, disc(12) > 0)
    content = corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
    assert content["summary"]["corrupted"] == 3
    for row in content["cases"]:
        labels, _ = NaturalImage2DIO().read_seg(str(tmp_path / "dst" / row["file"]))
        assert set(np.unique(labels)) == {0, 1}
        changed = (labels[0, 0] != disc(12)).sum() / disc(12).sum()
        assert changed == pytest.approx(row["achieved"])


def test_labels_of_255_are_refused_in_a_data_set_alone(dataset, tmp_path):
    save(dataset / "labelsTr" / "case_3.png", disc(12, 255))
    with pytest.raises(InputError, match=r"case_3\.png: contains 0 and 255.* declares other"):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
    assert not (tmp_path / "dst").exists()
    corrupt_masks(dataset / "labelsTr", tmp_path / "dst", NoiseSettings(**RATES))


def test_linked_folders_are_followed(dataset, tmp_path):
    (dataset / "imagesTr").rename(tmp_path / "elsewhere")
    (dataset / "imagesTr").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
    assert len(list((tmp_path / "dst" / "imagesTr").iterdir())) == 6


def test_images_are_copied_if_links_are_not_possible(dataset, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("cross-device link")

    monkeypatch.setattr("os.link", refuse)
    corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
    image = Path("imagesTr") / "case_0_0000.png"
    assert (tmp_path / "dst" / image).read_bytes() == (dataset / image).read_bytes()
    assert not (tmp_path / "dst" / image).samefile(dataset / image)


def test_a_data_set_and_its_label_folder_get_the_same_noise(dataset, tmp_path):
    whole = corrupt_masks(dataset, tmp_path / "whole", NoiseSettings(**RATES))
    labels = corrupt_masks(dataset / "labelsTr", tmp_path / "labels", NoiseSettings(**RATES))
    hashes = [[row["sha256_noisy"] for row in each["cases"]] for each in (whole, labels)]
    assert hashes[0] == hashes[1]


def test_a_destination_that_is_not_empty_is_refused_unless_overwriting(folder, tmp_path):
    target = tmp_path / "dst"
    save(target / "case_0.png", disc(3))
    (target / "note.txt").write_text("mine")
    with pytest.raises(InputError, match=r"dst: is not empty.*--overwrite"):
        corrupt_masks(folder, target, NoiseSettings(**RATES))
    assert contents(target).keys() == {"case_0.png", "note.txt"}
    corrupt_masks(folder, target, NoiseSettings(**RATES), overwrite=True)
    corrupt_masks(folder, tmp_path / "other", NoiseSettings(**RATES))
    assert contents(target) == contents(tmp_path / "other") | {"note.txt": b"mine"}


def test_a_data_set_can_be_overwritten_without_touching_its_source(dataset, tmp_path):
    before = contents(dataset)
    corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
    save(dataset / "imagesTr" / "case_0_0000.png", np.zeros((64, 64, 3), np.uint8))
    corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES), overwrite=True)
    corrupt_masks(dataset, tmp_path / "other", NoiseSettings(**RATES))
    assert contents(tmp_path / "dst") == contents(tmp_path / "other")
    assert contents(dataset).keys() == before.keys()


@pytest.mark.parametrize("target", ["src", "src/inside", "."])
def test_source_and_destination_must_be_separate(folder, target):
    with pytest.raises(InputError, match="must be separate folders"):
        corrupt_masks(folder, folder.parent / target, NoiseSettings(**RATES), overwrite=True)


def test_noisy_masks_are_not_corrupted_again(folder, dataset, tmp_path):
    for source in (folder, dataset):
        corrupt_masks(source, tmp_path / "once" / source.name, NoiseSettings(**RATES))
        with pytest.raises(InputError, match="noisy already"):
            corrupt_masks(
                tmp_path / "once" / source.name, tmp_path / "twice", NoiseSettings(**RATES)
            )


def test_an_interrupted_run_is_known_by_its_manifest(folder, tmp_path):
    def interrupted(items, text):
        yield from items[: 3 if text == "corrupting masks" else None]
        if text == "corrupting masks":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=interrupted)
    content = json.loads((tmp_path / "dst" / "noise_manifest.json").read_text())
    assert content["complete"] is False
    assert not list((tmp_path / "dst").glob(".partial*"))


def test_all_bad_masks_are_listed_before_anything_is_written(folder, tmp_path):
    (folder / "text.png").write_text("no image")
    save(folder / "grey.png", np.arange(64, dtype=np.uint8).reshape(8, 8))
    save(folder / "colour.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError) as caught:
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    message = str(caught.value)
    assert message.startswith("3 of 13 masks cannot be used:")
    assert all(
        name in message
        for name in ("text.png", "grey.png", "1, 2, 3, 4, 5, 6, 7, 8, …", "colour.png")
    )
    assert not (tmp_path / "dst").exists()


def test_many_bad_masks_are_counted_and_the_first_named(folder, tmp_path):
    for number in range(12):
        (folder / f"bad_{number:02}.png").write_text("no image")
    with pytest.raises(InputError) as caught:
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    lines = str(caught.value).splitlines()
    assert lines[0] == "12 of 22 masks cannot be used:"
    assert [line.split("/bad_")[1][:2] for line in lines[1:11]] == [f"{n:02}" for n in range(10)]
    assert lines[11:] == ["  and 2 more"]


def test_one_bad_mask_is_one_line(folder, tmp_path):
    (folder / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"text\.png: cannot be read as an image") as caught:
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    assert "\n" not in str(caught.value)


def test_folders_without_masks_are_named(tmp_path):
    (tmp_path / "src").mkdir()
    for source, message in ((tmp_path / "src", "no masks"), (tmp_path / "none", "no such folder")):
        with pytest.raises(InputError, match=message):
            corrupt_masks(source, tmp_path / "dst", NoiseSettings(**RATES))


def test_two_masks_of_one_case_are_named(folder, tmp_path):
    save(folder / "case_3.tif", disc(5))
    with pytest.raises(InputError, match=r"case_3\.png and case_3\.tif"):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))


def test_files_that_are_not_masks_are_left_out_and_listed(folder, tmp_path):
    (folder / "notes.txt").write_text("mine")
    (folder / ".hidden.png").write_text("")
    assert corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))["left_out"] == [
        "notes.txt"
    ]
    assert not (tmp_path / "dst" / "notes.txt").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": {}}, "key dataset"),
        ({"labels": {"background": 0, "a": 2}}, "6 of 6 masks cannot be used"),
        ({"labels": [0, 1]}, "not a dataset.json of nnU-Net"),
        ({"file_ending": ".jpg"}, "file_ending .jpg is not supported"),
        ({"file_ending": ".nii.gz"}, "no .nii.gz files in labelsTr"),
    ],
)
def test_other_data_sets_are_refused(dataset, tmp_path, changes, message):
    write_dataset_json(dataset, **changes)
    with pytest.raises(InputError, match=message):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))


def test_a_broken_dataset_json_is_named(dataset, tmp_path):
    (dataset / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json: line 1, column 2: "):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))


def test_cases_without_partner_are_listed(dataset, tmp_path):
    (dataset / "imagesTr" / "case_1_0000.png").unlink()
    (dataset / "labelsTr" / "case_4.png").unlink()
    with pytest.raises(
        InputError, match=r"2 cases lack .*case_1 \(no image\), case_4 \(no label\)"
    ):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))


def test_images_without_the_number_of_the_channel_are_named(dataset, tmp_path):
    for path in (dataset / "imagesTr").iterdir():
        path.rename(path.with_name(path.name.replace("_0000", "")))
    with pytest.raises(InputError, match=r"imagesTr/case_0\.png: names of images end in .*_0000"):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))


def test_many_cases_without_partner_are_counted_and_the_first_named(dataset, tmp_path):
    for number in range(50, 65):
        save(dataset / "labelsTr" / f"case_{number}.png", disc(12))
    with pytest.raises(InputError, match=r"15 cases lack .*case_59 \(no image\), and 5 more; add"):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))


@pytest.mark.data
def test_real_masks_meet_their_level(tmp_path):
    source = Path(__file__).parents[3] / "shared/data/isic2017-sample"
    source /= "ISIC-2017_Training_Part1_GroundTruth"
    if not source.is_dir():
        pytest.skip(f"{source} is not there")
    (tmp_path / "src").mkdir()
    for path in sorted(source.glob("*.png"))[:12]:
        shutil.copy(path, tmp_path / "src")
    content = corrupt_masks(
        tmp_path / "src", tmp_path / "dst", NoiseSettings(eta_alpha=1, eta_beta=0.7, seed=1)
    )
    assert content["summary"]["corrupted"] == 12
    met = [row["achieved"] == pytest.approx(0.7, abs=0.01) for row in content["cases"]]
    assert met.count(False) <= 1  # one lesion covers 92 % of its image: no room to move


def test_a_faint_mask_among_grey_masks_becomes_empty(tmp_path):
    source = tmp_path / "masks"
    for name, value in (("a", 255), ("b", 24), ("c", 200)):
        save(source / f"{name}.png", disc(12, value))
    settings = NoiseSettings(eta_alpha=0, eta_beta=0.5, threshold=128)
    corrupt_masks(source, tmp_path / "noisy", settings)
    found = [np.unique(pixels(tmp_path / f"noisy/{name}.png")).tolist() for name in "abc"]
    assert found == [[0, 255], [0], [0, 255]]
    for name in "ac":
        (source / f"{name}.png").unlink()
    with pytest.raises(InputError, match=r"24 is the largest value .* omit the option"):
        corrupt_masks(source, tmp_path / "other", settings)
