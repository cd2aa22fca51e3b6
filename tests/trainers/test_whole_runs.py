"""nnU-Net's commands with our trainer, on small volumes: two nested balls in noise."""

from __future__ import annotations

import json
import shutil
import time
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from trainers.commands import forget_server, run, start

from anl_seg.trainers.installation import discovery_folder

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

pytestmark = pytest.mark.slow

PLAIN, REGIONS = "Dataset701_Balls", "Dataset702_Regions"
LABELS = {
    PLAIN: {"labels": {"background": 0, "shell": 1, "core": 2}},
    REGIONS: {
        "labels": {"background": 0, "ball": [1, 2], "core": [2], "ignore": 3},
        "regions_class_order": [1, 2],
    },
}
SHAPE = (28, 32, 32)
SETTINGS = "--epochs 2 --iterations 4 --seed 1"


class NNUNet:
    """nnU-Net's three folders below `root`, and commands that work on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "log.txt"

    def folder(self, kind):
        return self.root / f"nnUNet_{kind}"

    def run(self, line):
        run(line, self.log)

    def train(self, configuration, fold, options="", dataset=PLAIN, plans="anl"):
        """Train, and return the folder of the fold."""
        self.run(training(configuration, fold, options, dataset, plans))
        return self.model(configuration, dataset, plans) / f"fold_{fold}"

    def model(self, configuration, dataset=PLAIN, plans="anl"):
        return self.folder("results") / dataset / f"nnUNetTrainerANL__{plans}__{configuration}"

    def predict(self, configuration, output, options="", dataset=PLAIN, plans="anl", fold="0"):
        """Predict the test image; return its labels and their probabilities."""
        self.run(
            f"nnUNetv2_predict -d {dataset} -i {self.folder('raw')}/{dataset}/imagesTs -o {output} "
            f"-tr nnUNetTrainerANL -p {plans} -c {configuration} -f {fold} --save_probabilities "
            f"-npp 1 -nps 1 -device cpu {options}"
        )
        return read(output / "case5.nii.gz"), np.load(output / "case5.npz")["probabilities"]


def training(configuration, fold, options="", dataset=PLAIN, plans="anl"):
    return (
        f"nnUNetv2_train {dataset} {configuration} {fold} -tr nnUNetTrainerANL -p {plans} "
        f"-device cpu {options}"
    )


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))


def read(path):
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def draw(folder, dataset):
    """Draw five training cases and a test case; regions come with ignored slices."""
    generator = np.random.default_rng(0)
    z, y, x = np.ogrid[tuple(map(slice, SHAPE))]
    for number in range(6):
        radius = np.sqrt((z - 12 - number % 3) ** 2 + (y - 16) ** 2 + (x - 14 - number) ** 2)
        labels = (radius < 9).astype(np.uint8) + (radius < 5)
        image = 2 * labels + generator.normal(size=SHAPE)
        if dataset == REGIONS:
            labels[:3] = 3
        kind = "Ts" if number == 5 else "Tr"
        write(folder / dataset / f"images{kind}" / f"case{number}_0000.nii.gz", image)
        write(folder / dataset / f"labels{kind}" / f"case{number}.nii.gz", labels)
    description = {"channel_names": {"0": "MR"}, "numTraining": 5, "file_ending": ".nii.gz"}
    content = json.dumps({**description, **LABELS[dataset]})
    (folder / dataset / "dataset.json").write_text(content)


def make_thin(path):
    """Give the planned networks 4 features a stage, so that minutes become seconds.

    And patches whose sides are powers of 2: with others, nnU-Net 2.6 cannot store images so small.
    """
    plans = json.loads(path.read_text())
    for name in ("3d_lowres", "3d_fullres"):
        configuration = plans["configurations"][name]
        configuration["patch_size"] = [16, 16, 16]
        network = configuration["architecture"]["arch_kwargs"]
        network["features_per_stage"] = [4] * network["n_stages"]
    path.write_text(json.dumps(plans))


@pytest.fixture(scope="module")
def nnunet(tmp_path_factory):
    """Both data sets planned, with a cascade, and preprocessed."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("raw", "preprocessed", "results"):
            patch.setenv(f"nnUNet_{kind}", str(root / f"nnUNet_{kind}"))
        patch.setenv("nnUNet_extTrainer", str(discovery_folder()))  # for editable installs
        patch.setenv("nnUNet_def_n_proc", "1")
        patch.chdir(root)  # Python looks there first, and in the checkout anl_seg is not whole
        forget_server()
        nnunet = NNUNet(root)
        for dataset in (PLAIN, REGIONS):
            draw(nnunet.folder("raw"), dataset)
        # so little memory that patches are an eighth of an image: then nnU-Net plans a cascade, of
        # networks so shallow that deep supervision has a single scale
        nnunet.run(
            "nnUNetv2_plan_and_preprocess -d 701 702 --no_pp -gpu_memory_target 0.01 -npfp 1"
        )
        for dataset in (PLAIN, REGIONS):
            make_thin(nnunet.folder("preprocessed") / dataset / "nnUNetPlans.json")
            nnunet.run(f"nnUNetv2_preprocess -d {dataset[7:10]} -c 3d_lowres 3d_fullres -np 1")
            nnunet.run(f"anl-seg plan -d {dataset} --as anl {SETTINGS}")
        yield nnunet
        forget_server()


