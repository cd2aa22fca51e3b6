"""The trainer against formulas written out here and against nnU-Net's own behaviour."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:.*plans.*:DeprecationWarning")


def anl_ce(logits, labels, alpha, beta, ignore=None, p_min=1e-7):
    """ANL-CE by the paper's eq. 3, 8 and 11 in float64, a loop over pixels."""
    logits = logits.detach().double().numpy()
    values = []
    for index in np.ndindex(labels.shape):
        y = int(labels[index])
        if y == ignore:
            continue
        z = logits[(index[0], slice(None), *index[1:])]
        log_p = z - z.max() - math.log(np.exp(z - z.max()).sum())
        clipped = np.maximum(log_p, math.log(p_min)) - math.log(p_min)
        values.append(alpha * log_p[y] / log_p.sum() + beta * (1 - clipped[y] / clipped.sum()))
    return np.mean(values)


def outputs_and_targets(trainer, classes, seed=0, ignore=None):
    """One output and one target per scale, as nnU-Net's network and loader give them."""
    generator = torch.Generator().manual_seed(seed)
    patch = trainer.configuration_manager.patch_size
    scales = trainer._get_deep_supervision_scales()
    shapes = [[round(side * f) for side, f in zip(patch, scale, strict=True)] for scale in scales]
    outputs = [
        torch.randn(2, classes, *shape, generator=generator, requires_grad=True) for shape in shapes
    ]
    highest = classes if ignore is None else classes + 1
    targets = [
        torch.randint(0, highest, (2, 1, *shape), generator=generator).to(torch.int16)
        for shape in shapes
    ]
    return outputs, targets


@pytest.mark.parametrize(("dimensions", "classes"), [(2, 2), (2, 4), (3, 3)])
def test_loss_is_anl_ce_with_nnunets_deep_supervision_weights(make_trainer, dimensions, classes):
    settings = {"loss": "anl-ce", "loss_parameters": {"alpha": 2.0, "beta": 3.0}}
    labels = {"background": 0} | {f"class {k}": k for k in range(1, classes)}
    trainer = make_trainer(settings, labels=labels, dimensions=dimensions, patch=[16] * dimensions)
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, classes)
    # two scales, weights 1/2^i, the lowest one 0: nnU-Net's rule leaves the first alone
    assert len(outputs) == 2
    expected = anl_ce(outputs[0], targets[0][:, 0], 2, 3)
    assert trainer.loss(outputs, targets).item() == pytest.approx(expected, rel=1e-5)


def test_three_scales_are_weighted_two_to_one(make_trainer):
    trainer = make_trainer({"loss_parameters": {"alpha": 1.0, "beta": 1.0}}, stages=4)
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, 2)
    each = [
        anl_ce(output, target[:, 0], 1, 1) for output, target in zip(outputs, targets, strict=True)
    ]
    expected = (2 * each[0] + each[1]) / 3
    assert trainer.loss(outputs, targets).item() == pytest.approx(expected, rel=1e-5)


def test_under_ddp_the_lowest_scale_keeps_nnunets_tiny_weight(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    trainer.is_ddp = True
    assert trainer._build_loss().weight_factors[-1] == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize("loss", ["anl-ce", "dice+ce"])
def test_a_single_scale_gets_all_the_weight(make_trainer, loss):
    trainer = make_trainer({"loss": loss}, stages=2)
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, 2)
    assert len(outputs) == 1
    assert trainer.loss(outputs, targets).item() == pytest.approx(
        trainer.loss.loss(outputs[0], targets[0]).item()
    )


def test_without_deep_supervision_the_loss_takes_one_output(make_trainer):
    trainer = make_trainer({"loss_parameters": {"alpha": 5.0, "beta": 5.0}})
    trainer.enable_deep_supervision = False
    trainer.initialize()
    logits = torch.randn(2, 2, 8, 8)
    target = torch.randint(0, 2, (2, 1, 8, 8)).float()
    expected = anl_ce(logits, target[:, 0], 5, 5)
    assert trainer.loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_ignored_pixels_do_not_count(make_trainer):
    trainer = make_trainer(
        {"loss_parameters": {"alpha": 1.0, "beta": 2.0}},
        labels={"background": 0, "lesion": 1, "ignore": 2},
    )
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, 2, ignore=2)
    assert (targets[0] == 2).any()
    expected = anl_ce(outputs[0], targets[0][:, 0], 1, 2, ignore=2)
    loss = trainer.loss(outputs, targets)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    ignored = (targets[0] == 2).expand_as(outputs[0])
    assert outputs[0].grad[ignored].abs().max() == 0
    assert outputs[0].grad[~ignored].abs().min() > 0


