"""Whole trainings on a tiny data set in process: files, and reproducibility with a seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*plans.*:DeprecationWarning",
    "ignore:The given NumPy array is not writable:UserWarning",
)


@pytest.fixture(autouse=True)
def _one_process(monkeypatch, preprocessed):
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.setenv("nnUNet_def_n_proc", "1")


def weights(trainer):
    return torch.cat([value.detach().flatten() for value in trainer.network.state_dict().values()])


def prepared(make_trainer, **settings):
    """A trainer of two short epochs that does not draw nnU-Net's plot, which takes seconds."""
    trainer = make_trainer({"epochs": 2, "iterations": 3, "seed": 1, **settings})
    trainer.logger.plot_progress_png = lambda folder: None
    return trainer


def trained(make_trainer, **settings):
    trainer = prepared(make_trainer, **settings)
    trainer.run_training()
    return trainer


class Killed(Exception):
    pass


def end_and_die(trainer, epochs):
    """An end of an epoch that kills a trainer after its number of epochs."""
    end = trainer.on_epoch_end

    def on_epoch_end():
        end()
        if trainer.current_epoch == epochs:  # nnU-Net has counted on
            raise Killed

    return on_epoch_end


def continued(make_trainer, stopped, on_epoch_end, checkpoint, **settings):
    """Run a trainer until the end of an epoch kills it, and continue from a checkpoint."""
    stopped.on_epoch_end = on_epoch_end
    with pytest.raises(Killed):
        stopped.run_training()
    again = prepared(make_trainer, **settings)
    again.load_checkpoint(str(checkpoint))
    again.run_training()
    return again


def test_a_seed_fixes_the_weights_bit_for_bit(make_trainer):
    first = weights(trained(make_trainer))
    torch.rand(7)
    assert torch.equal(first, weights(trained(make_trainer)))
    assert not torch.equal(first, weights(trained(make_trainer, seed=2)))


T_LOSS = {"loss": "t-loss", "optimizer": "adam"}
OPTIONS = {"dice_weight": 1.0, "ce_weight": 1.0, "warmup": 0.5, "ema": 0.9, "bootstrap": 0.3}
#: All other options of `anl-seg plan` that change what is learned.
OTHERS = {"loss": "anl-ce*", "loss_parameters": {"alpha": 2.0, "beta": 3.0, "lambda_": 0.1}}
OTHERS |= {"delta": 1e-4, "precision": "bf16", "optimizer": "sgd", "ema": 0.9}
PROTOCOL = {"protocol": "isic2017-poly", "loss": "gce", "loss_parameters": {"q": 0.5}}


@pytest.mark.parametrize("settings", [T_LOSS, T_LOSS | OPTIONS, OTHERS, PROTOCOL])
def test_a_continued_run_is_the_uninterrupted_one(make_trainer, tmp_path, settings):
    whole = trained(make_trainer, **settings)
    stopped = prepared(make_trainer, **settings)
    end, checkpoint = stopped.on_epoch_end, tmp_path / "checkpoint.pth"

    def save_and_die():
        stopped.save_checkpoint(str(checkpoint))
        end()
        raise Killed

    again = continued(make_trainer, stopped, save_and_die, checkpoint, **settings)
    assert torch.equal(weights(whole), weights(again))
    for own in zip(whole._loss_parameters, again._loss_parameters, strict=True):
        assert torch.equal(*own)
    if "ema" in settings:
        averages = [trainer.average.values for trainer in (whole, again)]
        assert all(torch.equal(*pair) for pair in zip(*averages, strict=True))


