"""`anl-seg noise` in process: output and exit codes."""

import json
import re
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from anl_seg.cli import main
from anl_seg.formats.noise_manifest import read_noisy_masks

RATES = ["--eta-alpha", "0.7", "--eta-beta", "0.5"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:44] = 1
    for number in range(10):
        Image.fromarray(mask).save(tmp_path / "src" / f"case_{number}.png")
    return tmp_path / "src"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["noise", *map(str, arguments)])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_the_summary_is_printed(capsys, folder, tmp_path):
    code, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "--seed", 3)
    assert code == 0
    assert "7 of 10 masks corrupted" in out
    assert "noise_manifest.csv" in out.replace("\n", "")
    assert "erosion" in out
    content = json.loads((tmp_path / "dst" / "noise_manifest.json").read_text())
    assert content["settings"]["seed"] == 3


def test_masks_that_cannot_be_corrupted_are_counted(capsys, folder, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "empty.png")
    rates = ("--eta-alpha", 1, "--eta-beta", 0.5)
    _, out, _ = run(capsys, folder, tmp_path / "dst", *rates)
    assert "10 of 11 masks corrupted" in out
    assert "1 more were chosen but cannot take their noise" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eta-alpha", "1.5", "--eta-beta", "0.5"], "(--eta-alpha) must be in [0, 1]"),
        (["--eta-alpha", "0.5", "--eta-beta", "1"], "(--eta-beta) must be between 0 and 1"),
    ],
)
def test_rates_out_of_range_are_one_line_and_exit_code_2(
    capsys, folder, tmp_path, arguments, message
):
    code, _, err = run(capsys, folder, tmp_path / "dst", *arguments)
    assert code == 2
    assert err.startswith("anl-seg: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "dst").exists()


def test_a_full_destination_needs_overwrite(capsys, folder, tmp_path):
    target = tmp_path / "dst"
    assert run(capsys, folder, target, *RATES)[0] == 0
    code, _, err = run(capsys, folder, target, *RATES)
    assert code == 2
    assert "--overwrite" in err
    assert run(capsys, folder, target, *RATES, "--overwrite")[0] == 0


def test_a_destination_that_cannot_be_written_is_named(capsys, folder, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, folder, tmp_path / "file" / "dst", *RATES)
    assert code == 2
    assert str(tmp_path / "file") in err


def test_both_rates_are_required(capsys, folder, tmp_path):
    code, _, err = run(capsys, folder, tmp_path / "dst", "--eta-alpha", "0.5")
    assert code == 2
    assert "--eta-beta" in err


def test_a_dry_run_counts_what_a_run_changes_and_writes_nothing(capsys, folder, tmp_path):
    code, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "--dry-run")
    assert code == 0
    assert out.splitlines()[-1] == "7 of 10 masks would be corrupted; nothing is written."
    assert not (tmp_path / "dst").exists()
    _, written, _ = run(capsys, folder, tmp_path / "dst", *RATES)
    table = written[: written.index("7 of 10 masks corrupted.")]
    assert out.startswith(table)  # the same kinds, counts and levels
    assert "dilation" in table


def test_verify_passes_and_fails(capsys, folder, tmp_path):
    run(capsys, folder, tmp_path / "dst", *RATES)
    code, out, _ = run(capsys, "--verify", tmp_path / "dst")
    assert (code, out) == (0, "10 masks match the manifest.\n")
    (tmp_path / "dst" / "case_3.png").unlink()
    code, _, err = run(capsys, "--verify", tmp_path / "dst")
    assert code == 1
    assert "case_3.png: missing" in err


def test_a_preview_is_written(capsys, folder, tmp_path):
    _, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "--preview")
    assert "noise_preview.png" in out.replace("\n", "")
    with Image.open(tmp_path / "dst" / "preview" / "noise_preview.png") as sheet:
        assert sheet.width > 500


