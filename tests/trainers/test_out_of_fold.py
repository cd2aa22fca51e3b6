"""Training cases are predicted by the fold that did not see them, through nnU-Net's predictor."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from anl_seg.cli import main
from anl_seg.errors import InputError
from anl_seg.trainers import out_of_fold
from anl_seg.trainers.installation import discovery_folder
from anl_seg.trainers.out_of_fold import HeldOut, held_out_cases, predict

CASES = [f"case{number}" for number in range(6)]


@pytest.fixture
def model(preprocessed, make_trainer, monkeypatch):
    """The model folder with an untrained fold 0; cases 4 and 5 are its validation cases."""
    monkeypatch.setenv("nnUNet_extTrainer", str(discovery_folder()))
    trainer = make_trainer({"loss": "dice+ce", "seed": 1})
    trainer.initialize()
    trainer.save_checkpoint(f"{trainer.output_folder}/checkpoint_final.pth")
    folder = Path(trainer.output_folder_base)
    (folder / "plans.json").write_text(json.dumps(trainer.plans_manager.plans))
    for place in (folder, preprocessed):
        (place / "dataset.json").write_text(json.dumps(trainer.dataset_json))
    return folder


@pytest.fixture
def splits(nnunet_folders, preprocessed):
    return nnunet_folders / "nnUNet_preprocessed" / preprocessed.name / "splits_final.json"


def suspects(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["suspects", "-d", "777", "-c", "hand", *map(str, arguments)])
    return end.value.code or 0


def test_held_out_cases_and_the_softmax_of_nnunet(model, splits):
    (model / "fold_0" / "validation").mkdir(exist_ok=True)
    file = model / "fold_0" / "validation" / "case5.npz"
    file.touch()
    expected = [HeldOut("case4", "0", None), HeldOut("case5", "0", file)]
    assert held_out_cases(model, splits, (), CASES) == expected
    assert held_out_cases(model, splits, ["0"], CASES) == expected


def test_folds_that_cannot_judge_are_named(model, splits):
    with pytest.raises(InputError, match=r"fold 1 has no checkpoint_final\.pth \(trained: 0\)"):
        held_out_cases(model, splits, ["1"], CASES)
    with pytest.raises(InputError, match="2 cases of fold 0 are not in labelsTr: case4, case5"):
        held_out_cases(model, splits, (), CASES[:4])
    for content in ({"0": {"train": CASES, "val": CASES}}, [{"train": CASES}], ["val"]):
        splits.write_text(json.dumps(content))
        with pytest.raises(InputError, match="is not nnU-Net's list of folds"):
            held_out_cases(model, splits, ["0"], CASES)
    splits.write_text(json.dumps([{"train": CASES, "val": []}]))
    with pytest.raises(InputError, match="-f 0: this fold has no validation cases"):
        held_out_cases(model, splits, ["0"], CASES)
    (model / "fold_0").rename(model / "fold_all")
    with pytest.raises(InputError, match=r"only fold all is trained.*--in-sample"):
        held_out_cases(model, splits, (), CASES)
    assert [each.fold for each in held_out_cases(model, splits, ["all"], CASES)] == ["all"] * 6
    with pytest.raises(InputError, match="no fold has a checkpoint_best"):
        held_out_cases(model, splits, (), CASES, "checkpoint_best.pth")


def test_a_network_that_was_not_trained_names_the_others(model, splits):
    _, plans, configuration = model.name.split("__")
    options = f"-tr nnUNetTrainerANL -p {plans} -c {configuration}"
    other = model.with_name(model.name.replace(plans, "small"))
    model.with_name(f"{model.name}__old").mkdir()
    with pytest.raises(
        InputError, match=rf"small.*no trained model;.* -p .*\(trained: {options}, {options}__old\)"
    ):
        held_out_cases(other, splits, ["0"], CASES)


def test_predictions_resume_and_are_of_one_network(model, preprocessed, tmp_path, monkeypatch):
    cases = [HeldOut(case, "0", None) for case in CASES[4:]]
    images = {case: [preprocessed / "imagesTr" / f"{case}_0000.nii.gz"] for case in CASES}
    output = tmp_path / "probabilities"
    with pytest.raises(OSError, match="No such file"):
        predict(tmp_path / "nowhere", cases, images, output, "cpu")
    assert not output.exists()
    files = predict(model, cases[:1], images, output, "cpu")
    with np.load(files["case4"]) as content:
        probabilities = content["probabilities"]
    assert probabilities.shape == (2, 1, 32, 32)
    assert np.allclose(probabilities.astype(np.float32).sum(0), 1, atol=2e-3)

    predicted = []
    found = out_of_fold._probabilities
    monkeypatch.setattr(
        out_of_fold, "_probabilities", lambda *given: predicted.append(given) or found(*given)
    )
    assert set(predict(model, cases, images, output, "cpu")) == {"case4", "case5"}
    assert len(predicted) == 1, "case 4 is there already"

    (output / "network.json").rename(tmp_path / "network.json")
    with pytest.raises(InputError, match=r"no network\.json that names their network"):
        predict(model, cases, images, output, "cpu")
    (tmp_path / "network.json").rename(output / "network.json")

    checkpoint = model / "fold_0" / "checkpoint_final.pth"
    checkpoint.write_bytes(checkpoint.read_bytes())  # trained again
    with pytest.raises(InputError, match="another network or checkpoint"):
        predict(model, cases, images, output, "cpu")


def test_a_cascade_is_refused(tmp_path):
    with pytest.raises(InputError, match="a cascade needs the predictions of the previous stage"):
        predict(tmp_path / "x__y__3d_cascade_fullres", [], {}, tmp_path, "cpu")


def test_the_command_predicts_judges_and_lists_the_rest(model, tmp_path, capsys):
    report = tmp_path / "report"
    assert suspects("-f", "0", "1", "-o", report, "-device", "cpu") == 2
    assert "fold 1 has no checkpoint_final.pth" in capsys.readouterr().err
    assert suspects("-f", "0", "-o", report, "-device", "cpu") == 0
    printed = capsys.readouterr().out
    assert "4 cases were not judged" in printed
    assert "2 cases are too few" in printed
    with (report / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {"case4", "case5"}
    assert {row["fold"] for row in rows} == {"0"}
    content = json.loads((report / "suspects.json").read_text())
    assert content["not_judged"] == dict.fromkeys(CASES[:4], "its fold was not trained")
    assert (report / "predictions" / "case4.nii.gz").exists()
    assert (report / "suspects.html").exists()


def test_in_sample_warns(model, tmp_path, capsys):
    (model / "fold_0").rename(model / "fold_all")
    assert suspects("-o", tmp_path / "report", "-device", "cpu") == 2
    assert "--in-sample" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert suspects("-o", tmp_path / "report", "-device", "cpu", "--in-sample") == 0
    assert "warning: fold all was trained on these masks" in capsys.readouterr().err
    assert len((tmp_path / "report" / "suspects.csv").read_text().splitlines()) == 7