def test_corrected_labels_replace_the_given_ones_also_after_a_kill(make_trainer, monkeypatch):
    from anl_seg.trainers.validation_peak import ValidationPeak

    monkeypatch.setattr(ValidationPeak, "has_passed", property(lambda peak: len(peak.dice) > 1))
    settings = {"epochs": 4, "correct_labels": True, "warmup": 1.0, "ema": 0.9, "ce_weight": 1.0}
    whole = trained(make_trainer, **settings)
    folder = Path(whole.output_folder)
    files = sorted((folder / "corrected_labels").iterdir())
    assert [file.stem for file in files] == ["case0", "case1", "case2", "case3"]
    assert whole.correction.done_in == 1
    said = (
        "past its peak",
        "of the pixels have changed",
        "the warm-up with nnU-Net's own loss is over",
    )
    assert all(text in log(whole) for text in said)
    shutil.rmtree(folder)

    stopped = prepared(make_trainer, **settings)
    stopped.save_every = 1
    checkpoint = folder / "checkpoint_latest.pth"
    again = continued(make_trainer, stopped, end_and_die(stopped, 3), checkpoint, **settings)
    assert torch.equal(weights(whole), weights(again))


def test_the_memorisation_curve(make_trainer):
    trainer = trained(make_trainer)
    folder = Path(trainer.output_folder)
    curve = [json.loads(line) for line in (folder / "memorisation.jsonl").read_text().splitlines()]
    assert [point["epoch"] for point in curve] == [0, 1]
    for point in curve:
        assert point["wrong_pixels"] > 0
        assert 0 <= point["memorised"] <= 1
        # two classes: what is not predicted as told is predicted as it should be
        assert point["memorised"] + point["corrected"] == pytest.approx(1)
    assert (folder / "memorisation.png").stat().st_size > 1000


def test_clean_labels_stay_on_their_pixels(make_trainer, nnunet_folders):
    # the labels of these cases are right: whatever the augmentation, both channels agree
    (splits,) = nnunet_folders.glob("nnUNet_preprocessed/*/splits_final.json")
    splits.write_text(json.dumps([{"train": ["case0", "case2"], "val": ["case4"]}]))
    trainer = prepared(make_trainer)
    trainer.initialize()
    generator, validation = trainer.get_dataloaders()
    for _ in range(6):
        for target in next(generator)["target"]:
            assert target.shape[1] == 2
            assert target[:, 0].any()
            assert torch.equal(target[:, 0], target[:, 1])
    assert next(validation)["target"][0].shape[1] == 1


def log(trainer):
    return Path(trainer.log_file).read_text()


def test_without_all_clean_labels_there_is_no_curve(make_trainer, preprocessed):
    folder = preprocessed / "labelsTr_clean"
    for case in ("case0", "case5"):
        (folder / f"{case}.nii.gz").unlink()
    trainer = trained(make_trainer)
    assert not (Path(trainer.output_folder) / "memorisation.jsonl").exists()
    said = f"no memorisation.png: {folder} lacks 2 of the 6 masks, the first case0.nii.gz"
    assert log(trainer).count(said) == 1


def test_no_clean_labels_are_normal(make_trainer, preprocessed):
    shutil.rmtree(preprocessed / "labelsTr_clean")
    said = log(trained(make_trainer))
    sentence = "no clean labels (labelsTr_clean), which is normal: no memorisation.png"
    assert said.count(sentence) == 1
    assert "there is no folder" not in said


def test_clean_labels_are_prepared_once_and_logged(make_trainer, nnunet_folders):
    first, second = prepared(make_trainer), prepared(make_trainer)
    second.log_file += "_second"
    for trainer in (first, second):
        trainer.initialize()
        trainer.get_tr_and_val_datasets()
    assert "preparing the clean labels of 6 cases" in log(first)
    assert "preparing" not in log(second)
    arrays = list(nnunet_folders.glob("nnUNet_preprocessed/*/*_clean/*.npy"))
    assert {np.load(array).dtype for array in arrays} == {np.dtype(np.uint8)}
    assert len(arrays) == 6


def test_each_process_prepares_its_share_of_the_clean_labels(
    make_trainer, nnunet_folders, monkeypatch
):
    trainer = prepared(make_trainer)
    trainer.initialize()
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
    trainer.is_ddp, trainer.local_rank = True, 1
    trainer.get_tr_and_val_datasets()
    arrays = nnunet_folders.glob("nnUNet_preprocessed/*/*_clean/*.npy")
    assert sorted(array.stem for array in arrays) == ["case1", "case3", "case5"]


