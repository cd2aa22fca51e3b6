"""Runs that are killed, resumed, verified, run in several processes; policies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import SimpleITK as sitk
from noise.shapes import ball, disc
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats import noise_manifest as manifest
from anl_seg.noise import (
    PUBLISHED,
    NoiseSettings,
    corrupt_masks,
    find_method,
    plan_masks,
    rehearse,
    verify,
)
from anl_seg.noise.dataset import LOCK_NAME

RATES = {"eta_alpha": 1.0, "eta_beta": 0.5, "seed": 2}


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path):
    for number in range(8):
        save(tmp_path / "src" / f"case_{number}.png", disc((64, 64), 30, 34, 9 + number))
    return tmp_path / "src"


@pytest.fixture
def dataset(tmp_path):
    """A raw data set with an empty mask among five, the ignore label, and two classes."""
    source = tmp_path / "Dataset001_Organs"
    for number in range(5):
        labels = np.zeros((10, 40, 90), np.uint8)
        if number:
            labels[ball(labels.shape, (5, 20, 20), 8 + number, (2, 1, 1))] = 1
            labels[ball(labels.shape, (5, 20, 60), 8 + number, (2, 1, 1))] = 2
            labels[:, :, 85:] = 3
        for name in (f"imagesTr/case_{number}_0000.nii.gz", f"labelsTr/case_{number}.nii.gz"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(labels), str(source / name))
    declared = {"background": 0, "all": [1, 2], "b": 2, "ignore": 3}
    content = {"labels": declared, "file_ending": ".nii.gz", "numTraining": 5}
    (source / "dataset.json").write_text(json.dumps(content))
    return source


def stopped_after(cases):
    def track(items, text):
        for number, item in enumerate(items):
            if text == "corrupting masks" and number == cases:
                raise KeyboardInterrupt
            yield item

    return track


def test_an_interrupted_run_resumes_to_the_same_result(folder, tmp_path):
    corrupt_masks(folder, tmp_path / "whole", NoiseSettings(**RATES))
    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=stopped_after(3))
    written = (tmp_path / "dst" / "case_0.png").stat().st_mtime_ns
    seen = []

    def track(items, text):
        seen.append((text, len(items)))
        return items

    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=track)
    assert ("corrupting masks", 5) in seen
    assert (tmp_path / "dst" / "case_0.png").stat().st_mtime_ns == written
    assert contents(tmp_path / "dst") == contents(tmp_path / "whole")


def test_half_written_or_changed_files_are_written_again(folder, tmp_path):
    corrupt_masks(folder, tmp_path / "whole", NoiseSettings(**RATES))
    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=stopped_after(4))
    (tmp_path / "dst" / "case_1.png").write_bytes(b"half")
    (tmp_path / "dst" / "case_2.png").unlink()
    with (tmp_path / "dst" / manifest.JOURNAL_NAME).open("a") as stream:
        stream.write('{"rows": [{"case": "ca')
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    assert contents(tmp_path / "dst") == contents(tmp_path / "whole")


def test_a_mask_that_changed_since_the_kill_is_done_again(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=stopped_after(4))
    save(folder / "case_1.png", disc((64, 64), 20, 20, 12))
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    corrupt_masks(folder, tmp_path / "whole", NoiseSettings(**RATES))
    assert contents(tmp_path / "dst") == contents(tmp_path / "whole")


def test_a_run_killed_before_its_journal_resumes(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=stopped_after(0))
    (tmp_path / "dst" / manifest.JOURNAL_NAME).unlink()
    assert corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))["complete"] is True


def test_an_unfinished_run_is_never_confused_with_another_or_a_finished_one(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), track=stopped_after(3))
    with pytest.raises(InputError, match="was not finished"):
        verify(tmp_path / "dst")
    with pytest.raises(InputError, match="unfinished run with other settings"):
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES | {"seed": 3}))
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES | {"seed": 3}), overwrite=True)
    corrupt_masks(folder, tmp_path / "other", NoiseSettings(**RATES | {"seed": 3}))
    assert contents(tmp_path / "dst") == contents(tmp_path / "other")


#: A run that waits before its last case, so that the kill finds it somewhere in the middle.
SLOW_RUN = """
import time
from pathlib import Path
from anl_seg.noise import NoiseSettings, corrupt_masks

def track(items, text):
    for number, item in enumerate(items):
        if text == "corrupting masks" and number == len(items) - 1:
            time.sleep(300)
        yield item

if __name__ == "__main__":
    corrupt_masks({arguments}, track=track)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_leaves_no_process_and_resumes(folder, tmp_path, processes):
    target = tmp_path / "dst"
    settings = "NoiseSettings(eta_alpha=1, eta_beta=0.5, seed=2)"
    arguments = f"Path({str(folder)!r}), Path({str(target)!r}), {settings}, processes={processes}"
    script = tmp_path / "killed.py"
    script.write_text(SLOW_RUN.format(arguments=arguments))
    environment = os.environ | {"ANL_SEG_TEST_MARK": str(tmp_path)}
    process = subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment)
    journal = target / manifest.JOURNAL_NAME
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    if sys.platform == "linux":
        while workers_of(str(tmp_path)):
            assert time.monotonic() < deadline, "workers outlive their parent"
            time.sleep(0.05)
    assert json.loads((target / "noise_manifest.json").read_text())["complete"] is False
    corrupt_masks(folder, target, NoiseSettings(**RATES))
    corrupt_masks(folder, tmp_path / "whole", NoiseSettings(**RATES))
    assert contents(target) == contents(tmp_path / "whole")


