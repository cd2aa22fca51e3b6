"""Options beside the loss: soft Dice, cross entropy, warm-up, average, bootstrapping."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

from anl_seg import losses
from anl_seg.trainers.averaging import WeightAverage

pytestmark = pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")

IGNORE = {"background": 0, "lesion": 1, "ignore": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
ANL = {"alpha": 2.0, "beta": 3.0}


def initialised(make_trainer, settings, **arguments):
    trainer = make_trainer({"loss_parameters": ANL, "seed": 1, **settings}, **arguments)
    trainer.enable_deep_supervision = False
    trainer.initialize()
    return trainer


def labels_and_logits(classes=2, highest=1, channels=None):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 8, 8, generator=generator, requires_grad=True)
    shape = (2, channels or 1, 8, 8)
    return torch.randint(0, highest + 1, shape, generator=generator), logits


def anl(logits, labels, ignore=None):
    return losses.create("anl-ce", ignore_index=ignore, **ANL)(logits, labels)


# Soft Dice and cross entropy beside the loss


def soft_dice(probabilities, one_hot, smooth=1e-5):
    """nnU-Net's: mean over images and classes, negative."""
    axes = (2, 3)
    both = (probabilities * one_hot).sum(axes)
    sizes = probabilities.sum(axes) + one_hot.sum(axes)
    return -((2 * both + smooth) / (sizes + smooth)).mean()