def test_clean_labels_that_do_not_fit_are_named(make_trainer, preprocessed, capsys):
    import SimpleITK

    folder = preprocessed / "labelsTr_clean"
    masks = {"case1": np.zeros((1, 40, 32)), "case4": np.full((1, 32, 32), 255)}  # 4: validation
    for case, mask in masks.items():
        image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
        SimpleITK.WriteImage(image, str(folder / f"{case}.nii.gz"))
    trainer = prepared(make_trainer)
    trainer.initialize()
    with pytest.raises(SystemExit) as stop:
        trainer.get_tr_and_val_datasets()
    assert stop.value.code == 2
    for text in (capsys.readouterr().err, log(trainer)):
        assert "2 clean masks do not fit" in text
        assert f"{folder}/case1.nii.gz has 1x40x32 pixels, its image 1x32x32" in text
        assert f"{folder}/case4.nii.gz contains 255, but dataset.json has the labels 0, 1" in text
        assert "correct them, or move their folder away" in text
    shutil.rmtree(folder)
    assert trained(make_trainer).current_epoch == 2


@pytest.mark.parametrize("gone", ["nnUNet_raw", "imagesTs", "labelsTs", "labelsTs/test1.nii.gz"])
def test_missing_test_images_are_reported_at_the_start(
    make_trainer, preprocessed, monkeypatch, gone
):
    if gone == "nnUNet_raw":
        monkeypatch.delenv(gone)
    else:
        (preprocessed / gone).rename(preprocessed / "gone")
    trainer = prepared(make_trainer, protocol="isic2017")
    trainer.on_train_start()
    reason = {
        "nnUNet_raw": "the variable nnUNet_raw is not set",
        "imagesTs": f"there is no folder {preprocessed}/imagesTs",
        "labelsTs": f"there is no folder {preprocessed}/labelsTs",
        "labelsTs/test1.nii.gz": "labelsTs lacks 1 of the 2 masks, the first test1.nii.gz",
    }
    assert "no test Dice: " in log(trainer)
    assert reason[gone] in log(trainer)


def test_a_run_killed_while_it_predicts_test_images_keeps_all_epochs(make_trainer, monkeypatch):
    from anl_seg.trainers import monitor

    settings = {"protocol": "isic2017", "epochs": 3, "iterations": None}
    whole = trained(make_trainer, **settings)
    folder = Path(whole.output_folder)
    dice, curve = (folder / name for name in ("test_dice.json", "memorisation.jsonl"))
    expected = json.loads(dice.read_text()), curve.read_text()
    shutil.rmtree(folder)

    stopped = prepared(make_trainer, **settings)
    stopped.save_every = 1
    predict = monitor.TestImageMonitor.predict

    def predict_and_die(*arguments):
        predict(*arguments)
        if stopped.current_epoch == 1:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(monitor.TestImageMonitor, "predict", predict_and_die)
        with pytest.raises(Killed):
            stopped.run_training()
    again = prepared(make_trainer, **settings)
    again.load_checkpoint(str(folder / "checkpoint_latest.pth"))
    assert again.current_epoch == 1
    again.run_training()
    assert (json.loads(dice.read_text()), curve.read_text()) == expected
    assert list(expected[0]) == ["0", "1", "2"]
    assert torch.equal(weights(whole), weights(again))
    assert len(again.logger.get_value("train_losses", step=None)) == 3


def test_a_broken_case_of_a_pass_is_named(make_trainer, capsys):
    trainer = make_trainer({"protocol": "isic2017", "epochs": 1, "seed": 1})
    trainer.initialize()
    original = trainer.dataset_class.load_case

    class Broken(trainer.dataset_class):
        def load_case(self, identifier):
            image, *rest = original(self, identifier)
            image = image[:]
            if identifier == "case2":
                image[:] = np.nan
            return image, *rest

    trainer.dataset_class = Broken
    trainer.dataloader_train, _ = trainer.get_dataloaders()
    trainer.on_train_epoch_start()

    def one_pass():
        for _ in range(trainer.num_iterations_per_epoch):
            trainer.train_step(next(trainer.dataloader_train))

    with pytest.raises(SystemExit):
        one_pass()
    said = "the images of case2 contain values that are not finite"
    assert said in capsys.readouterr().err
    assert said in log(trainer)