def test_method_kinds_and_policies_reach_the_manifest(capsys, folder, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "empty.png")
    rates = ["--eta-alpha", 1, "--eta-beta", 0.5]
    more = ["--kinds", "jitter, polygon", "--policy", "skip", "--policy", "full=fail"]
    code, out, _ = run(capsys, folder, tmp_path / "dst", *rates, *more, "--ignore-label", 9)
    assert code == 0
    assert "1 cases cannot take their noise: omitted." in out
    assert "Why: empty 1." in out
    settings = json.loads((tmp_path / "dst" / "noise_manifest.json").read_text())["settings"]
    assert settings["kinds"] == ["jitter", "polygon"]
    assert settings["policies"]["empty"] == "skip"
    assert settings["policies"]["full"] == "fail"
    assert settings["ignore_label"] == 9
    code, _, err = run(capsys, folder, tmp_path / "two", *rates, "--method", "best")
    assert code == 2
    assert "(--method) must be one of corrected, published" in err


def test_millimetres_need_files_that_say_their_spacing(capsys, folder, tmp_path):
    code, _, err = run(capsys, folder, tmp_path / "dst", *RATES, "--mm")
    assert code == 2
    assert "has no pixel spacing; omit --mm to count in pixels" in err
    assert not (tmp_path / "dst").exists()
    tiffs = tmp_path / "tiffs"
    tiffs.mkdir()
    labels = np.zeros((8, 40, 40), np.uint8)
    labels[2:6, 10:30, 10:30] = 1
    for number in range(3):
        tifffile.imwrite(tiffs / f"v{number}.tif", labels)
        (tiffs / f"v{number}.json").write_text('{"spacing": [8, 0.8, 0.8]}')
    rates = ["--eta-alpha", 1, "--eta-beta", 0.5, "--seed", 1]
    for name, more in (("mm", ["--mm"]), ("px", [])):
        assert run(capsys, tiffs, tmp_path / name, *rates, *more)[0] == 0
        assert (tmp_path / name / "v0.json").read_text() == '{"spacing": [8, 0.8, 0.8]}'
    masks = [tifffile.imread(tmp_path / name / "v0.tif") for name in ("mm", "px")]
    assert not np.array_equal(*masks)


def test_the_published_method_needs_one_option(capsys, folder, tmp_path):
    code, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "--method", "published")
    assert code == 0
    assert "7 of 10 masks corrupted" in out


@pytest.mark.parametrize(("kind", "too"), [("dilation", "large"), ("erosion", "small")])
def test_one_kind_gives_masks_that_are_all_too_large_or_too_small(
    capsys, folder, tmp_path, kind, too
):
    code, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "--kinds", kind)
    assert code == 0
    assert "7 of 10 masks corrupted" in out
    content = json.loads((tmp_path / "dst" / "noise_manifest.json").read_text())
    changes = [row["area_change"] for row in content["cases"] if row["kind"] != "clean"]
    assert changes == [0.5 if too == "large" else -0.5] * 7


def test_processes_are_an_option_as_in_nnunet(capsys, folder, tmp_path):
    code, out, _ = run(capsys, folder, tmp_path / "dst", *RATES, "-np", 2)
    assert (code, "7 of 10 masks corrupted" in out) == (0, True)
    code, _, err = run(capsys, folder, tmp_path / "two", *RATES, "-np", 0)
    assert code == 2
    assert "(-np) must be at least 1" in err


@pytest.fixture
def grey(tmp_path):
    """A mask of 0 and 255 resized with interpolation, one of 0 and 1, and their binary truth."""
    folder = tmp_path / "grey"
    folder.mkdir()
    rows, columns = np.mgrid[:160, :160]
    disc = ((rows - 80) ** 2 + (columns - 70) ** 2 < 45**2) * np.uint8(255)
    soft = Image.fromarray(disc).resize((48, 48), Image.Resampling.BICUBIC)
    truth = np.asarray(soft) >= 128
    soft.save(folder / "a.png")
    soft.save(folder / "b.png")
    Image.fromarray(truth.astype(np.uint8)).save(folder / "c.png")
    return folder, truth


def test_grey_masks_are_refused_with_the_cure(capsys, grey, tmp_path):
    code, _, err = run(capsys, grey[0], tmp_path / "dst", *RATES)
    assert code == 2
    assert err.count("add --threshold 128 to make it binary") == 2
    assert not (tmp_path / "dst").exists()