def workers_of(mark):
    """Processes with the test's mark in their environment, the resource tracker included."""
    found = []
    for number in (name for name in os.listdir("/proc") if name.isdigit()):
        try:
            with open(f"/proc/{number}/environ", "rb") as stream:
                environment = stream.read()
        except OSError:
            continue
        if f"ANL_SEG_TEST_MARK={mark}".encode() in environment:
            found.append(int(number))
    return found


def test_a_data_set_of_volumes_keeps_its_ignore_label(dataset, tmp_path):
    one = corrupt_masks(dataset, tmp_path / "one", NoiseSettings(**RATES))
    assert [(row["case"], row["label"]) for row in one["cases"]][:3] == [
        ("case_0", None), ("case_1", 1), ("case_1", 2)
    ]  # fmt: skip
    for number in range(1, 5):
        clean, noisy = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(f / f"labelsTr/case_{number}.nii.gz")))
            for f in (dataset, tmp_path / "one")
        )
        assert np.array_equal(clean == 3, noisy == 3)
    assert one["summary"]["left_clean"] == one["summary"]["situations"]["empty"] == 1


def test_cases_can_be_skipped_with_their_images(dataset, tmp_path):
    target = tmp_path / "dst"
    content = corrupt_masks(dataset, target, NoiseSettings(**RATES, policies={"empty": "skip"}))
    assert not list(target.rglob("case_0*"))
    assert json.loads((target / "dataset.json").read_text())["numTraining"] == 4
    assert len(list((target / "labelsTr_clean").iterdir())) == 4
    assert content["summary"]["skipped"] == 1
    assert content["summary"]["eta_alpha"] == 1
    assert verify(target) == (8, [])


def test_an_overwritten_data_set_keeps_no_file_of_a_skipped_case(dataset, tmp_path):
    target = tmp_path / "dst"
    corrupt_masks(dataset, target, NoiseSettings(**RATES))
    assert len(list(target.rglob("case_0*"))) == 3
    skipping = NoiseSettings(**RATES, policies={"empty": "skip"})
    corrupt_masks(dataset, target, skipping, overwrite=True)
    assert verify(target) == (8, [])
    corrupt_masks(dataset, tmp_path / "other", skipping)
    assert contents(target) == contents(tmp_path / "other")
    assert (dataset / "imagesTr/case_0_0000.nii.gz").is_file(), "only the link is deleted"


@pytest.mark.parametrize("place", ["labelsTr/x", "labelsTr_clean/x", "imagesTr/x_0000"])
def test_an_overwritten_data_set_may_not_have_further_cases(dataset, tmp_path, place):
    target = tmp_path / "dst"
    save(dataset / "labelsTr" / "sketch.png", np.zeros((8, 8)))
    corrupt_masks(dataset, target, NoiseSettings(**RATES))
    corrupt_masks(dataset, target, NoiseSettings(**RATES), overwrite=True)
    (target / f"{place}.nii.gz").write_bytes(b"")
    before = contents(target)
    with pytest.raises(InputError, match=rf"has files of cases that SRC lacks: {place}\.nii"):
        corrupt_masks(dataset, target, NoiseSettings(**RATES), overwrite=True)
    assert contents(target) == before


def test_failures_are_all_named(folder, tmp_path):
    for name in ("a", "b"):
        save(folder / f"{name}.png", np.zeros((8, 8)))
    save(folder / "full.png", np.ones((8, 8)))
    with pytest.raises(InputError) as caught:
        corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES, policies={"empty": "fail"}))
    assert str(caught.value).startswith("2 masks cannot take their noise")
    assert "a.png" in str(caught.value)
    assert "full.png" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": {"empty": "ignore"}}, r"policy .* empty=ignore is unknown"),
        ({"policies": {"bad": "skip"}}, r"policy .* bad=skip is unknown"),
        ({"kinds": ()}, r"kinds \(--kinds\) must name"),
        ({"kinds": ("erosion",), "method": PUBLISHED}, "draws from all"),
        ({"millimetres": True, "method": PUBLISHED}, "counts pixels"),
    ],
)
def test_other_settings_are_refused(folder, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        NoiseSettings(**RATES | changes)


def test_other_methods_and_numbers_of_processes_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"method \(--method\) must be one of .* got 'best'"):
        find_method("best")
    for work in (
        lambda: corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES), processes=0),
        lambda: rehearse(folder, NoiseSettings(**RATES), processes=0),
    ):
        with pytest.raises(InputError, match=r"processes \(-np\) must be at least 1, got 0"):
            work()
    assert not (tmp_path / "dst").exists()