@pytest.mark.parametrize("name", ["isic2017", "isic2017-poly"])
def test_the_papers_protocol(make_trainer, name):
    trainer = prepared(make_trainer, protocol=name, epochs=3, iterations=None)
    rates = []
    begin = trainer.on_train_epoch_start

    def note():
        begin()
        rates.append(trainer.optimizer.param_groups[0]["lr"])

    trainer.on_train_epoch_start = note
    trainer.run_training()
    assert isinstance(trainer.optimizer, torch.optim.Adam)
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 5e-6
    assert trainer.num_iterations_per_epoch == 2  # 4 training cases, batches of 2
    polynomial = [1e-3 * (1 - epoch / 3) ** 0.9 for epoch in range(3)]
    written = [1e-3, 0.8e-3, 0.64e-3]
    assert rates == pytest.approx(written if name == "isic2017" else polynomial)
    dice = json.loads((Path(trainer.output_folder) / "test_dice.json").read_text())
    assert list(dice) == ["0", "1", "2"]
    summary = Path(trainer.output_folder) / "test_epoch_0002" / "summary.json"
    content = json.loads(summary.read_text())
    assert content["foreground_mean"]["Dice"] == dice["2"]
    assert len(content["metric_per_case"]) == 2


def test_an_epoch_of_the_protocol_is_one_pass(make_trainer):
    trainer = make_trainer({"protocol": "isic2017", "epochs": 1, "seed": 1})
    trainer.initialize()
    loaded = []
    dataset = trainer.dataset_class
    original = dataset.load_case

    class Noted(dataset):
        def load_case(self, identifier):
            loaded.append(identifier)
            return original(self, identifier)

    trainer.dataset_class = Noted
    generator, _ = trainer.get_dataloaders()
    trainer.one_pass.restart()
    loaded.clear()
    for _ in range(trainer.num_iterations_per_epoch):
        next(generator)
    assert sorted(loaded) == ["case0", "case1", "case2", "case3"]


def test_light_augmentation_is_mirroring_and_gamma(make_trainer):
    trainer = make_trainer({"protocol": "isic2017", "seed": 1})
    trainer.initialize()
    generator, _ = trainer.get_dataloaders()
    transforms = generator.data_loader.transforms.transforms
    names = [type(getattr(each, "transform", each)).__name__ for each in transforms]
    assert names[:3] == ["SpatialTransform", "GammaTransform", "MirrorTransform"]
    assert names[3].startswith("RemoveLabel")  # spelt in two ways by versions of its library
    assert names[4:] == ["DownsampleSegForDSTransform"]
    assert transforms[0].p_rotation == transforms[0].p_scaling == 0


def test_final_validation_also_against_clean_labels(make_trainer, preprocessed, monkeypatch):
    import SimpleITK
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    def predict_the_noisy_labels(trainer, save_probabilities):
        folder = Path(trainer.output_folder, "validation")
        folder.mkdir()
        for case in ("case4", "case5"):
            shutil.copy(preprocessed / "labelsTr" / f"{case}.nii.gz", folder)

    monkeypatch.setattr(nnUNetTrainer, "perform_actual_validation", predict_the_noisy_labels)
    trainer = make_trainer()
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder) / "validation"
    summary = json.loads((folder / "summary_clean.json").read_text())

    def pixels(path):
        return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))) > 0

    expected = []
    for case in summary["metric_per_case"]:
        name = Path(case["prediction_file"]).name
        predicted, true = pixels(folder / name), pixels(preprocessed / "labelsTr_clean" / name)
        expected.append(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
        assert case["metrics"]["1"]["Dice"] == pytest.approx(expected[-1])
    assert len(expected) == 2
    assert expected[0] == 1  # case4 is clean
    assert expected[1] < 0.9
    assert summary["foreground_mean"]["Dice"] == pytest.approx(sum(expected) / 2)
    assert "against the clean labels" in Path(trainer.log_file).read_text()
