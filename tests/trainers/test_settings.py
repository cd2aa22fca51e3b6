"""TrainerSettings: written settings are read unchanged, and errors are named."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from anl_seg.errors import InputError
from anl_seg.trainers.defaults import OPTIONS, defaults
from anl_seg.trainers.settings import PLANS_KEY, TrainerSettings


def test_settings_survive_a_plans_file():
    settings = TrainerSettings("gce", {"q": 0.7}, delta=1e-5, epochs=3, iterations=4, seed=5)
    plans = json.loads(json.dumps({PLANS_KEY: asdict(settings)}))
    assert TrainerSettings.from_plans(plans) == settings


def test_labels_that_are_kept_need_no_warm_up():
    settings = TrainerSettings(correct_labels=False)
    assert (settings.warmup, settings.ema) == (0, TrainerSettings().ema)
    assert TrainerSettings().warmup == 1


def test_plans_without_an_entry_mean_the_defaults():
    assert TrainerSettings.from_plans({"plans_name": "nnUNetPlans"}) == TrainerSettings()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"loss": "no"}, "unknown loss 'no'; there are: ce, .*, dice\\+ce"),
        ({"loss_parameters": {"gamma": 1}}, "anl-ce has no hyper-parameter 'gamma'"),
        ({"loss_parameters": {"alpha": -1}}, "alpha of anl-ce must be"),
        ({"loss_parameters": {"alpha": "five"}}, "alpha of anl-ce must be"),
        ({"loss_parameters": {"reduction": "none"}}, "no hyper-parameter 'reduction'"),
        ({"loss_parameters": {"ignore_index": 3}}, "no hyper-parameter 'ignore_index'"),
        ({"loss_parameters": [5, 5]}, "loss_parameters must be an object"),
        ({"loss": "dice+ce", "loss_parameters": {"alpha": 1}}, "takes no parameters"),
        (
            {"loss_parameters": {"alpha": 0, "beta": 0}, "dice_weight": 0, "ce_weight": 0},
            "must not all be 0",
        ),
        ({"loss": "anl-fl*", "loss_parameters": {"alpha": 0, "beta": 0}}, "must not all be 0"),
        ({"dice_weight": -1}, "dice_weight must be"),
        ({"ce_weight": "one"}, "ce_weight must be"),
        ({"loss": "dice+ce", "ce_weight": 1}, "has its own cross entropy term"),
        ({"warmup": 1, "correct_labels": False}, "warmup must be a number in \\[0, 1\\)"),
        ({"correct_labels": 1}, "correct_labels must be true or false"),
        ({"ema": 1.0}, "ema must be a number in \\[0, 1\\)"),
        ({"ema": -0.1}, "ema must be"),
        ({"bootstrap": 1, "warmup": 0.1}, "bootstrap must be"),
        ({"bootstrap": 0.3, "warmup": 0}, "bootstrap needs a warm-up"),
        ({"loss": "dice+ce", "dice_weight": 1}, "has its own Dice term"),
        ({"protocol": "isic"}, "unknown protocol 'isic'; choose one of nnunet, isic2017"),
        ({"protocol": ["isic2017"]}, "unknown protocol"),
        ({"optimizer": "rmsprop"}, "unknown optimizer 'rmsprop'; choose one of sgd, adam"),
        ({"precision": "fp8"}, "unknown precision 'fp8'; choose one of float32, bf16"),
        ({"delta": -1e-5}, "delta must be"),
        ({"delta": True}, "delta must be"),
        ({"delta": float("nan")}, "delta must be"),
        ({"delta": float("inf")}, "delta must be"),
        ({"epochs": 0}, "epochs must be"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"iterations": "many"}, "iterations must be"),
        ({"seed": -1}, "seed must be"),
        (
            {"learning_rate": 1},
            "unknown settings: learning_rate; valid are loss, loss_parameters, delta",
        ),
        ([1], "must be an object"),
    ],
)
def test_wrong_entries_are_named_with_their_plans(entry, message):
    with pytest.raises(InputError, match=message) as error:
        TrainerSettings.from_plans({"plans_name": "mine", PLANS_KEY: entry})
    assert "'mine'" in str(error.value)


def test_differences_are_named():
    here, there = TrainerSettings(epochs=4, seed=1), TrainerSettings(epochs=5)
    assert here.differences(there) == ["epochs is 4, was 5", "seed is 1, was None"]
    assert here.differences(TrainerSettings(epochs=4, seed=1)) == []


def test_the_protocol_fills_in_what_is_not_given():
    settings = TrainerSettings(protocol="isic2017")
    assert (settings.epochs, settings.optimizer) == (100, "adam")
    settings = TrainerSettings(protocol="isic2017", epochs=5, optimizer="sgd")
    assert (settings.epochs, settings.optimizer) == (5, "sgd")
    assert (TrainerSettings().epochs, TrainerSettings().optimizer) == (None, "sgd")


def test_defaults_are_spelt_out():
    assert TrainerSettings(loss_parameters={"alpha": 2}).loss_parameters["p_min"] == 1e-7
    assert TrainerSettings() == TrainerSettings(
        loss_parameters=dict(TrainerSettings().loss_parameters)
    )
    assert TrainerSettings("gce").loss_parameters == {"q": 0.7}


@pytest.mark.parametrize("given", [{}, {"optimizer": "adam"}, {"protocol": "isic2017"}])
@pytest.mark.parametrize("loss", ["anl-ce", "anl-fl", "anl-ce*"])
def test_weights_of_anl_are_the_papers_for_cifar10(loss, given):
    found = TrainerSettings(loss, **given).loss_parameters
    assert (found["alpha"], found["beta"]) == (5, 5)
    found = TrainerSettings(loss, {"alpha": 2}, **given).loss_parameters
    assert (found["alpha"], found["beta"]) == (2, 5)


@pytest.mark.parametrize("loss", ["anl-ce*", "anl-fl*"])
def test_the_entropy_term_is_nearly_off_in_masks(loss):
    # it pulls to equal shares of the classes, and most of a mask is background
    assert TrainerSettings(loss).loss_parameters["lambda_"] == 0.01
    assert TrainerSettings(loss, {"lambda_": 2.0}).loss_parameters["lambda_"] == 2


@pytest.mark.parametrize(
    ("typed", "name"), [("ANL_CE", "anl-ce"), ("Dice+CE", "dice+ce"), ("tloss", "t-loss")]
)
def test_any_spelling_of_a_loss(typed, name):
    assert TrainerSettings(typed).loss == name


@pytest.mark.parametrize("protocol", ["isic2017", "isic2017-poly"])
@pytest.mark.parametrize("loss", ["anl-ce", "gce", "dice+ce"])
def test_options_are_off_in_the_papers_protocols(protocol, loss):
    settings = TrainerSettings(loss, protocol=protocol)
    assert [getattr(settings, name) for name in OPTIONS] == [0] * len(OPTIONS)
    assert not settings.correct_labels


@pytest.mark.parametrize("loss", ["gce", "t-loss", "anl-fl", "dice+ce"])
def test_options_are_off_for_other_losses(loss):
    settings = TrainerSettings(loss)
    assert [getattr(settings, name) for name in OPTIONS] == [0] * len(OPTIONS)
    assert not settings.correct_labels


def test_the_defaults_of_the_trainer_are_those_of_one_function():
    settings = TrainerSettings()
    expected = defaults("anl-ce", "nnunet")
    assert {name: getattr(settings, name) for name in OPTIONS} == {
        name: expected[name] for name in OPTIONS
    }
    assert expected["loss_parameters"].items() <= settings.loss_parameters.items()


@pytest.mark.parametrize(
    ("share", "epochs", "expected"),
    [(0.1, 1000, 100), (0.01, 5, 1), (0.9, 2, 1), (0, 9, 0), (1, 9, 9)],
)
def test_a_warm_up_is_at_least_one_epoch_and_all_only_if_asked(share, epochs, expected):
    assert TrainerSettings(warmup=share).warmup_epochs(epochs) == expected