def test_a_rehearsal_counts_what_the_run_does_and_writes_nothing(dataset, tmp_path):
    settings = NoiseSettings(**RATES, policies={"empty": "skip"})
    before = contents(tmp_path)
    summary = rehearse(dataset, settings)
    assert contents(tmp_path) == before
    assert summary == corrupt_masks(dataset, tmp_path / "dst", settings)["summary"]
    assert summary["skipped"] == 1


#: A run that says when it has begun to write, and then waits.
WAITING_RUN = """
import sys
import time
from pathlib import Path
from anl_seg.noise import NoiseSettings, corrupt_masks

def track(items, text):
    for item in items:
        if text == "corrupting masks":
            print("writing", flush=True)
            time.sleep(300)
        yield item

corrupt_masks(Path(sys.argv[1]), Path(sys.argv[2]), NoiseSettings(1, 0.5, 2), track=track)
"""


def test_two_runs_never_write_one_folder_and_a_killed_one_blocks_nobody(folder, tmp_path):
    target = tmp_path / "dst"
    command = [sys.executable, "-c", WAITING_RUN, folder, target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        for overwrite in (False, True):
            before = contents(target)
            with pytest.raises(InputError, match="another `anl-seg noise` is writing it"):
                corrupt_masks(folder, target, NoiseSettings(**RATES), overwrite=overwrite)
            assert contents(target) == before
        process.kill()
    assert (target / LOCK_NAME).exists()
    corrupt_masks(folder, target, NoiseSettings(**RATES))
    corrupt_masks(folder, tmp_path / "whole", NoiseSettings(**RATES))
    assert contents(target) == contents(tmp_path / "whole")


def test_a_run_killed_before_it_wrote_anything_blocks_nobody(folder, tmp_path):
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / LOCK_NAME).touch()
    assert corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))["complete"] is True
    assert not (tmp_path / "dst" / LOCK_NAME).exists()


def test_verify_finds_what_is_missing_changed_and_unknown(folder, dataset, tmp_path):
    corrupt_masks(folder, tmp_path / "dst", NoiseSettings(**RATES))
    assert verify(tmp_path / "dst") == (8, [])
    (tmp_path / "dst" / "case_0.png").unlink()
    save(tmp_path / "dst" / "case_1.png", np.zeros((64, 64)))
    save(tmp_path / "dst" / "new.png", np.zeros((64, 64)))
    assert verify(tmp_path / "dst") == (
        8,
        [
            "case_0.png: missing",
            "case_1.png: changed since the manifest was written",
            "new.png: not in the manifest",
        ],
    )
    corrupt_masks(dataset, tmp_path / "set", NoiseSettings(**RATES))
    shutil.copy(
        tmp_path / "set/labelsTr/case_1.nii.gz", tmp_path / "set/labelsTr_clean/case_1.nii.gz"
    )
    checked, problems = verify(tmp_path / "set")
    assert checked == 10
    assert problems == ["labelsTr_clean/case_1.nii.gz: changed since the manifest was written"]
    shutil.rmtree(tmp_path / "set/labelsTr_clean")
    assert [problem.split(": ")[1] for problem in verify(tmp_path / "set")[1]] == ["missing"] * 5


def test_only_manifests_of_this_schema_are_read(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        manifest.read(tmp_path)
    path = tmp_path / manifest.JSON_NAME
    for text, message in (
        ("{", "not a noise manifest"),
        ("[]", "not a noise manifest"),
        (json.dumps({"schema": manifest.SCHEMA, "schema_version": 1}), "expected version 2"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            manifest.read(tmp_path)


def test_the_published_method_takes_binary_flat_masks_and_its_own_draw(folder, dataset, tmp_path):
    content = corrupt_masks(
        folder,
        tmp_path / "dst",
        NoiseSettings(eta_alpha=0.7, eta_beta=0.5, seed=0, method=PUBLISHED),
    )
    assert content["summary"]["corrupted"] == int(8 * 0.7)
    with pytest.raises(InputError, match="accepts binary 2D masks only"):
        corrupt_masks(dataset, tmp_path / "set", NoiseSettings(**RATES, method=PUBLISHED))
    assert not (tmp_path / "set").exists()


def test_a_plan_reads_no_mask_and_writes_nothing(folder):
    (folder / "broken.png").write_text("no image")
    before = contents(folder)
    plan = plan_masks(folder, NoiseSettings(0.5, 0.5, 0))
    assert sum(task.kind is not None for task in plan.tasks) == round(0.5 * 9)
    assert contents(folder) == before


def test_undeclared_labels_are_named(dataset, tmp_path):
    content = json.loads((dataset / "dataset.json").read_text())
    content["labels"] = {"background": 0, "a": 1, "ignore": 3}
    (dataset / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"case_1.*labels \[2\], not declared"):
        corrupt_masks(dataset, tmp_path / "dst", NoiseSettings(**RATES))
