"""A run and its folder: records, resuming, refusal."""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from tensorboardX.proto import event_pb2

from anl_seg import bf16
from anl_seg.classification import ClassificationSettings, read_gradients, read_log, read_run, run
from anl_seg.classification.run import _worth_compiling
from anl_seg.datasets import classification as datasets
from anl_seg.errors import InputError
from anl_seg.noise import labels as label_noise

QUICK = {"epochs": 3, "batch_size": 256, "device": "cpu"}
SETTINGS = ClassificationSettings(noise="symmetric", eta=0.6, loss="anl-ce", seed=1, **QUICK)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, run(SETTINGS, folder)


def weights(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["model"]


def test_the_log_has_one_object_an_epoch(finished):
    folder, result = finished
    lines = (folder / "log.jsonl").read_text().splitlines()
    objects = [json.loads(line) for line in lines]
    assert [line["epoch"] for line in objects] == [1, 2, 3]
    keys = {"epoch", "test_accuracy", "clean_accuracy", "mislabelled_accuracy", "loss", "lr"}
    assert all(set(line) == keys for line in objects)
    accuracies = [line["test_accuracy"] for line in objects]
    assert result.last == accuracies[-1]
    assert result.best == max(accuracies)
    assert result.best_epoch == 1 + accuracies.index(max(accuracies))
    assert result.last > 0.2  # it learns


def test_gradients_of_the_negative_part_lie_beside_the_log(finished):
    folder, _ = finished
    boxes = read_gradients(folder)
    assert len(boxes) == 3
    for epoch in boxes:
        assert epoch["clean"]["n"] + epoch["mislabelled"]["n"] == 1442
        assert epoch["clean"]["low"] <= epoch["clean"]["median"] <= epoch["clean"]["high"]


def test_run_json_is_complete(finished):
    folder, result = finished
    told = read_run(folder)
    assert told["settings"]["seed"] == 1
    assert told["protocol"]["epochs"] == 3
    assert told["loss"]["hyper_parameters"]["alpha"] == 5
    assert told["loss"]["delta"] == 5e-5
    assert {"anl-seg", "torch", "numpy", "python"} <= set(told["versions"])
    assert told["result"]["last"] == result.last
    data = datasets.load("digits")
    noisy = label_noise.load(folder / "labels.npz", data.y_train)
    assert told["labels"]["sha256"] == noisy.sha256
    assert told["labels"]["rate"] == pytest.approx(0.6, abs=0.01)


def test_marginals_are_shares(finished):
    folder, _ = finished
    told = json.loads((folder / "marginals.json").read_text())
    for row in ("clean labels", "given labels", "predicted"):
        assert len(told[row]) == len(told["classes"]) == 10
        assert sum(told[row]) == pytest.approx(1)
    data = datasets.load("digits")
    assert told["clean labels"][3] == (data.y_train == 3).mean()


def scalars(file, tag):
    """Steps and values in a file of TensorBoard: records of length, checksum, event, checksum."""
    content = file.read_bytes()
    found = []
    while content:
        (length,) = struct.unpack_from("<Q", content)
        event = event_pb2.Event.FromString(content[12 : 12 + length])
        found += [(event.step, v.simple_value) for v in event.summary.value if v.tag == tag]
        content = content[16 + length :]
    return found


def test_tensorboard_has_the_log(finished):
    folder, _ = finished
    (file,) = (folder / "tensorboard").iterdir()
    expected = [(e.epoch, pytest.approx(e.test_accuracy)) for e in read_log(folder)]
    assert scalars(file, "accuracy/test") == expected


def test_pictures_are_written(finished):
    folder, _ = finished
    for name in ("accuracies.png", "marginals.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_is_not_trained_again(finished):
    folder, result = finished
    before = (folder / "checkpoint.pt").stat().st_mtime_ns
    assert run(SETTINGS, folder) == result
    assert (folder / "checkpoint.pt").stat().st_mtime_ns == before


def test_the_same_seed_is_the_same_run(finished, tmp_path):
    folder, _ = finished
    with torch.random.fork_rng():
        torch.manual_seed(123)  # what the caller drew before does not matter
        state = torch.random.get_rng_state()
        run(SETTINGS, tmp_path)
        assert torch.equal(state, torch.random.get_rng_state())
    assert read_log(tmp_path) == read_log(folder)
    for name, weight in weights(folder).items():
        assert torch.equal(weight, weights(tmp_path)[name])


def test_another_seed_is_another_run(finished, tmp_path):
    folder, _ = finished
    run(dataclasses.replace(SETTINGS, seed=2), tmp_path)
    assert read_log(tmp_path) != read_log(folder)
    assert read_run(tmp_path)["labels"]["sha256"] != read_run(folder)["labels"]["sha256"]


class Stop(Exception):
    pass


def stop_after(number):
    def report(epoch):
        if epoch.epoch == number:
            raise Stop

    return report


def test_a_stopped_run_resumes_to_the_same_numbers(finished, tmp_path):
    folder, result = finished
    with pytest.raises(Stop):
        run(SETTINGS, tmp_path, report=stop_after(2))
    assert read_run(tmp_path)["result"] is None
    # as if killed between the log and the checkpoint
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"epoch": 3, "half a line')
    reported = []
    assert run(SETTINGS, tmp_path, report=reported.append).last == result.last
    assert [epoch.epoch for epoch in reported] == [3]
    assert read_log(tmp_path) == read_log(folder)
    assert read_gradients(tmp_path) == read_gradients(folder)
    for name, weight in weights(folder).items():
        assert torch.equal(weight, weights(tmp_path)[name])


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_numbers(tmp_path):
    command = [
        *(sys.executable, "-c", "from anl_seg.cli import main; main()", "classify"),
        *("--noise", "symmetric", "--eta", "0.6", "--set", "epochs=12", "--device", "cpu"),
        *("-o", str(tmp_path / "killed")),
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "killed" / "checkpoint.pt").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    settings = ClassificationSettings(noise="symmetric", eta=0.6, seed=1, epochs=12, device="cpu")
    threads = read_run(tmp_path / "killed")["threads"]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        run(settings, tmp_path / "killed")
        run(settings, tmp_path / "whole")
    finally:
        torch.set_num_threads(before)
    assert read_log(tmp_path / "killed") == read_log(tmp_path / "whole")
    assert len(read_log(tmp_path / "whole")) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 2}, "seed was 1, now 2"),
        ({"eta": 0.4}, r"eta was 0\.6, now 0\.4"),
        ({"loss": "ce"}, "loss was anl-ce, now ce"),
    ],
)
def test_a_run_of_other_settings_is_not_overwritten(finished, change, told):
    folder, _ = finished
    before = (folder / "run.json").read_bytes()
    with pytest.raises(InputError, match=told):
        run(dataclasses.replace(SETTINGS, **change), folder)
    assert (folder / "run.json").read_bytes() == before


