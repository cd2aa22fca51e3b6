"""The training step against the published one, written out: one-hot loss, L1 by autograd, SGD."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from anl_seg.classification import run_files, training
from anl_seg.classification.distributed import Ranks
from anl_seg.classification.gradients import largest_gradients
from anl_seg.classification.inputs import make_batches
from anl_seg.classification.protocols import PROTOCOLS
from anl_seg.classification.schedules import Exponential
from anl_seg.datasets.classification import ImageArrays
from anl_seg.losses import Preset
from anl_seg.noise import labels as label_noise

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
PROTOCOL = PROTOCOLS["digits"]


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )


def batch(seed=0, n=16):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 1, 8, 8, generator=generator)
    return images, torch.randint(10, (n,), generator=generator)


def learner(loss="anl-ce", preset=None, protocol=PROTOCOL, **options):
    preset = preset or Preset({"alpha": 5.0, "beta": 5.0}, delta=5e-5)
    return training.make_learner(network(), loss, preset, protocol, device=CPU, **options)


def published_anl_ce(logits, labels, alpha, beta, p_min):
    """Equations 2, 7 to 9 and 11 with a one-hot matrix."""
    one_hot = functional.one_hot(labels, logits.shape[1]).float()
    log_p = functional.log_softmax(logits, 1)
    active = -(one_hot * log_p).sum(1) / -log_p.sum(1)
    largest = -np.log(p_min)
    flipped = largest + functional.softmax(logits, 1).clamp(min=p_min).log()
    passive = 1 - (one_hot * flipped).sum(1) / flipped.sum(1)
    return (alpha * active + beta * passive).mean()


def test_steps_are_those_of_the_published_training():
    l1, rate, momentum, bound = 1e-2, 0.05, 0.9, 0.2
    protocol = dataclasses.replace(PROTOCOL, learning_rate=rate, clip_norm=bound)
    ours = learner(preset=Preset({"alpha": 5.0, "beta": 5.0}, delta=l1), protocol=protocol)
    reference = network()
    weights = list(reference.parameters())
    velocities = [torch.zeros_like(weight) for weight in weights]
    clipped = 0
    for number in range(5):
        images, labels = batch(number)
        ours.step(images, labels)
        loss = published_anl_ce(reference(images), labels, 5.0, 5.0, 1e-7)
        penalty = sum(weight.abs().sum() for weight in weights)
        gradients = torch.autograd.grad(loss + l1 * penalty, weights)
        norm = sum(gradient.square().sum() for gradient in gradients).sqrt()
        clipped += norm > bound
        with torch.no_grad():
            for weight, gradient, velocity in zip(weights, gradients, velocities, strict=True):
                velocity.mul_(momentum).add_(gradient * min(1.0, bound / (norm + 1e-6)))
                weight.sub_(rate * velocity)
    assert clipped >= 2  # the bound was felt
    for found, expected in zip(ours.model.parameters(), weights, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-6)


def test_l1_is_clipped():
    protocol = dataclasses.replace(PROTOCOL, learning_rate=1.0, momentum=0.0, clip_norm=0.5)
    ours = learner(preset=Preset(delta=10.0), protocol=protocol)
    before = nn.utils.parameters_to_vector(ours.model.parameters()).clone()
    ours.step(*batch())
    step = nn.utils.parameters_to_vector(ours.model.parameters()) - before
    assert step.norm().item() == pytest.approx(0.5, rel=1e-4)


def test_weight_decay_is_not_clipped():
    protocol = dataclasses.replace(PROTOCOL, learning_rate=1.0, momentum=0.0, clip_norm=1e-9)
    ours = learner(preset=Preset(l2=0.1), protocol=protocol)
    before = nn.utils.parameters_to_vector(ours.model.parameters()).clone()
    ours.step(*batch())
    after = nn.utils.parameters_to_vector(ours.model.parameters())
    torch.testing.assert_close(after, 0.9 * before, rtol=1e-5, atol=1e-6)


def test_the_jacobian_penalty_is_half_delta_times_the_squared_norm():
    # A linear network, whose Jacobian is its weight, and each direction one of two unit vectors.
    delta, rate = 3.0, 0.1
    protocol = dataclasses.replace(PROTOCOL, learning_rate=rate, momentum=0.0, clip_norm=1e9)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    before = model[1].weight.detach().clone()
    ours, plain = (
        training.make_learner(copy.deepcopy(model), "ce", preset, protocol, device=CPU)
        for preset in (Preset(jacobian=delta), Preset())
    )
    images, labels = batch(n=20_000)
    labels = labels % 2
    torch.manual_seed(1)
    ours.step(images, labels)
    plain.step(images, labels)
    found = (plain.model[1].weight - ours.model[1].weight) / rate
    torch.testing.assert_close(found, delta * before, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("penalty", [{"delta": 1.0}, {"jacobian": 1.0}])
def test_the_reported_loss_has_no_penalty(penalty):
    with_penalty, without = learner(preset=Preset(**penalty)), learner(preset=Preset())
    images, labels = batch()
    assert with_penalty.step(images, labels)[0] == without.step(images, labels)[0]


def test_logits_are_those_before_the_step():
    ours = learner()
    images, labels = batch()
    expected = network()(images)
    torch.testing.assert_close(ours.step(images, labels)[1], expected)


def test_a_network_with_a_jacobian_penalty_is_not_compiled():
    plain, compiled = (learner(preset=Preset(jacobian=1.0), compiled=c) for c in (False, True))
    losses = []
    for ours in (plain, compiled):
        torch.manual_seed(0)  # of the random directions
        ours.step(*batch())
        losses.append(ours.step(*batch())[0])
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_compiled_is_the_same():
    plain, compiled = learner(), learner(compiled=True)
    for number in range(2):
        loss, _ = plain.step(*batch(number))
        loss_compiled, _ = compiled.step(*batch(number))
        torch.testing.assert_close(loss, loss_compiled, rtol=1e-4, atol=1e-5)


def test_bf16_keeps_weights_in_float32():
    ours = learner(precision="bf16")
    loss, _ = ours.step(*batch())
    assert loss.dtype == torch.float32
    assert {parameter.dtype for parameter in ours.model.parameters()} == {torch.float32}
    assert loss == pytest.approx(learner().step(*batch())[0].item(), rel=0.05)


def test_learning_rate_follows_the_schedule():
    protocol = dataclasses.replace(PROTOCOL, learning_rate=0.4, schedule=Exponential(0.5))
    ours = learner(protocol=protocol)
    assert training.set_learning_rate(ours, protocol, 2) == pytest.approx(0.1)
    assert ours.optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_a_learning_rate_on_the_device_changes_in_place():
    # a CUDA graph reads it from this tensor
    ours = dataclasses.replace(learner(), rate=torch.tensor(9.0))
    training.set_learning_rate(ours, PROTOCOL, 0)
    assert ours.optimizer.param_groups[0]["lr"] is ours.rate
    assert ours.rate.item() == pytest.approx(PROTOCOL.learning_rate)


def test_a_checkpoint_of_another_device_keeps_the_options_of_this_one(tmp_path):
    # a CUDA graph cannot record an optimiser that is not fused, because it waits for the rate
    ours, of_a_cpu = learner(), learner()
    ours = dataclasses.replace(ours, rate=torch.tensor(9.0))
    ours.optimizer.param_groups[0] |= {"fused": True, "lr": ours.rate}
    of_a_cpu.step(*batch())
    run_files.save_checkpoint(tmp_path, of_a_cpu, [])
    assert run_files.load_checkpoint(tmp_path, ours) == []
    (options,) = ours.optimizer.param_groups
    training.set_learning_rate(ours, PROTOCOL, 0)
    assert options["fused"] is True
    assert options["lr"] is ours.rate
    for own, theirs in zip(options["params"], of_a_cpu.model.parameters(), strict=True):
        expected = of_a_cpu.optimizer.state[theirs]["momentum_buffer"]
        assert torch.equal(ours.optimizer.state[own]["momentum_buffer"], expected)


def test_a_gpu_that_fails_makes_no_checkpoint_damaged(tmp_path):
    """The advice for a damaged one is to delete it, and a full GPU raises the same error."""
    ours, of_a_full_gpu = learner(), dataclasses.replace(learner(), device=GPU)
    ours.step(*batch())
    run_files.save_checkpoint(tmp_path, ours, [])
    assert run_files.load_checkpoint(tmp_path, of_a_full_gpu) == []
    loaded = of_a_full_gpu.model.state_dict()
    for name, weight in ours.model.state_dict().items():
        assert torch.equal(loaded[name], weight)


def small_data(n=50):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 8, 8, 1), dtype=np.uint8)
    y = np.arange(n) % 10
    return ImageArrays("small", x, y, x[:20], y[:20], tuple("0123456789"), np.arange(n))


def batches(data, protocol=PROTOCOL, eta=0.4):
    noisy = label_noise.draw(data.y_train, kind="symmetric", n_classes=10, eta=eta, seed=1)
    return make_batches(data, noisy, protocol, seed=1, device=CPU, ranks=Ranks())


def test_accuracies_of_clean_and_mislabelled_images_are_counted_apart():
    ours = learner(protocol=dataclasses.replace(PROTOCOL, learning_rate=0.0))
    data = batches(small_data())
    hits = {False: [], True: []}
    torch.manual_seed(0)
    model = network().train()
    losses = []
    for images, labels, mislabelled in data.training(0):
        logits = model(images)
        losses.append(published_anl_ce(logits, labels, 5.0, 5.0, 1e-7).item() * len(labels))
        for hit, wrong in zip(logits.argmax(1) == labels, mislabelled, strict=True):
            hits[bool(wrong)].append(float(hit))
    scores = training.train_epoch(ours, data, seed=1, epoch=0)
    assert len(hits[True]) == 20
    assert scores.clean_accuracy == pytest.approx(np.mean(hits[False]))
    assert scores.mislabelled_accuracy == pytest.approx(np.mean(hits[True]))
    assert scores.loss == pytest.approx(sum(losses) / 50, rel=1e-5)


def test_without_noise_there_is_no_accuracy_of_mislabelled_images():
    scores = training.train_epoch(learner(), batches(small_data(), eta=0.0), seed=1, epoch=0)
    assert scores.mislabelled_accuracy is None
    assert set(scores.gradients) == {"clean"}


def test_gradients_of_the_negative_part_are_described_for_the_epoch():
    ours = learner(protocol=dataclasses.replace(PROTOCOL, learning_rate=0.0))
    data = batches(small_data())
    values = {False: [], True: []}
    model = network().train()
    for images, labels, mislabelled in data.training(0):
        found = largest_gradients(ours.negative, model(images), labels)
        for value, wrong in zip(found.tolist(), mislabelled.tolist(), strict=True):
            values[wrong].append(value)
    boxes = training.train_epoch(ours, data, seed=1, epoch=0).gradients
    for name, wrong in {"clean": False, "mislabelled": True}.items():
        assert boxes[name]["n"] == len(values[wrong])
        assert boxes[name]["mean"] == pytest.approx(np.mean(values[wrong]), rel=1e-4)
        assert boxes[name]["median"] == pytest.approx(np.median(values[wrong]), rel=1e-4)


def test_a_loss_without_a_negative_part_has_no_such_gradients():
    scores = training.train_epoch(learner("ce", Preset()), batches(small_data()), seed=1, epoch=0)
    assert scores.gradients is None


def test_evaluation_uses_running_statistics_and_plain_images():
    ours, data = learner(), batches(small_data())
    training.train_epoch(ours, data, seed=1, epoch=0)
    raw = small_data()
    mean, std = PROTOCOL.normalization.mean[0], PROTOCOL.normalization.std[0]
    images = torch.from_numpy((raw.x_test[:, None, :, :, 0] / 255 - mean) / std).float()
    model = ours.model.eval()
    with torch.no_grad():
        logits = model(images)
        marginals = model(
            torch.from_numpy((raw.x_train[:, None, :, :, 0] / 255 - mean) / std).float()
        ).softmax(1)
    expected = (logits.argmax(1).numpy() == raw.y_test).mean()
    assert training.accuracy(ours, data.plain("test")) == pytest.approx(expected)
    torch.testing.assert_close(
        training.mean_probabilities(ours, data.plain("train")), marginals.mean(0)
    )


def learner_on_gpu(loss="anl-ce", preset=None, **options):
    preset = preset or Preset({"alpha": 5.0, "beta": 5.0}, delta=5e-5)
    return training.make_learner(network(), loss, preset, PROTOCOL, device=GPU, **options)


def batches_on_gpu(n=50):
    data = small_data(n)
    noisy = label_noise.draw(data.y_train, kind="symmetric", n_classes=10, eta=0.4, seed=1)
    protocol = dataclasses.replace(PROTOCOL, batch_size=16)
    return make_batches(data, noisy, protocol, seed=1, device=GPU, ranks=Ranks())


@needs_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("graphed", [False, True])
def test_no_synchronisation_inside_an_epoch(graphed):
    ours, data = learner_on_gpu(graphed=graphed), batches_on_gpu(80)
    training.train_epoch(ours, data, seed=1, epoch=0)
    steps = data.training(1)
    ours.step(*next(steps)[:2])  # order and draws of the epoch have been sent to the device
    try:
        torch.cuda.set_sync_debug_mode("error")
        for images, labels, _ in steps:
            _, logits = ours.step(images, labels)
            largest_gradients(ours.negative, logits, labels)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.parametrize(
    ("loss", "preset"),
    [
        ("ce", Preset(l2=1e-3)),
        ("gce", Preset({"q": 0.7}, l2=1e-3)),
        ("nce+rce", Preset({"alpha": 1.0, "beta": 1.0}, l2=1e-3)),
        ("anl-ce", Preset({"alpha": 5.0, "beta": 5.0}, delta=1e-3)),
        ("anl-ce*", Preset({"alpha": 5.0, "beta": 5.0}, delta=1e-3)),
        ("t-loss", Preset()),
    ],
)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_cuda_graph_trains_as_single_kernels_do(loss, preset, precision):
    # 80 images are 5 full batches an epoch, so the graph records in the first epoch; 90 have a rest
    tolerance = {"float32": 1e-3, "bf16": 2e-2}[precision]
    for n in (80, 90):
        plain, graphed = (
            learner_on_gpu(loss, preset, precision=precision, graphed=choice)
            for choice in (False, True)
        )
        for epoch in range(3):  # the learning rate changes
            scores = []
            for each in (plain, graphed):
                training.set_learning_rate(each, PROTOCOL, 10 * epoch)
                scores.append(training.train_epoch(each, batches_on_gpu(n), 1, epoch).loss)
            assert scores[0] == pytest.approx(scores[1], rel=tolerance)
        assert graphed.step._outputs is not None  # it was recorded
        pairs = zip(
            plain.model.state_dict().values(), graphed.model.state_dict().values(), strict=True
        )
        for expected, found in pairs:
            torch.testing.assert_close(found, expected, rtol=tolerance, atol=10 * tolerance**2)


@needs_gpu
def test_outputs_of_a_cuda_graph_are_kept():
    ours = learner_on_gpu(graphed=True)
    done = [ours.step(*(part.to(GPU) for part in batch(number))) for number in range(8)]
    values = [loss.item() for loss, _ in done]
    assert len(set(values)) == 8
    assert len({logits.data_ptr() for _, logits in done}) == 8


@needs_gpu
def test_a_learning_rate_of_0_stops_a_cuda_graph():
    ours = learner_on_gpu("ce", Preset(), graphed=True)
    data = batches_on_gpu(80)
    training.train_epoch(ours, data, seed=1, epoch=0)
    before = nn.utils.parameters_to_vector(ours.model.parameters()).clone()
    training.set_learning_rate(ours, dataclasses.replace(PROTOCOL, learning_rate=0.0), 1)
    training.train_epoch(ours, data, seed=1, epoch=1)
    assert torch.equal(nn.utils.parameters_to_vector(ours.model.parameters()), before)