@pytest.fixture(scope="module")
def fullres(nnunet):
    """The folder of a finished training."""
    return nnunet.train("3d_fullres", 0, "--npz")


@pytest.fixture(scope="module")
def lowres(nnunet):
    """The same of the configuration that the cascade builds upon."""
    return nnunet.train("3d_lowres", 0, "--npz")


def weights(checkpoint):
    network = torch.load(checkpoint, weights_only=False)["network_weights"]
    return torch.cat([value.flatten() for value in network.values()])


def dice(predicted, true):
    return 2 * (predicted & true).sum() / (predicted.sum() + true.sum())


def check_validation(nnunet, fold, dataset=PLAIN):
    """Check the Dice of a fold's summary against the masks it is of."""
    summary = json.loads((fold / "validation" / "summary.json").read_text())
    for case in summary["metric_per_case"]:
        name = Path(case["prediction_file"]).name
        predicted = read(fold / "validation" / name)
        true = read(nnunet.folder("raw") / dataset / "labelsTr" / name)
        counts = true != 3
        for classes, metrics in case["metrics"].items():
            members = literal_eval(classes)  # a label, or the labels of a region
            expected = dice(*(np.isin(mask[counts], members) for mask in (predicted, true)))
            assert metrics["Dice"] == pytest.approx(expected)
    return [Path(case["prediction_file"]).name for case in summary["metric_per_case"]]


def test_training_and_validation(nnunet, fullres):
    assert len(check_validation(nnunet, fullres)) == 1
    for name in ("checkpoint_final.pth", "checkpoint_best.pth", "progress.png", "debug.json"):
        assert (fullres / name).stat().st_size > 0


def test_validation_alone(nnunet, fullres):
    (mask,) = (fullres / "validation").glob("*.nii.gz")
    before = read(mask)
    for options in ("--val --val_best", "--val --npz"):
        shutil.rmtree(fullres / "validation")
        nnunet.train("3d_fullres", 0, options)
        assert len(check_validation(nnunet, fullres)) == 1
        assert mask.with_name(mask.name.replace(".nii.gz", ".npz")).exists() == ("--npz" in options)
    assert np.array_equal(read(mask), before)


def test_a_finished_training_stays_as_it_is(nnunet, fullres):
    before = weights(fullres / "checkpoint_final.pth")
    nnunet.train("3d_fullres", 0, "--c --npz")
    assert torch.equal(weights(fullres / "checkpoint_final.pth"), before)


