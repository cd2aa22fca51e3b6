"""The networks: layers, sizes, initialisation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from anl_seg.classification import models
from anl_seg.errors import InputError


def layers(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_8_layer_cnn_of_ma_et_al():
    model = models.create("cnn8", 10, (32, 32, 3))
    assert [layer.out_channels for layer in layers(model, nn.Conv2d)] == [
        64,
        64,
        128,
        128,
        196,
        196,
    ]
    assert [layer.in_features for layer in layers(model, nn.Linear)] == [4 * 4 * 196, 256]
    assert len(layers(model, nn.BatchNorm2d)) == 6
    assert len(layers(model, nn.BatchNorm1d)) == 1


def test_the_4_layer_cnn_of_ma_et_al():
    model = models.create("cnn4", 10, (28, 28, 1))
    assert [layer.out_channels for layer in layers(model, nn.Conv2d)] == [32, 64]
    assert [layer.in_features for layer in layers(model, nn.Linear)] == [7 * 7 * 64, 128]


def test_resnet34_keeps_small_images_large():
    model = models.create("resnet34-32", 100, (32, 32, 3))
    assert len(layers(model, nn.Conv2d)) == 33 + 3  # and a fully connected layer; 3 short cuts
    assert parameters(model) == 21_328_292  # that of the published network
    sizes = []
    model.layer4.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 32, 32))
    assert sizes == [(1, 512, 4, 4)]


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("cnn4", (8, 8, 1), 10),
        ("cnn4", (28, 28, 1), 10),
        ("cnn8", (32, 32, 3), 10),
        ("resnet50", (64, 64, 3), 50),
        ("vgg19-bn", (64, 64, 3), 10),
    ],
)
def test_images_to_logits(name, shape, classes):
    model = models.create(name, classes, shape).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, shape[2], *shape[:2])).shape == (2, classes)


def test_he_and_glorot():
    torch.manual_seed(0)
    model = models.create("cnn8", 10, (32, 32, 3))
    convolution = layers(model, nn.Conv2d)[3].weight
    bound = math.sqrt(6 / (128 * 9))
    assert 0.99 * bound < convolution.abs().max() <= bound
    linear = layers(model, nn.Linear)[0].weight
    bound = math.sqrt(6 / (3136 + 256))
    assert 0.99 * bound < linear.abs().max() <= bound


def test_clothing1m_starts_from_imagenet(monkeypatch):
    import torchvision

    asked = []

    def resnet50(*, weights):
        asked.append(weights)
        return torchvision.models.ResNet(torchvision.models.resnet.Bottleneck, [1, 1, 1, 1])

    monkeypatch.setattr(torchvision.models, "resnet50", resnet50)
    model = models.create("resnet50-pretrained", 14, (224, 224, 3))
    assert asked == [torchvision.models.ResNet50_Weights.IMAGENET1K_V1]
    assert model.fc.out_features == 14


def test_missing_pretrained_weights_are_named(monkeypatch):
    import torchvision

    def offline(*, weights):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.models, "resnet50", offline)
    with pytest.raises(InputError, match=r"no network.*resnet50-.*\.pth.*cache"):
        models.create("resnet50-pretrained", 14, (224, 224, 3))


def test_unknown_name():
    with pytest.raises(InputError, match=r"'cnn9'.*cnn4"):
        models.create("cnn9", 10, (32, 32, 3))