def test_a_patch_that_is_ignored_altogether_gives_zero_with_a_graph(make_trainer):
    trainer = make_trainer(labels={"background": 0, "lesion": 1, "ignore": 2})
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, 2)
    loss = trainer.loss(outputs, [torch.full_like(target, 2) for target in targets])
    assert loss.item() == 0
    loss.backward()
    assert outputs[0].grad.abs().max() == 0


def test_the_loss_is_float32_under_autocast(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    outputs, targets = outputs_and_targets(trainer, 2)
    halves = [output.detach().bfloat16() for output in outputs]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = trainer.loss(halves, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(
        trainer.loss([half.float() for half in halves], targets).item(), rel=1e-6
    )


def test_nnunets_own_loss_is_left_alone(make_trainer):
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss

    trainer = make_trainer({"loss": "dice+ce"})
    trainer.initialize()
    assert isinstance(trainer.loss.loss, DC_and_CE_loss)


def test_schedule_comes_from_the_plans(make_trainer):
    trainer = make_trainer({"epochs": 7, "iterations": 30})
    trainer.initialize()
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch) == (7, 30)
    assert trainer.num_val_iterations_per_epoch == 6
    assert trainer.lr_scheduler.max_steps == 7


def test_defaults_are_nnunets_schedule(make_trainer):
    trainer = make_trainer()
    trainer.initialize()
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch) == (1000, 250)
    assert trainer.num_val_iterations_per_epoch == 50
    assert trainer.weight_decay == 3e-5


def test_a_seed_gives_the_same_weights_for_every_loss(make_trainer):
    def weights(**settings):
        trainer = make_trainer({**settings})
        trainer.initialize()
        return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])

    assert torch.equal(weights(seed=3), weights(seed=3, loss="dice+ce"))
    assert not torch.equal(weights(seed=3), weights(seed=4))


def batch(trainer, seed=0):
    _, targets = outputs_and_targets(trainer, 2, seed)
    generator = torch.Generator().manual_seed(seed)
    return {"data": torch.randn(2, 1, 32, 32, generator=generator), "target": targets}


def test_l1_is_added_once_per_step_and_not_in_validation(make_trainer):
    delta = 0.01
    steps = {}
    for name, settings in {"plain": {}, "l1": {"delta": delta}}.items():
        trainer = make_trainer({"seed": 1, **settings}, stages=4)
        trainer.initialize()
        trainer.optimizer.param_groups[0].update(
            momentum=0.0, nesterov=False, weight_decay=0.0, lr=0.1
        )
        before = [p.detach().clone() for p in trainer.network.parameters()]
        result = trainer.train_step(batch(trainer))
        after = [p.detach() for p in trainer.network.parameters()]
        moved = [b - a for b, a in zip(before, after, strict=True)]
        with torch.no_grad():
            validation = trainer.validation_step(batch(trainer, seed=5))
        steps[name] = before, moved, result["loss"], validation["loss"]
    before, plain, plain_loss, _ = steps["plain"]
    _, with_l1, l1_loss, _ = steps["l1"]
    assert l1_loss == plain_loss
    used = [i for i, step in enumerate(plain) if step.abs().max() > 0]
    assert used
    for i in used:
        expected = plain[i] + 0.1 * delta * before[i].sign()
        torch.testing.assert_close(with_l1[i], expected, rtol=1e-4, atol=1e-7)


def test_l1_replaces_weight_decay(make_trainer):
    trainer = make_trainer({"delta": 1e-5})
    trainer.initialize()
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0


def test_training_steps_lower_the_loss(make_trainer):
    trainer = make_trainer({"seed": 0})
    trainer.initialize()
    one_batch = batch(trainer)  # then made learnable: the lesion is the bright right half
    one_batch["data"][..., 16:] += 3
    for target in one_batch["target"]:
        target[:] = torch.arange(target.shape[-1]) >= target.shape[-1] // 2
    losses = [trainer.train_step(one_batch)["loss"] for _ in range(15)]
    assert losses[-1] < 0.9 * losses[0]