def test_a_killed_training_ends_like_an_uninterrupted_one(nnunet, fullres):
    nnunet.run(f"anl-seg plan -d {PLAIN} --as killed {SETTINGS}")
    killed = start(training("3d_fullres", 0, plans="killed"), nnunet.log)
    folder = nnunet.model("3d_fullres", plans="killed") / "fold_0"
    while not any("Epoch 1" in log.read_text() for log in folder.glob("training_log*")):
        assert killed.is_alive(), nnunet.log.read_text()
        time.sleep(0.02)
    killed.kill()
    killed.join()
    assert not (folder / "checkpoint_final.pth").exists()
    nnunet.train("3d_fullres", 0, "--c", plans="killed")
    continued = torch.load(folder / "checkpoint_final.pth", weights_only=False)
    assert continued["current_epoch"] == 2
    expected = weights(fullres / "checkpoint_final.pth")
    assert torch.equal(weights(folder / "checkpoint_final.pth"), expected)


def test_pretrained_weights_and_all_cases(nnunet, fullres):
    start_from = fullres / "checkpoint_final.pth"
    options = f"-pretrained_weights {start_from}"
    fold = nnunet.train("3d_fullres", "all", options)
    assert len(check_validation(nnunet, fold)) == 5
    one, other = weights(start_from), weights(fold / "checkpoint_final.pth")
    assert 0 < (other - one).norm() < 0.1 * one.norm()


def test_cascade(nnunet):
    plans = "cascade"  # their own: nnU-Net 2.6 cannot write anew what it hands on
    nnunet.run(f"anl-seg plan -d {PLAIN} --as {plans} {SETTINGS}")
    below = nnunet.train("3d_lowres", "all", plans=plans)
    assert len(check_validation(nnunet, below)) == 5
    handed_on = below.parent / "predicted_next_stage" / "3d_cascade_fullres"
    assert {path.name[:5] for path in handed_on.iterdir()} == {f"case{n}" for n in range(5)}
    fold = nnunet.train("3d_cascade_fullres", 0, plans=plans)
    assert len(check_validation(nnunet, fold)) == 1
    network = torch.load(fold / "checkpoint_final.pth", weights_only=False)["network_weights"]
    assert next(iter(network.values())).shape[1] == 3  # the image and two foreground classes
    nnunet.predict("3d_lowres", nnunet.root / "below", plans=plans, fold="all")
    previous = f"-prev_stage_predictions {nnunet.root / 'below'}"
    labels, _ = nnunet.predict("3d_cascade_fullres", nnunet.root / "cascade", previous, plans=plans)
    assert labels.shape == SHAPE
    assert set(np.unique(labels)) <= {0, 1, 2}


def test_the_best_configuration(nnunet, fullres, lowres):
    nnunet.run(
        f"nnUNetv2_find_best_configuration {PLAIN} -c 3d_lowres 3d_fullres -tr nnUNetTrainerANL "
        "-p anl -f 0 -np 1"
    )
    found = json.loads((fullres.parents[1] / "inference_information.json").read_text())
    results = found["all_results"]
    for fold in (fullres, lowres):
        summary = json.loads((fold / "validation" / "summary.json").read_text())
        assert results[fold.parent.name] == pytest.approx(summary["foreground_mean"]["Dice"])
    assert len(results) == 3
    best = found["best_model_or_ensemble"]
    assert best["result_on_crossval_pre_pp"] == max(results.values())
    assert {model["trainer"] for model in best["selected_model_or_models"]} == {"nnUNetTrainerANL"}


def test_an_ensemble(nnunet, fullres, lowres):
    folders = [nnunet.root / "lowres", nnunet.root / "fullres"]
    probabilities = [
        nnunet.predict(f"3d_{folder.name}", folder)[1].astype(float) for folder in folders
    ]
    output = nnunet.root / "ensemble"
    nnunet.run(f"nnUNetv2_ensemble -i {folders[0]} {folders[1]} -o {output} -np 1")
    labels = read(output / "case5.nii.gz")
    mean = sum(probabilities) / 2
    assert np.mean(labels == mean.argmax(0)) > 0.999  # nnU-Net adds in float16


def test_regions_with_ignored_slices(nnunet):
    fold = nnunet.train("3d_fullres", 0, dataset=REGIONS)
    assert len(check_validation(nnunet, fold, REGIONS)) == 1
    labels, probabilities = nnunet.predict("3d_fullres", nnunet.root / "regions", dataset=REGIONS)
    ball, core = probabilities > 0.5
    assert np.array_equal(labels, np.where(core, 2, ball))