def test_dice_and_cross_entropy_are_added_with_their_weights(make_trainer):
    trainer = initialised(make_trainer, {"dice_weight": 0.5, "ce_weight": 0.25})
    labels, logits = labels_and_logits()
    foreground = logits.softmax(1)[:, 1:]
    expected = (
        anl(logits, labels[:, 0])
        + 0.5 * soft_dice(foreground, labels.float())
        + 0.25 * F.cross_entropy(logits, labels[:, 0])
    )
    assert trainer.loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_cross_entropy_leaves_out_ignored_pixels(make_trainer):
    trainer = initialised(make_trainer, {"ce_weight": 2.0}, labels=IGNORE)
    labels, logits = labels_and_logits(highest=2)
    expected = anl(logits, labels[:, 0], ignore=2)
    expected = expected + 2 * F.cross_entropy(logits, labels[:, 0], ignore_index=2)
    loss = trainer.loss(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert trainer.loss(logits, torch.full_like(labels, 2)).item() == 0
    loss.backward()
    assert logits.grad[(labels == 2).expand_as(logits)].abs().max() == 0


def test_cross_entropy_of_regions_is_binary(make_trainer):
    trainer = initialised(make_trainer, {"ce_weight": 2.0}, labels=REGIONS)
    target, logits = labels_and_logits(channels=3)
    target[:, 2] = 0  # nothing is ignored
    with_ce = trainer.loss(logits, target)
    plain = initialised(make_trainer, {}, labels=REGIONS).loss(logits, target)
    binary = F.binary_cross_entropy_with_logits(logits, target[:, :2].float())
    assert (with_ce - plain).item() == pytest.approx(2 * binary.item(), rel=1e-4)


# Warm-up


@pytest.mark.parametrize(("share", "epochs"), [(0.2, 2), (0.01, 1), (0.99, 9)])
def test_the_first_epochs_have_nnunets_own_loss(make_trainer, share, epochs):
    own = initialised(make_trainer, {"loss": "dice+ce", "loss_parameters": {}})
    trainer = initialised(make_trainer, {"warmup": share, "epochs": 10})
    trainer.logger.log = lambda *_: None
    labels, logits = labels_and_logits()
    for epoch in range(10):
        trainer.current_epoch = epoch
        trainer.on_train_epoch_start()
        expected = own.loss(logits, labels) if epoch < epochs else anl(logits, labels[:, 0])
        assert trainer.loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_warm_up_that_diverges_blames_no_term_of_the_robust_loss(
    make_trainer, make_batch, capsys
):
    trainer = make_trainer({"warmup": 0.5})
    trainer.initialize()
    batch = make_batch(trainer)
    batch["data"].fill_(float("nan"))
    with pytest.raises(SystemExit):
        trainer.train_step(batch)
    assert ": the loss (anl-ce); the images of this batch" in capsys.readouterr().err


# Bootstrapping


def bootstrapped(make_trainer, **arguments):
    settings = {"bootstrap": 0.3, "warmup": 0.5, "epochs": 2}
    trainer = initialised(make_trainer, settings, **arguments)
    trainer.loss.start_epoch(1)
    return trainer


def test_labels_are_mixed_with_the_prediction(make_trainer):
    trainer = bootstrapped(make_trainer)
    labels, logits = labels_and_logits()
    expected = 0.7 * anl(logits, labels[:, 0]) + 0.3 * anl(logits, logits.argmax(1))
    loss = trainer.loss(logits, labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    found, wanted = (torch.autograd.grad(value, logits)[0] for value in (loss, expected))
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():  # the validation compares with the labels as they are
        value = trainer.loss(logits.detach(), labels).item()
    assert value == pytest.approx(anl(logits, labels[:, 0]).item(), rel=1e-5)


def test_ignored_pixels_get_no_prediction(make_trainer):
    trainer = bootstrapped(make_trainer, labels=IGNORE)
    labels, logits = labels_and_logits(highest=2)
    trainer.loss(logits, labels).backward()
    ignored = (labels == 2).expand_as(logits)
    assert logits.grad[ignored].abs().max() == 0
    assert logits.grad[~ignored].abs().min() > 0


def test_regions_are_mixed_with_their_prediction(make_trainer):
    trainer = bootstrapped(make_trainer, labels=REGIONS)
    target, logits = labels_and_logits(channels=3)
    predicted = torch.cat([(logits > 0).long(), target[:, 2:]], dim=1)
    plain = initialised(make_trainer, {}, labels=REGIONS).loss
    expected = 0.7 * plain(logits, target) + 0.3 * plain(logits, predicted)
    assert trainer.loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


def test_nnunets_own_loss_is_bootstrapped_too(make_trainer):
    settings = {"loss": "dice+ce", "loss_parameters": {}}
    own = initialised(make_trainer, settings)
    trainer = initialised(make_trainer, {**settings, "bootstrap": 0.5, "warmup": 0.5, "epochs": 2})
    labels, logits = labels_and_logits()
    plain = own.loss(logits, labels).item()
    assert trainer.loss(logits, labels).item() == pytest.approx(plain)
    trainer.loss.start_epoch(1)
    predicted = own.loss(logits, logits.argmax(1, keepdim=True)).item()
    assert trainer.loss(logits, labels).item() == pytest.approx((plain + predicted) / 2)


@pytest.mark.parametrize("labels", [None, IGNORE, REGIONS])
def test_all_options_train_together_under_deep_supervision(make_trainer, make_batch, labels):
    options = {"dice_weight": 1.0, "ce_weight": 1.0, "warmup": 0.5, "ema": 0.9, "bootstrap": 0.3}
    trainer = make_trainer({**options, "epochs": 2, "seed": 1}, labels=labels, stages=4)
    trainer.initialize()
    trainer.logger.log = lambda *_: None
    batch = make_batch(trainer, channels=3 if labels is REGIONS else 1)
    for epoch in (0, 1):
        trainer.current_epoch = epoch
        trainer.on_train_epoch_start()
        values = [trainer.train_step(batch)["loss"] for _ in range(6)]
        assert values[-1] < values[0]


# Averaged weights


def test_the_average_is_a_loop_over_the_steps():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(3, dtype=torch.float64))
    average = WeightAverage([weight], decay=0.6)
    expected = None
    for step in range(20):
        with torch.no_grad():
            weight += torch.randn(3, dtype=torch.float64)
        average.update()
        decay = min(0.6, (1 + step) / (10 + step))
        now = weight.detach().clone()
        expected = now if expected is None else decay * expected + (1 - decay) * now
    before = weight.detach().clone()
    with average.in_place():
        torch.testing.assert_close(weight.detach(), expected)
    assert torch.equal(weight.detach(), before)


def weights(trainer):
    return torch.cat([value.detach().flatten() for value in trainer.network.parameters()])


def test_the_average_leaves_the_training_alone_and_goes_into_the_checkpoint(
    make_trainer, make_batch, tmp_path
):
    trainers = {}
    for ema in (0.0, 0.9):
        trainer = trainers[ema] = make_trainer({"seed": 1, "ema": ema})
        trainer.initialize()
        for step in range(3):
            trainer.train_step(make_batch(trainer, seed=step))
    plain, averaged = trainers.values()
    assert torch.equal(weights(plain), weights(averaged))
    path = str(tmp_path / "checkpoint.pth")
    averaged.save_checkpoint(path)
    assert torch.equal(weights(plain), weights(averaged))
    with averaged.average.in_place():
        expected = averaged.network.state_dict()
        saved = torch.load(path, weights_only=False)["network_weights"]
        assert all(torch.equal(saved[key], value) for key, value in expected.items())
        assert not torch.equal(weights(plain), weights(averaged))
    again = make_trainer({"seed": 1, "ema": 0.9})
    again.load_checkpoint(path)
    for trainer in (averaged, again):  # both the weights and the average go on
        trainer.train_step(make_batch(trainer, seed=7))
    assert torch.equal(weights(averaged), weights(again))
    with averaged.average.in_place(), again.average.in_place():
        assert torch.equal(weights(averaged), weights(again))


def test_a_checkpoint_before_the_first_step(make_trainer, make_batch, tmp_path):
    trainer = make_trainer({"seed": 1, "ema": 0.9})
    trainer.initialize()
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    again = make_trainer({"seed": 1, "ema": 0.9})
    again.load_checkpoint(str(tmp_path / "checkpoint.pth"))
    assert torch.equal(weights(trainer), weights(again))
    again.train_step(make_batch(again))


def test_validation_uses_the_average(make_trainer, make_batch, monkeypatch):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    trainer = make_trainer({"seed": 1, "ema": 0.9})
    trainer.initialize()
    for step in range(3):
        trainer.train_step(make_batch(trainer, seed=step))
    trained = weights(trainer)
    with trainer.average.in_place():
        average = weights(trainer)
    seen = []

    def look(self, *_):
        seen.append(weights(self))

    monkeypatch.setattr(nnUNetTrainer, "validation_step", look)
    monkeypatch.setattr(nnUNetTrainer, "on_validation_epoch_end", look)
    monkeypatch.setattr(nnUNetTrainer, "perform_actual_validation", look)
    monkeypatch.setattr(trainer, "_clean_masks", lambda *_: None)
    monkeypatch.setattr(trainer, "_look_for_trouble", lambda *_: None)
    trainer.on_validation_epoch_start()
    trainer.validation_step({})
    trainer.on_validation_epoch_end([{"tp_hard": 0, "fp_hard": 0, "fn_hard": 0}])
    assert torch.equal(weights(trainer), trained)
    trainer.perform_actual_validation()
    assert torch.equal(weights(trainer), trained)
    assert len(seen) == 3
    assert all(torch.equal(each, average) for each in seen)
