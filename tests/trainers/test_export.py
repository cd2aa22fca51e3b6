"""`anl-seg export` in process, on a model of a few weights that nnU-Net then loads by itself."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from anl_seg.cli import main
from anl_seg.trainers.installation import discovery_folder

MODEL = Path("Dataset777_Hand", "nnUNetTrainerANL__nnUNetPlans__hand")

#: Loads an installed model as nnUNetv2_predict does, in a Python where anl_seg cannot be imported.
PLAIN_NNUNET = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "anl_seg":
            raise ModuleNotFoundError("No module named 'anl_seg'", name="anl_seg")
sys.meta_path.insert(0, Absent())
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
predictor = nnUNetPredictor(device=torch.device("cpu"))
predictor.initialize_from_trained_model_folder(sys.argv[1], ("0",))
network = predictor.network.eval()
with torch.no_grad():
    output = network(torch.load(sys.argv[2]))
torch.save(output, sys.argv[3])
"""


def run(*arguments):
    try:
        main(["export", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.fixture
def results(make_trainer, nnunet_folders, monkeypatch):
    """nnUNet_results with a trained fold 0."""
    monkeypatch.setenv("nnUNet_extTrainer", str(discovery_folder()))
    trainer = make_trainer({"loss": "t-loss", "seed": 1})
    trainer.initialize()
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    folder = Path(trainer.output_folder_base)
    plans = {**trainer.plans_manager.plans}
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(trainer.dataset_json))
    (folder / "dataset_fingerprint.json").write_text("{}")
    (folder / "fold_0" / "validation").mkdir()
    (folder / "fold_0" / "validation" / "summary.json").write_text("{}")
    return nnunet_folders / "nnUNet_results"


def test_the_zip_is_one_of_plain_nnunet(results, tmp_path):
    output = tmp_path / "model.zip"
    assert run("-d", "777", "-c", "hand", "-o", output) == 0
    with zipfile.ZipFile(output) as archive:
        archive.extractall(tmp_path / "unpacked")
    plain = tmp_path / "unpacked" / "Dataset777_Hand" / "nnUNetTrainer__nnUNetPlans__hand"
    files = sorted(str(path.relative_to(plain)) for path in plain.rglob("*") if path.is_file())
    assert files == [
        "dataset.json",
        "dataset_fingerprint.json",
        "fold_0/checkpoint_final.pth",
        "fold_0/validation/summary.json",
        "plans.json",
    ]
    path = plain / "fold_0" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert "optimizer_state" not in checkpoint
    trained = torch.load(results / MODEL / "fold_0/checkpoint_final.pth", weights_only=False)
    assert trained["trainer_name"] == "nnUNetTrainerANL"  # the trained model is left alone
    for key, value in trained["network_weights"].items():
        assert torch.equal(checkpoint["network_weights"][key], value)


def test_the_next_command_names_fold_and_checkpoint(results, tmp_path, capsys):
    predict = "nnUNetv2_predict -i IMAGES -o PREDICTIONS -d 777 -c hand -f 0 -tr nnUNetTrainer -p "
    assert run("-d", "777", "-c", "hand", "-o", tmp_path / "model.zip") == 0
    assert f"{predict}nnUNetPlans\n" in capsys.readouterr().out
    (fold,) = results.glob("*/*/fold_0")
    (fold / "checkpoint_final.pth").rename(fold / "checkpoint_best.pth")
    best = ("-chk", "checkpoint_best.pth")
    assert run("-d", "777", "-c", "hand", "-o", tmp_path / "best.zip", *best) == 0
    assert f"{predict}nnUNetPlans -chk checkpoint_best.pth\n" in capsys.readouterr().out


def test_the_zip_holds_the_averaged_weights(make_trainer, make_batch, results, tmp_path):
    trainer = make_trainer({"seed": 1, "ema": 0.9})
    trainer.initialize()
    for step in range(3):
        trainer.train_step(make_batch(trainer, seed=step))
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    plans = Path(trainer.output_folder_base) / "plans.json"
    plans.write_text(json.dumps(trainer.plans_manager.plans))
    assert run("-d", "777", "-c", "hand", "-o", tmp_path / "model.zip") == 0
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        archive.extractall(tmp_path)
    (path,) = tmp_path.glob("Dataset777_Hand/*/fold_0/checkpoint_final.pth")
    exported = torch.load(path, weights_only=False)["network_weights"]
    with trainer.average.in_place():
        for key, value in trainer.network.state_dict().items():
            assert torch.equal(exported[key], value)


@pytest.mark.slow
def test_nnunet_runs_it_without_anl_seg(results, tmp_path, make_trainer):
    assert run("-d", "777", "-c", "hand", "-f", "0", "-o", tmp_path / "model.zip") == 0
    with zipfile.ZipFile(tmp_path / "model.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    plain = tmp_path / "unpacked" / "Dataset777_Hand" / "nnUNetTrainer__nnUNetPlans__hand"
    patch = torch.randn(1, 1, 32, 32)
    torch.save(patch, tmp_path / "patch.pt")
    subprocess.run(
        [sys.executable, "-c", PLAIN_NNUNET, plain, tmp_path / "patch.pt", tmp_path / "out.pt"],
        check=True,
        cwd=tmp_path,
    )
    trainer = make_trainer({"loss": "t-loss", "seed": 1})
    trainer.load_checkpoint(str(results / MODEL / "fold_0/checkpoint_final.pth"))
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    with torch.no_grad():
        assert torch.equal(trainer.network(patch), torch.load(tmp_path / "out.pt"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "778", "-c", "hand"], "no data set 778"),
        (
            ["-d", "777", "-c", "2d"],
            "-p and -c (trained: -tr nnUNetTrainerANL -p nnUNetPlans -c hand)",
        ),
        (["-d", "777", "-c", "hand", "-f", "3"], "fold 3 has no checkpoint_final.pth (trained: 0)"),
        (
            ["-d", "777", "-c", "hand", "-chk", "checkpoint_best.pth"],
            "no fold has a checkpoint_best.pth",
        ),
        (["-d", "777", "-c", "hand", "-tr", "nnUNetTrainer"], "no trained model"),
    ],
)
def test_what_is_missing_is_named(results, tmp_path, capsys, arguments, message):
    assert run(*arguments, "-o", tmp_path / "model.zip") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "model.zip").exists()


def test_a_network_that_plain_nnunet_does_not_build_is_refused(
    results, tmp_path, monkeypatch, capsys
):
    from anl_seg import trainers

    build = trainers.nnUNetTrainerANL.build_network_architecture

    @functools.wraps(build)  # nnU-Net looks at its signature
    def with_another_nonlinearity(*arguments, **keywords):
        network = build(*arguments, **keywords)
        for module in network.modules():
            if isinstance(module, torch.nn.LeakyReLU):
                module.negative_slope = 0.5
        return network

    monkeypatch.setattr(
        trainers.nnUNetTrainerANL,
        "build_network_architecture",
        staticmethod(with_another_nonlinearity),
    )
    assert run("-d", "777", "-c", "hand", "-o", tmp_path / "model.zip") == 2
    assert "differs in its output from the trained one" in capsys.readouterr().err
    assert not (tmp_path / "model.zip").exists()
