"""Whole trainings that correct labels: several loading processes, several ranks, and a kill."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from anl_seg.trainers.validation_peak import ValidationPeak

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*plans.*:DeprecationWarning",
    "ignore:.*use of fork.*:DeprecationWarning",
    "ignore:The given NumPy array is not writable:UserWarning",
)

TRAINING = ["case1", "case3", "case5"]


@pytest.fixture(autouse=True)
def _too_large(preprocessed, nnunet_folders, monkeypatch):
    """Let the masks of all training cases be too large, and those of the validation be right.

    The network finds the bright disk first, and then learns to make it larger.
    """
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    (splits,) = nnunet_folders.glob("nnUNet_preprocessed/*/splits_final.json")
    split = {"train": TRAINING, "val": ["case0", "case2", "case4"]}
    splits.write_text(json.dumps([split]))


def prepared(make_trainer):
    trainer = make_trainer({"epochs": 12, "iterations": 8, "seed": 1}, recommended=True)
    trainer.logger.plot_progress_png = lambda folder: None
    return trainer


def weights(trainer):
    return torch.cat([value.detach().flatten() for value in trainer.network.parameters()])


def log(trainer):
    return Path(trainer.log_file).read_text()


def masks(raw, folder):
    return {
        case: SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(f"{raw}/{folder}/{case}.nii.gz"))
        for case in TRAINING
    }


def check_labels(output, raw, log):
    """Check that the corrected labels are better than the given ones, and the share in the log."""
    found = {path.stem: np.load(path).reshape(1, 32, 32) for path in output.glob("*.npy")}
    assert sorted(found) == TRAINING
    true, given = masks(raw, "labelsTr_clean"), masks(raw, "labelsTr")
    for case in TRAINING:
        assert (found[case] != true[case]).mean() < 0.5 * (given[case] != true[case]).mean()
    share = np.mean([(found[case] != given[case]).mean() for case in TRAINING])
    assert re.findall(r"anl-seg: ([\d.]+%) of the pixels have changed", log) == [f"{share:.1%}"]


@pytest.mark.parametrize("processes", [0, 2])
def test_the_labels_are_corrected_with_any_number_of_loading_processes(
    make_trainer, preprocessed, monkeypatch, processes
):
    monkeypatch.setenv("nnUNet_n_proc_DA", str(processes))
    trainer = prepared(make_trainer)
    trainer.run_training()
    peak = trainer.correction.peak
    assert trainer.correction.done_in == len(peak.dice) - 1
    assert peak.best_epoch < trainer.correction.done_in
    output = Path(trainer.output_folder)
    check_labels(output / "corrected_labels", preprocessed, log(trainer))
    saved = torch.load(output / "checkpoint_final.pth", weights_only=False)["network_weights"]
    with trainer.averaged():  # whose weights were validated
        for name, value in trainer.network.state_dict().items():
            assert torch.equal(saved[name], value)


def load(dataset, number, loaded):
    for _ in range(number):
        loaded.put(dataset.load_case("any"))


def test_several_processes_load_each_case_equally_often():
    class Cases:
        identifiers = tuple(range(20))

        def load_case(self, case):
            return case

    from anl_seg.trainers.datasets import InTurn

    context = multiprocessing.get_context("fork")
    dataset, loaded = InTurn(Cases(), Cases.identifiers), context.Queue()
    processes = [context.Process(target=load, args=(dataset, 10, loaded)) for _ in range(4)]
    for process in processes:
        process.start()
    cases = [loaded.get(timeout=60) for _ in range(40)]
    for process in processes:
        process.join()
    assert sorted(cases) == sorted(2 * [str(case) for case in Cases.identifiers])


class Killed(Exception):
    pass


def test_a_kill_during_the_prediction_loses_only_the_prediction(make_trainer, monkeypatch):
    from anl_seg.trainers import correction

    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    whole = prepared(make_trainer)
    whole.run_training()
    expected = weights(whole)

    def predict_nothing(*_, **__):
        raise Killed

    stopped = prepared(make_trainer)
    with monkeypatch.context() as patch:
        patch.setattr(correction, "correct_labels", predict_nothing)
        with pytest.raises(Killed):
            stopped.run_training()
    again = prepared(make_trainer)
    again.load_checkpoint(f"{again.output_folder}/checkpoint_latest.pth")
    assert again.current_epoch == stopped.current_epoch == whole.correction.done_in + 1
    again.run_training()
    assert again.correction.done_in == whole.correction.done_in
    assert torch.equal(weights(again), expected)
    assert len(again.logger.get_value("epoch_end_timestamps", step=None)) == 12


def test_a_start_without_continuing_loses_nothing_until_its_own_checkpoint(
    make_trainer, monkeypatch
):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    killed = prepared(make_trainer)
    with monkeypatch.context() as patch:
        patch.setattr(killed, "on_train_end", lambda: None)
        killed.run_training()
    latest = f"{killed.output_folder}/checkpoint_latest.pth"
    corrected = Path(killed.output_folder, "corrected_labels")
    labels = {path.name: path.read_bytes() for path in corrected.iterdir()}

    forgetful = prepared(make_trainer)
    forgetful.on_train_start()
    assert not corrected.exists()
    again = prepared(make_trainer)
    again.load_checkpoint(latest)
    again.on_train_start()
    assert {path.name: path.read_bytes() for path in corrected.iterdir()} == labels

    forgetful = prepared(make_trainer)
    forgetful.on_train_start()
    forgetful.save_checkpoint(latest)
    again = prepared(make_trainer)
    again.load_checkpoint(latest)
    again.on_train_start()
    assert again.correction.done_in is None
    assert not corrected.exists()
    assert not list(corrected.parent.glob("corrected_labels*"))


def test_labels_that_no_epoch_would_use_are_not_predicted(make_trainer, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.setattr(ValidationPeak, "has_passed", property(lambda self: len(self.dice) == 12))
    trainer = prepared(make_trainer)
    trainer.run_training()
    assert trainer.correction.peak.has_passed
    assert trainer.correction.done_in is None
    assert not Path(trainer.output_folder, "corrected_labels").exists()


@pytest.mark.slow
def test_two_ranks_correct_the_labels_together(preprocessed, nnunet_folders, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    script = Path(__file__).with_name("one_rank.py")
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), nnunet_folders]) for rank in (0, 1)
    ]
    assert [rank.wait(timeout=240) for rank in ranks] == [0, 0]
    first, second = (torch.load(nnunet_folders / f"{rank}.pt") for rank in (0, 1))
    for training in ("whole", "again"):
        for what, expected in first["whole"].items():
            found = second[training][what]
            same = torch.equal if isinstance(expected, torch.Tensor) else lambda a, b: a == b
            assert same(first[training][what], expected), (training, what)
            assert same(found, expected), (training, what)
    assert first["start"] == first["whole"]["corrected after"] + 1
    (output,) = nnunet_folders.glob("nnUNet_results/*/*__whole__*/fold_0")
    said = "".join(path.read_text() for path in output.glob("training_log*"))
    check_labels(output / "corrected_labels", preprocessed, said)
