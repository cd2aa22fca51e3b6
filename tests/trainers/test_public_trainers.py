"""The public trainers, one a loss; T-Loss's own parameter; regions; precision; broken losses."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from anl_seg import bf16, losses
from anl_seg.trainers.diagnosis import explain_divergence
from anl_seg.trainers.settings import TrainerSettings
from anl_seg.trainers.trainer import MOST_LEFT_OUT

pytestmark = pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")

TRAINERS = {
    "nnUNetTrainerANL": "anl-ce",
    "nnUNetTrainerANL_FL": "anl-fl",
    "nnUNetTrainerANL_CE_Star": "anl-ce*",
    "nnUNetTrainerANL_FL_Star": "anl-fl*",
    "nnUNetTrainerCE": "ce",
    "nnUNetTrainerGCE": "gce",
    "nnUNetTrainerMAE": "mae",
    "nnUNetTrainerSCE": "sce",
    "nnUNetTrainerAPL": "nce+rce",
    "nnUNetTrainerTLoss": "t-loss",
}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}


@pytest.mark.parametrize(("name", "loss"), TRAINERS.items())
def test_every_trainer_trains_its_loss(make_trainer, make_batch, name, loss):
    trainer = make_trainer(name=name)
    trainer.initialize()
    assert trainer.settings.loss == trainer.robust_loss.name == loss
    batch = make_batch(trainer)
    with torch.no_grad():
        output = trainer.network(batch["data"])
    # of the two scales nnU-Net counts the first alone
    expected = losses.create(loss, **trainer.settings.loss_parameters)(
        output[0], batch["target"][0][:, 0].long()
    )
    assert trainer.train_step(batch)["loss"] == pytest.approx(expected.item(), rel=1e-4)
    with torch.no_grad():
        assert math.isfinite(trainer.validation_step(make_batch(trainer, seed=1))["loss"])


def test_a_trainer_refuses_plans_with_another_loss(make_trainer, capsys):
    with pytest.raises(SystemExit) as stop:
        make_trainer({"loss": "gce"}, name="nnUNetTrainerMAE").initialize()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "ask for the loss 'gce', but nnUNetTrainerMAE trains 'mae'" in error
    assert error.count("\n") == 1


def test_plans_without_a_loss_leave_it_to_the_trainer(make_trainer):
    trainer = make_trainer({"epochs": 3}, name="nnUNetTrainerGCE")
    assert (trainer.settings.loss, trainer.settings.epochs) == ("gce", 3)


@pytest.mark.parametrize("loss", ["anl-ce", "t-loss", "anl-fl*", "nce+rce"])
@pytest.mark.parametrize("dice_weight", [0.0, 1.0])
@pytest.mark.parametrize("deep", [True, False])
def test_regions_with_ignore_label(make_trainer, make_batch, loss, dice_weight, deep):
    trainer = make_trainer({"loss": loss, "dice_weight": dice_weight}, labels=REGIONS)
    trainer.enable_deep_supervision = deep
    trainer.initialize()
    batch = make_batch(trainer, channels=3)
    values = [trainer.train_step(batch)["loss"] for _ in range(8)]
    assert values[-1] < values[0]
    with torch.no_grad():
        result = trainer.validation_step(make_batch(trainer, seed=1, channels=3))
    assert result["tp_hard"].shape == (2,)


# T-Loss's own parameter


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 1.0), ("adam", 1e-3)])
def test_nu_is_trained_at_its_own_rate_whatever_the_schedule(
    make_trainer, make_batch, optimizer, rate
):
    trainer = make_trainer({"loss": "t-loss", "optimizer": optimizer, "epochs": 10})
    trainer.initialize()
    network, own = trainer.optimizer.param_groups
    assert own["params"] == [trainer.robust_loss.log_nu]
    assert own["weight_decay"] == 0
    before = trainer.robust_loss.log_nu.item()
    rates = []
    for epoch in (0, 5, 9):
        trainer.current_epoch = epoch
        trainer.logger.log = lambda *_: None
        trainer.on_train_epoch_start()
        trainer.train_step(make_batch(trainer))
        rates.append(network["lr"])
        assert own["lr"] == rate
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]
    assert trainer.robust_loss.log_nu.item() != before


def test_nu_comes_back_with_a_checkpoint(make_trainer, make_batch, tmp_path):
    trainer = make_trainer({"loss": "t-loss"})
    trainer.initialize()
    trainer.train_step(make_batch(trainer))
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    again = make_trainer({"loss": "t-loss"})
    again.load_checkpoint(str(tmp_path / "checkpoint.pth"))
    assert again.robust_loss.log_nu.item() == trainer.robust_loss.log_nu.item()
    assert again.robust_loss.log_nu.item() != losses.create("t-loss").log_nu
    for one in (trainer, again):
        one.train_step(make_batch(one, seed=3))
    assert again.robust_loss.log_nu.item() == trainer.robust_loss.log_nu.item()  # momentum too


def test_nu_is_clipped_apart(make_trainer, make_batch):
    trainer = make_trainer({"loss": "t-loss"})
    trainer.initialize()
    trainer.train_step(make_batch(trainer))  # gradients exist
    log_nu = trainer.robust_loss.log_nu
    log_nu.grad.fill_(50.0)
    before = [p.grad.clone() for p in trainer.network.parameters() if p.grad is not None]
    trainer._complete_gradients()
    assert log_nu.grad.item() == pytest.approx(1.0, rel=1e-4)
    after = [p.grad for p in trainer.network.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


# A loss that is not finite


def stopped(trainer, batch, capsys):
    """The message of a step that is not finite."""
    with pytest.raises(SystemExit) as stop:
        trainer.train_step(batch)
    assert stop.value.code == 2
    error = capsys.readouterr().err.removeprefix("nnUNetTrainerANL: error: ").strip()
    assert error in Path(trainer.log_file).read_text()
    return error


def test_a_broken_image_is_named(make_trainer, make_batch, capsys):
    trainer = make_trainer({"loss": "gce", "iterations": 7})
    trainer.initialize()
    trainer.current_epoch = 3
    trainer.train_step(make_batch(trainer))
    assert not trainer.loss.loss.seen  # nothing is kept from step to step
    batch = make_batch(trainer) | {"keys": ["whole", "broken"]}
    batch["data"][1, 0, 5, 5] = math.nan
    error = stopped(trainer, batch, capsys)
    assert "not finite in epoch 3, iteration 2 of 7: the network's output at 32x32" in error
    assert "(gce)" in error
    assert "the images of broken contain values that are not finite" in error


def test_single_steps_that_overflow_float16_are_left_out(make_trainer, make_batch, capsys):
    trainer = make_trainer({"loss": "gce"})
    trainer.initialize()
    trainer.grad_scaler = torch.amp.GradScaler("cpu", enabled=False)
    broken = make_batch(trainer)
    broken["data"][1, 0, 5, 5] = math.nan
    whole = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for _ in range(MOST_LEFT_OUT):
        trainer.train_step(broken)
        trainer.network.load_state_dict(whole)  # as if the scaler had left the step out
    trainer.train_step(make_batch(trainer))
    for _ in range(MOST_LEFT_OUT):
        trainer.train_step(broken)
        trainer.network.load_state_dict(whole)
    assert "not finite" in stopped(trainer, broken, capsys)


def test_a_diverged_training_says_what_to_try(make_trainer, make_batch, capsys):
    trainer = make_trainer({"loss": "t-loss", "dice_weight": 1.0})
    trainer.initialize()
    with torch.no_grad():
        trainer.robust_loss.log_nu.fill_(math.nan)
    error = stopped(trainer, make_batch(trainer), capsys)
    assert "the robust loss at 32x32 and trained parameter of the loss (t-loss);" in error
    assert "try --optimizer adam, a smaller --dice-weight." in error


def test_the_term_that_is_not_finite_is_named(make_trainer, make_batch, capsys):
    trainer = make_trainer({"loss_parameters": {"alpha": 1.0, "beta": 1e38}})
    trainer.initialize()
    error = stopped(trainer, make_batch(trainer), capsys)
    assert ": the passive term at 32x32 (anl-ce);" in error


@pytest.mark.parametrize(
    ("device", "precision_", "advice"),
    [
        ("cpu", "float32", None),
        ("cpu", "bf16", "--precision float32"),
        ("cuda", "float32", "--precision bf16 in place of nnU-Net's float16"),
        ("cuda", "bf16", None),
        ("mps", "float32", None),
    ],
)
def test_the_advice_fits_the_device(device, precision_, advice):
    settings = TrainerSettings(optimizer="adam", precision=precision_)
    text = explain_divergence([], torch.zeros(1, 1, 2, 2), [], settings, device)
    assert "try --optimizer sgd, a smaller --alpha, a smaller --beta" in text
    assert (advice in text) if advice else ("--precision" not in text)


# Precision


def test_bf16_where_the_processor_has_it(make_trainer, make_batch, monkeypatch, tmp_path):
    flags = tmp_path / "cpuinfo"
    flags.write_text("processor : 0\nflags\t\t: fpu avx512f amx_bf16\n")
    monkeypatch.setattr(bf16, "CPUINFO", flags)
    steps = {}
    for name in ("float32", "bf16"):
        for loss in ("anl-ce", "dice+ce"):
            trainer = make_trainer({"precision": name, "loss": loss, "seed": 1})
            trainer.initialize()
            steps[name, loss] = trainer.train_step(make_batch(trainer))["loss"]
            with torch.no_grad():
                trainer.validation_step(make_batch(trainer))
            assert {p.dtype for p in trainer.network.parameters()} == {torch.float32}
    for loss in ("anl-ce", "dice+ce"):
        assert steps["bf16", loss] == pytest.approx(steps["float32", loss], rel=0.02)
        assert steps["bf16", loss] != steps["float32", loss]


@pytest.mark.parametrize("text", ["flags : fpu avx2 avx512f\n", "nothing of the kind\n"])
def test_bf16_elsewhere_is_refused(make_trainer, monkeypatch, tmp_path, capsys, text):
    flags = tmp_path / "cpuinfo"
    flags.write_text(text)
    monkeypatch.setattr(bf16, "CPUINFO", flags)
    with pytest.raises(SystemExit) as stop:
        make_trainer({"precision": "bf16"}).on_train_start()
    assert stop.value.code == 2
    assert "use --precision float32" in capsys.readouterr().err


def test_optimizer_and_dice_weight_come_from_the_plans(make_trainer):
    trainer = make_trainer({"optimizer": "adam", "dice_weight": 0.25, "delta": 1e-5})
    trainer.initialize()
    assert isinstance(trainer.optimizer, torch.optim.Adam)
    (group,) = trainer.optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (1e-3, 0)
    assert trainer.loss.loss.dice_weight == 0.25


# nnUNet_compile


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own
def test_a_compiled_network_trains_to_the_same_weights(
    make_trainer, make_batch, monkeypatch, tmp_path
):
    # nnU-Net compiles on GPUs only; the eager backend captures the same graphs without a compiler
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    settings = {"loss": "t-loss", "dice_weight": 1.0, "delta": 1e-4, "seed": 1}
    found = {}
    for compiled in (False, True):
        trainer = make_trainer(settings)
        monkeypatch.setattr(trainer, "_do_i_compile", lambda compiled=compiled: compiled)
        trainer.initialize()
        assert (type(trainer.network).__name__ == "OptimizedModule") == compiled
        batch = make_batch(trainer)
        values = [float(trainer.train_step(batch)["loss"]) for _ in range(2)]
        trainer.save_checkpoint(str(tmp_path / f"{compiled}.pth"))
        found[compiled] = values, torch.load(tmp_path / f"{compiled}.pth", weights_only=False)
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-5)
    plain, captured = (found[each][1]["network_weights"] for each in (False, True))
    assert plain.keys() == captured.keys()
    for key, value in plain.items():
        torch.testing.assert_close(captured[key], value, rtol=1e-4, atol=1e-6)
    again = make_trainer(settings)  # a checkpoint of a compiled run continues without it
    again.load_checkpoint(str(tmp_path / "True.pth"))
    assert again.robust_loss.log_nu.item() == trainer.robust_loss.log_nu.item()
