"""`anl-seg plan` in process, on hand-written plans."""

from __future__ import annotations

import json

import pytest

from anl_seg.cli import main

PLANS = {
    "dataset_name": "Dataset777_Hand",
    "plans_name": "nnUNetPlans",
    "configurations": {
        "2d": {
            "batch_size": 12,
            "patch_size": [64, 64],
            "median_image_size_in_voxels": [64, 64],
            "data_identifier": "nnUNetPlans_2d",
        }
    },
}

#: Options that most calls have.
X = ["-d", "777", "--as", "x"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    monkeypatch.delenv("nnUNet_raw", raising=False)
    folder = tmp_path / "Dataset777_Hand"
    folder.mkdir()
    (folder / "nnUNetPlans.json").write_text(json.dumps(PLANS))
    return folder


def run(*arguments):
    try:
        main(["plan", *arguments])
    except SystemExit as stop:
        return stop.code
    return 0


def test_settings_are_written_and_the_rest_is_kept(folder, capsys):
    code = run("-d", "777", "--as", "anl_a2", "--alpha", "2", "--epochs", "3", "--seed", "5")
    assert code == 0
    plans = json.loads((folder / "anl_a2.json").read_text())
    settings = plans.pop("anl_seg")
    assert settings["loss"] == "anl-ce"
    assert settings["loss_parameters"]["alpha"] == 2
    assert (settings["epochs"], settings["seed"]) == (3, 5)
    assert plans == PLANS | {"plans_name": "anl_a2"}
    assert "-p anl_a2" in capsys.readouterr().out


def test_other_plans_are_named_whatever_they_are_called(folder, capsys):
    assert run("-d", "777", "--as", "small") == 0
    capsys.readouterr()
    assert run("-d", "777", "-p", "nothing", "--as", "x") == 2
    assert "plans there: nnUNetPlans, small" in capsys.readouterr().err


def test_any_other_hyper_parameter_of_a_loss_can_be_set(folder):
    assert run("-d", "777", "--as", "gce_q", "--loss", "gce", "--set", "q=0.5") == 0
    plans = json.loads((folder / "gce_q.json").read_text())
    assert plans["anl_seg"]["loss_parameters"] == {"q": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*X, "--set", "q=0.5"], "no hyper-parameter 'q'"),
        ([*X, "--loss", "gce", "--set", "q=2"], "q of gce must be"),
        ([*X, "--set", "q"], "NAME=VALUE"),
        ([*X, "--loss", "dicee"], "unknown loss 'dicee'"),
        ([*X, "--alpha", "-1"], "alpha of anl-ce must be"),
        ([*X, "--loss", "ce", "--alpha", "1"], "no hyper-parameter 'alpha'"),
        ([*X, "--delta", "-1"], "delta must be"),
        ([*X, "--epochs", "0"], "epochs must be"),
        ([*X, "--seed", "-3"], "seed must be"),
        ([*X, "--batch-size", "0"], "--batch-size must be"),
        (["-d", "777", "--as", "nnUNetPlans"], "nnUNetPlans.json is one of nnU-Net's own files"),
        (["-d", "777", "--as", "a/b"], "letters, digits"),
        (["-d", "777", "--as", "a__b"], "does not end in _, got 'a__b'"),
        (["-d", "777", "--as", "a_"], "does not end in _"),
        (["-d", "777", "--as", ".."], "starts with a letter"),
        (["-d", "777", "--as", ""], "got ''"),
        (["-d", "777", "--as", "1e-4"], "starts with a letter"),
        (["-d", "777", "--as", "Splits_Final"], "is one of nnU-Net's own files"),
        (
            [*X, "--alpha", "0", "--beta", "0", "--dice-weight", "0", "--ce-weight", "0"],
            "alpha and beta of anl-ce must not",
        ),
        ([*X, "--small"], "no 'architecture' to shrink"),
        ([*X, "-p", "nothing"], "plans there: nnUNetPlans"),
        (["-d", "778", "--as", "x"], "no data set 778"),
        (["-d", "/tmp/Dataset777_Hand", "--as", "x"], "-d takes the id or name"),
        (["-d", "", "--as", "x"], "-d takes the id or name"),
        ([*X, "--lambda", "1"], "no hyper-parameter 'lambda_'"),
        ([*X, "--dice-weight", "-1"], "dice_weight must be"),
        ([*X, "--loss", "dice+ce", "--dice-weight", "1"], "its own Dice"),
        ([*X, "--optimizer", "lbfgs"], "choose one of sgd, adam"),
        ([*X, "--precision", "int8"], "choose one of float32, bf16"),
        ([*X, "--protocol", "isic"], "choose one of nnunet, isic2017"),
        ([*X, "--protocol", "isic2017"], "have a median of [64, 64]"),
        ([*X, "--from", "777"], "nnUNet_raw"),
        ([*X, "--from", "778"], "no data set 778"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(folder, capsys, arguments, message):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["nnUNetPlans.json"]


def test_source_with_an_unknown_loss_is_refused(folder, capsys):
    broken = PLANS | {"plans_name": "broken", "anl_seg": {"loss": "no-such-loss"}}
    (folder / "broken.json").write_text(json.dumps(broken))
    assert run("-d", "777", "-p", "broken", "--as", "x") == 2
    assert "unknown loss 'no-such-loss'" in capsys.readouterr().err


def test_the_source_itself_is_not_written(folder, capsys):
    assert run("-d", "777", "--as", "mine") == 0
    assert run("-d", "777", "-p", "mine", "--as", "mine", "--overwrite") == 2
    assert "is the name of the source" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dataset", "dataset_fingerprint", "splits_final", "other"])
def test_files_that_are_not_ours_are_never_overwritten(folder, capsys, name):
    file = folder / f"{name}.json"
    file.write_text(json.dumps(PLANS))  # even plans, if `anl-seg plan` did not write them
    before = file.read_bytes()
    assert run("-d", "777", "--as", name, "--overwrite") == 2
    assert "choose another name" in capsys.readouterr().err
    assert file.read_bytes() == before


@pytest.mark.parametrize("configurations", [[], {}, {"2d": []}, None, "2d"])
def test_plans_without_configurations(folder, capsys, configurations):
    (folder / "nnUNetPlans.json").write_text(json.dumps({"configurations": configurations}))
    assert run(*X) == 2
    error = capsys.readouterr().err
    assert "is not an nnU-Net plans file" in error
    assert error.count("\n") == 1


def test_labels_can_be_kept(folder):
    run(*X, "--keep-labels")
    entry = json.loads((folder / "x.json").read_text())["anl_seg"]
    assert (entry["correct_labels"], entry["warmup"]) == (False, 0)


def test_dice_beside_a_loss_without_weight_is_a_loss(folder):
    assert run(*X, "--alpha", "0", "--beta", "0", "--dice-weight", "1") == 0


@pytest.mark.parametrize(
    ("there", "named"),
    [(["3d_lowres", "2d"], "2d"), (["3d_fullres", "3d_lowres"], "3d_fullres")],
)
def test_the_next_command_names_an_existing_configuration(folder, capsys, there, named):
    plane = PLANS["configurations"]["2d"]
    content = PLANS | {"configurations": dict.fromkeys(there, plane)}
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    assert run(*X) == 0
    assert f"nnUNetv2_train 777 {named} 0 -tr" in capsys.readouterr().out


def test_variable_not_set(monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    assert run(*X) == 2
    assert "export nnUNet_preprocessed" in capsys.readouterr().err


def test_other_plans_of_the_same_name_are_kept(folder, capsys):
    assert run(*X, "--seed", "1") == 0
    assert run(*X, "--seed", "1") == 0  # the same again is no conflict
    assert run(*X, "--seed", "2") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*X, "--seed", "2", "--overwrite") == 0
    assert json.loads((folder / "x.json").read_text())["anl_seg"]["seed"] == 2


def test_all_settings_are_written(folder):
    code = run(
        *[
            "-d",
            "777",
            "--as",
            "x",
            "--loss",
            "anl-ce*",
            "--alpha",
            "2",
            "--beta",
            "3",
            "--lambda",
            "4",
        ],
        *["--correct-labels", "--ce-weight", "0.25", "--warmup", "0.1", "--ema", "0.99"],
        *["--bootstrap", "0.2"],
        *["--delta", "1e-5", "--dice-weight", "0.5", "--epochs", "6", "--iterations", "7"],
        *["--batch-size", "8", "--optimizer", "adam", "--seed", "9", "--precision", "bf16"],
    )
    assert code == 0
    plans = json.loads((folder / "x.json").read_text())
    assert plans["configurations"]["2d"]["batch_size"] == 8
    assert plans["anl_seg"] == {
        "loss": "anl-ce*",
        "loss_parameters": {"alpha": 2, "beta": 3, "lambda_": 4, "p_min": 1e-7},
        "delta": 1e-5,
        "dice_weight": 0.5,
        "ce_weight": 0.25,
        "warmup": 0.1,
        "ema": 0.99,
        "bootstrap": 0.2,
        "correct_labels": True,
        "protocol": "nnunet",
        "epochs": 6,
        "iterations": 7,
        "optimizer": "adam",
        "precision": "bf16",
        "seed": 9,
    }


@pytest.mark.parametrize("protocol", ["isic2017", "isic2017-poly"])
def test_the_papers_protocol(folder, protocol):
    content = json.loads((folder / "nnUNetPlans.json").read_text())
    plane = content["configurations"]["2d"]
    plane["median_image_size_in_voxels"] = [256.0, 256.0]
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    assert run(*X, "--protocol", protocol, "--seed", "1") == 0
    plans = json.loads((folder / "x.json").read_text())
    assert plans["configurations"]["2d"]["batch_size"] == 16
    assert plans["configurations"]["2d"]["patch_size"] == [256, 256]
    settings = plans["anl_seg"]
    assert (settings["protocol"], settings["epochs"]) == (protocol, 100)
    assert settings["optimizer"] == "adam"


def test_a_protocol_on_a_small_network(folder):
    content = json.loads((folder / "nnUNetPlans.json").read_text())
    network = {"arch_kwargs": {"strides": [[1, 1], [2, 2]]}}
    content["configurations"]["2d"]["architecture"] = network
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    assert run(*X, "--protocol", "isic2017", "--small", "--batch-size", "4") == 0
    plane = json.loads((folder / "x.json").read_text())["configurations"]["2d"]
    assert (plane["batch_size"], plane["patch_size"]) == (4, [64, 64])


def test_a_protocol_without_a_2d_configuration(folder, capsys):
    content = json.loads((folder / "nnUNetPlans.json").read_text())
    content["configurations"] = {"3d_fullres": {"patch_size": [8, 8, 8], "batch_size": 2}}
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    assert run(*X, "--protocol", "isic2017") == 2
    assert "3d_fullres is not 2D; choose another configuration" in capsys.readouterr().err


def test_a_weight_given_twice(folder, capsys):
    assert run(*X, "--alpha", "5", "--set", "alpha=3") == 2
    assert "alpha is given as an option and with --set; keep one" in capsys.readouterr().err


# Plans of the clean data set for its noisy copy

DATASET_JSON = {"channel_names": {"0": "R"}, "labels": {"background": 0, "a": 1}}


@pytest.fixture
def noisy(folder, tmp_path, monkeypatch):
    """The raw folder of a noisy copy, 778, of a clean data set, 777."""
    (folder / "dataset.json").write_text(json.dumps(DATASET_JSON | {"file_ending": ".png"}))
    (folder / "dataset_fingerprint.json").write_text('{"spacings": []}')
    raw = tmp_path / "raw" / "Dataset778_Noisy"
    raw.mkdir(parents=True)
    monkeypatch.setenv("nnUNet_raw", str(raw.parent))
    (raw / "dataset.json").write_text(json.dumps(DATASET_JSON | {"file_ending": ".png"}))
    return raw


def test_a_noisy_copy_gets_the_plans_of_the_clean_data_set(folder, noisy, capsys):
    assert run("-d", "778", "--from", "777", "--as", "x") == 0
    copy = folder.parent / "Dataset778_Noisy"
    plans = json.loads((copy / "x.json").read_text())
    assert (plans["dataset_name"], plans["plans_name"]) == ("Dataset778_Noisy", "x")
    plane, original = plans["configurations"]["2d"], PLANS["configurations"]["2d"]
    # images of its own: those of plans made from the noisy labels may be normalised differently
    assert plane.pop("data_identifier") == "nnUNetPlans_2d_from_Dataset777_Hand"
    assert plane == {key: value for key, value in original.items() if key != "data_identifier"}
    assert json.loads((copy / "dataset.json").read_text())["labels"] == DATASET_JSON["labels"]
    assert json.loads((copy / "dataset_fingerprint.json").read_text()) == {"spacings": []}
    assert "nnUNetv2_preprocess -d 778 -plans_name x -c 2d" in capsys.readouterr().out

    (copy / "nnUNetPlans_2d_from_Dataset777_Hand").mkdir()  # the second plans share the images
    assert run("-d", "778", "--from", "777", "--as", "y", "--loss", "mae") == 0
    assert "nnUNetv2_preprocess" not in capsys.readouterr().out


def test_a_dataset_json_without_a_file_ending(folder, noisy, capsys):
    for each in (folder, noisy):
        (each / "dataset.json").write_text(json.dumps(DATASET_JSON))
    assert run("-d", "778", "--from", "777", "--as", "x") == 2
    assert f"{noisy / 'dataset.json'} has no file_ending; add it" in capsys.readouterr().err


def test_plans_of_another_kind_of_data_set_are_refused(noisy, capsys):
    other = DATASET_JSON | {"file_ending": ".png", "labels": {"background": 0, "b": 1}}
    (noisy / "dataset.json").write_text(json.dumps(other))
    assert run("-d", "778", "--from", "777", "--as", "x") == 2
    error = capsys.readouterr().err
    assert "has the labels" in error
    assert not (noisy.parents[1] / "Dataset778_Noisy").exists()


def put_cases(noisy, *cases):
    (noisy / "labelsTr").mkdir()
    for case in cases:
        (noisy / "labelsTr" / f"{case}.png").touch()


SPLITS = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["c"], "val": ["a", "b"]}]