def test_settings_travel_in_the_checkpoint_and_are_checked(make_trainer, tmp_path, capsys):
    settings = {"loss": "anl-ce", "loss_parameters": {"alpha": 2.0}, "epochs": 3, "seed": 1}
    trainer = make_trainer(settings)
    trainer.initialize()
    path = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(path)

    carried = torch.load(path, weights_only=False)["init_args"]["plans"]["anl_seg"]
    assert carried["loss_parameters"] == {"alpha": 2.0, "beta": 5.0, "p_min": 1e-7}

    again = make_trainer(settings)
    again.load_checkpoint(path)
    for p, q in zip(trainer.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(p, q)

    other = make_trainer({**settings, "epochs": 4})
    with pytest.raises(SystemExit) as stop:
        other.load_checkpoint(path)
    assert stop.value.code == 2
    assert "epochs is 4, was 3" in capsys.readouterr().err


def test_another_batch_size_is_another_run(make_trainer, tmp_path, capsys):
    trainer = make_trainer()
    trainer.initialize()
    path = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(path)
    other = make_trainer()
    other.plans_manager.plans["configurations"]["hand"]["batch_size"] = 4
    with pytest.raises(SystemExit) as stop:
        other.load_checkpoint(path)
    assert stop.value.code == 2
    assert "batch_size is 4, was 2" in capsys.readouterr().err


def test_what_a_configuration_inherits_counts_too(make_trainer, tmp_path, capsys):
    # as the cascade inherits from 3d_fullres
    def cascade(batch_size):
        trainer = make_trainer()
        configurations = trainer.plans_manager.plans["configurations"]
        configurations["parent"] = configurations["hand"] | {"batch_size": batch_size}
        configurations["hand"] = {"inherits_from": "parent"}
        return trainer

    trainer = cascade(2)
    trainer.initialize()
    path = str(tmp_path / "checkpoint.pth")
    trainer.save_checkpoint(path)
    cascade(2).load_checkpoint(path)
    with pytest.raises(SystemExit) as stop:
        cascade(4).load_checkpoint(path)
    assert stop.value.code == 2
    assert "batch_size is 4, was 2" in capsys.readouterr().err


def test_a_run_killed_while_saving_keeps_the_previous_checkpoint(
    make_trainer, tmp_path, monkeypatch
):
    trainer = make_trainer()
    trainer.initialize()
    path = tmp_path / "checkpoint.pth"
    trainer.save_checkpoint(str(path))
    whole = path.read_bytes()

    def half(checkpoint, file):
        with open(file, "wb") as stream:
            stream.write(b"half a checkpoint")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            trainer.save_checkpoint(str(path))
    assert path.read_bytes() == whole
    assert list(tmp_path.glob(".partial*")) == []


def test_checkpoints_can_be_switched_off(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.initialize()
    trainer.disable_checkpointing = True
    trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
    assert not (tmp_path / "checkpoint.pth").exists()


def test_wrong_settings_are_one_line_and_exit_code_2(make_trainer, capsys):
    trainer = make_trainer({"loss": "anl-cee"})
    with pytest.raises(SystemExit) as stop:
        trainer.initialize()
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "unknown loss 'anl-cee'" in message
    assert "did you mean anl-ce" in message


def test_settings_are_logged(make_trainer):
    from pathlib import Path

    trainer = make_trainer({"loss_parameters": {"alpha": 4.0}, "seed": 9})
    trainer.initialize()
    text = Path(trainer.log_file).read_text()
    assert "seed 9" in text
    assert "alpha=4.0" in text


def test_a_subclass_keeps_its_own_schedule(make_trainer):
    trainer = make_trainer()
    trainer.num_epochs = 12  # as nnU-Net's variants set it in their constructor
    trainer.initialize()
    assert trainer.num_epochs == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 2}, "the seed fixes the weights but not the order of the data"),
        ({"protocol": "isic2017", "iterations": 1}, "an epoch has some cases twice"),
    ],
)
def test_effects_of_several_loading_processes_are_logged(
    make_trainer, monkeypatch, settings, message
):
    from pathlib import Path

    for processes, said in (("0", False), ("2", True)):
        monkeypatch.setenv("nnUNet_n_proc_DA", processes)
        trainer = make_trainer(settings)
        trainer.log_file = trainer.log_file.replace(".txt", f"_{processes}.txt")
        trainer.initialize()
        assert (message in Path(trainer.log_file).read_text()) == said


def test_two_plans_leave_two_folders_of_results(nnunet_folders, make_trainer):
    from anl_seg.trainers.plans import write_plans
    from anl_seg.trainers.settings import TrainerSettings

    (base,) = (nnunet_folders / "nnUNet_preprocessed").iterdir()
    folders = set()
    for seed in (1, 2):
        plans = write_plans(base, "nnUNetPlans", f"seed{seed}", TrainerSettings(seed=seed))
        trainer = make_trainer(plans=plans)
        assert trainer.settings.seed == seed
        folders.add(trainer.output_folder)
    assert len(folders) == 2