@pytest.mark.slow
def test_every_run_of_a_process_is_compiled(tmp_path, monkeypatch):
    compiled = []

    def compile_by(graph, inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=compile_by))
    for number in range(9):  # torch compiles a function at most eight times
        before = len(compiled)
        other = {"alpha": 1.5 + number}
        quick = dataclasses.replace(SETTINGS, epochs=1, batch_size=721, loss_parameters=other)
        run(quick, tmp_path / str(number), compiled=True)
        assert len(compiled) > before


@pytest.mark.parametrize(
    ("device", "small", "images", "expected"),
    [
        ("cuda", True, 120 * 50_000, True),  # the paper's CIFAR-10
        ("cuda", True, 10 * 50_000, False),  # compiling takes longer
        ("cuda", False, 1000, True),
        ("cpu", True, 120 * 50_000, False),
        ("cpu", False, 120 * 50_000, False),
    ],
)
def test_long_trainings_on_a_gpu_are_compiled(device, small, images, expected, monkeypatch):
    found = {"triton": object()}
    monkeypatch.setitem(_worth_compiling.__globals__, "find_spec", found.get)
    assert _worth_compiling(torch.device(device), small, images) is expected
    found.clear()
    assert not _worth_compiling(torch.device(device), small, images)


def test_overwrite_starts_again_and_keeps_other_files(tmp_path):
    quick = dataclasses.replace(SETTINGS, epochs=1, batch_size=512)
    run(quick, tmp_path)
    (tmp_path / "mine.txt").write_text("mine")
    other = dataclasses.replace(quick, seed=2)
    run(other, tmp_path, overwrite=True)
    assert read_run(tmp_path)["settings"]["seed"] == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    run(dataclasses.replace(SETTINGS, epochs=1), tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    about["result"] = None
    (tmp_path / "run.json").write_text(json.dumps(about))
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged; delete it to train again"):
        run(dataclasses.replace(SETTINGS, epochs=1), tmp_path)


def test_a_run_json_of_something_else_is_named(tmp_path):
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(InputError, match=r"run\.json must contain a JSON object"):
        run(SETTINGS, tmp_path)


def test_files_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "checkpoint.pt").write_text("mine")
    with pytest.raises(InputError, match=r"contains checkpoint\.pt, but no run\.json"):
        run(SETTINGS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_text() == "mine"


def test_labels_can_be_loaded_instead_of_drawn(finished, tmp_path):
    folder, result = finished
    settings = dataclasses.replace(SETTINGS, noise="clean", eta=None, labels=folder / "labels.npz")
    assert run(settings, tmp_path).last == result.last
    assert read_run(tmp_path)["labels"]["kind"] == "symmetric"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"protocol": "cifar11"}, r"unknown protocol 'cifar11'.*cifar10"),
        ({"loss": "anl"}, r"'anl'.*anl-ce"),
        ({"loss_parameters": {"gamma": 1.0}}, r"gamma.*alpha.*epochs"),
        ({"epochs": 1.5}, "epochs must be a whole number above 0, got 1.5"),
        ({"epochs": math.nan}, "epochs must be a whole number above 0, got nan"),
        ({"epochs": math.inf}, "epochs must be a whole number above 0, got inf"),
        ({"batch_size": 1}, "digits has 1442 .* a batch size of 1 .*at least two"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a number above 0"),
        ({"delta": -1.0}, "delta must be a number of at least 0, got -1"),
        ({"jacobian": -1.0}, "jacobian must be a number of at least 0, got -1"),
        ({"l2": math.nan}, "l2 must be a number of at least 0, got nan"),
        ({"labels": Path("noisy.npz")}, r"noisy\.npz .* defines the noise; omit --noise"),
        ({"device": "tpu"}, r"unknown device 'tpu'.*cpu"),
        ({"precision": "fp4"}, r"unknown precision 'fp4'.*float32"),
        ({"protocol": "cifar10"}, r"cifar"),
        ({"noise": "sym"}, r"symmetric.*'sym'"),
    ],
)
def test_bad_settings_are_errors_and_nothing_is_written(tmp_path, monkeypatch, change, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        run(dataclasses.replace(SETTINGS, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_bf16_on_a_device_without_it(monkeypatch, tmp_path):
    monkeypatch.setattr(bf16, "has_bf16", lambda kind: False)
    with pytest.raises(InputError, match="bf16 instructions, which cpu lacks"):
        run(dataclasses.replace(SETTINGS, precision="bf16"), tmp_path / "run")


def test_a_training_that_diverges_stops_and_leaves_the_log_json(tmp_path):
    wild = dataclasses.replace(SETTINGS, learning_rate=1e30)
    with pytest.raises(InputError, match=r"loss is nan in epoch 1 at learning rate 1e\+30"):
        run(wild, tmp_path)
    assert not (tmp_path / "log.jsonl").exists()


def test_a_loss_that_the_paper_did_not_train_takes_its_defaults(tmp_path):
    settings = dataclasses.replace(SETTINGS, loss="nmae", epochs=1)
    run(settings, tmp_path)
    told = read_run(tmp_path)["loss"]
    assert (told["delta"], told["l2"]) == (0, 1e-4)
    assert "defaults" in told["source"]
    assert not (tmp_path / "gradients.jsonl").exists()