@pytest.mark.parametrize("eta_alpha", [0, 1])
def test_grey_masks_are_thresholded_when_asked(capsys, grey, tmp_path, eta_alpha):
    folder, truth = grey
    rates = ["--eta-alpha", eta_alpha, "--eta-beta", 0.3, "--threshold", 128, "--preview"][
        : None if eta_alpha else -1
    ]
    code, _, err = run(capsys, folder, tmp_path / "dst", *rates)
    assert code == 0, err
    rows = json.loads((tmp_path / "dst" / "noise_manifest.json").read_text())["cases"]
    for row, top in zip(rows, (255, 255, 1), strict=True):
        noisy = np.asarray(Image.open(tmp_path / "dst" / row["file"]))
        assert set(np.unique(noisy)) == {0, top}
        changed = np.count_nonzero((noisy > 0) != truth) / np.count_nonzero(truth)
        assert changed == pytest.approx(row["achieved"])
        assert changed == pytest.approx(0.3 * eta_alpha, abs=0.02)


def test_grey_masks_of_a_data_set_are_refused_with_a_cure_that_works(capsys, grey, tmp_path):
    source = tmp_path / "Dataset700_Grey"
    for case in "abc":
        for file in (f"labelsTr/{case}.png", f"imagesTr/{case}_0000.png"):
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(grey[0] / f"{case}.png", source / file)
    labels = {"background": 0, "lesion": 1}
    content = {"channel_names": {"0": "R"}, "labels": labels, "file_ending": ".png"}
    (source / "dataset.json").write_text(json.dumps(content | {"numTraining": 3}))
    code, _, err = run(capsys, source, tmp_path / "dst", *RATES)
    assert code == 2
    assert err.count("anl-seg convert --threshold 128") == 2
    code, _, err = run(capsys, source, tmp_path / "dst", *RATES, "--threshold", 128)
    assert code == 2
    cure = re.search(r"anl-seg (convert .* --threshold 128)$", err.strip())[1]
    pytest.importorskip("nnunetv2", reason="its integrity check runs at the end")
    cured = [*cure.replace("ID", "701").split(), "-o", tmp_path]
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in cured])
    assert ended.value.code == 0, capsys.readouterr().err
    code, _, err = run(capsys, tmp_path / "Dataset701_Own", tmp_path / "dst", *RATES)
    assert code == 0, err


NAMES = ["M\udcfcller", "Jürgen 𝄞", 'a"b,c', "a\nb", "-rf", "=1+1", " a "]


def test_any_file_name_works(capsys, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    square = np.zeros((40, 40), np.uint8)
    square[10:30, 10:30] = 1
    for name in NAMES:
        Image.fromarray(square).save(folder / f"{name}.png")
    code, _, err = run(capsys, folder, tmp_path / "dst", "--eta-alpha", 1, "--eta-beta", 0.5)
    assert code == 0, err
    assert {path.stem for path in (tmp_path / "dst").glob("*.png")} == set(NAMES)
    from_json = read_noisy_masks(tmp_path / "dst" / "noise_manifest.json")
    assert set(from_json) == set(NAMES)
    assert read_noisy_masks(tmp_path / "dst" / "noise_manifest.csv") == from_json
    assert run(capsys, "--verify", tmp_path / "dst")[0] == 0


@pytest.mark.parametrize("folder_of_link", ["labelsTr", "imagesTr", "imagesTs"])
def test_dangling_links_of_a_data_set_are_named(capsys, tmp_path, folder_of_link):
    source = tmp_path / "Dataset901_Annex"
    square = np.zeros((40, 40), np.uint8)
    square[10:30, 10:30] = 1
    for name in ("labelsTr/a", "labelsTr/b", "imagesTr/a_0000", "imagesTr/b_0000", "imagesTs/c"):
        path = source / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(square).save(path)
    labels = {"labels": {"background": 0, "lesion": 1}, "numTraining": 2, "file_ending": ".png"}
    (source / "dataset.json").write_text(json.dumps(labels))
    link = source / folder_of_link / "d.png"
    link.symlink_to("../.git/annex/objects/d.png")
    code, _, err = run(capsys, source, tmp_path / "dst", *RATES)
    assert code == 2
    assert f"1 link points to files that do not exist: {folder_of_link}/d.png" in err
    assert not (tmp_path / "dst").exists()