def test_a_noisy_copy_gets_the_folds_of_the_clean_data_set(folder, noisy, capsys):
    (folder / "splits_final.json").write_text(json.dumps(SPLITS))
    put_cases(noisy, "a", "b", "c")
    copy = folder.parent / "Dataset778_Noisy" / "splits_final.json"
    for name in ("x", "y"):  # the second time the same splits are there
        assert run("-d", "778", "--from", "777", "--as", name) == 0
        assert json.loads(copy.read_text()) == SPLITS
    copy.write_text(json.dumps(SPLITS[::-1]))
    assert run("-d", "778", "--from", "777", "--as", "z") == 2
    assert "folds would not have the same cases" in capsys.readouterr().err
    assert json.loads(copy.read_text()) == SPLITS[::-1]


def test_folds_with_missing_cases(folder, noisy, capsys):
    (folder / "splits_final.json").write_text(json.dumps(SPLITS))
    put_cases(noisy, "a")
    assert run("-d", "778", "--from", "777", "--as", "x") == 2
    assert "lacks 2 of the 3 cases" in capsys.readouterr().err
    assert not (folder.parent / "Dataset778_Noisy").exists()


@pytest.mark.parametrize("content", ["{}", "[1]", "["])
def test_broken_folds(folder, noisy, capsys, content):
    (folder / "splits_final.json").write_text(content)
    assert run("-d", "778", "--from", "777", "--as", "x") == 2
    assert "splits_final.json" in capsys.readouterr().err


def test_c_chooses_the_configurations_to_change(folder, capsys):
    plane = PLANS["configurations"]["2d"]
    content = PLANS | {"configurations": {"2d": plane, "3d_fullres": plane}}
    (folder / "nnUNetPlans.json").write_text(json.dumps(content))
    assert run(*X, "-c", "3d_fullres", "--batch-size", "3") == 0
    configurations = json.loads((folder / "x.json").read_text())["configurations"]
    sizes = {name: each["batch_size"] for name, each in configurations.items()}
    assert sizes == {"2d": 12, "3d_fullres": 3}
    assert "nnUNetv2_train 777 3d_fullres 0 -tr" in capsys.readouterr().out
    assert run(*X, "-c", "3d_lowres", "--overwrite") == 2
    assert "no configuration 3d_lowres (-c); choose from 2d, 3d_fullres" in capsys.readouterr().err


def test_help_shows_the_defaults_of_the_losses(capsys):
    assert run("--help") == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "0.999 for anl-ce under nnunet, else 0" in text
