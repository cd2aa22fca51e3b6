"""Networks of the paper's tables by name, from torchvision if it has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from anl_seg.errors import InputError, named


def cnn4(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create two convolutions and two linear layers, for MNIST (Ma et al., ICML 2020)."""
    height, width, channels = shape
    return _initialized(
        nn.Sequential(
            *_convolution(channels, 32),
            nn.MaxPool2d(2),
            *_convolution(32, 64),
            nn.MaxPool2d(2),
            nn.Flatten(),
            *_head(64 * (height // 4) * (width // 4), 128, classes),
        )
    )


def cnn8(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create six convolutions and two linear layers, for CIFAR-10 (Ma et al., ICML 2020)."""
    height, width, channels = shape
    return _initialized(
        nn.Sequential(
            *_convolution(channels, 64),
            *_convolution(64, 64),
            nn.MaxPool2d(2),
            *_convolution(64, 128),
            *_convolution(128, 128),
            nn.MaxPool2d(2),
            *_convolution(128, 196),
            *_convolution(196, 196),
            nn.MaxPool2d(2),
            nn.Flatten(),
            *_head(196 * (height // 8) * (width // 8), 256, classes),
        )
    )


def resnet34_32(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create a ResNet-34 for 32x32: a first convolution of 3x3 without stride, and no pooling."""
    from torchvision.models import resnet34  # takes seconds to import

    model: nn.Module = resnet34(num_classes=classes)
    model.conv1 = nn.Conv2d(shape[2], 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return _initialized(model)


def resnet50(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create torchvision's ResNet-50 with random weights, for WebVision."""
    from torchvision import models

    model: nn.Module = models.resnet50(num_classes=classes)
    return model


def resnet50_pretrained(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create torchvision's ResNet-50 with ImageNet weights (V1) and a new last layer.

    It is for Clothing-1M.

    Raises:
        InputError: If the weights are not in torch's cache and cannot be downloaded.
    """
    from torchvision import models

    weights = models.ResNet50_Weights.IMAGENET1K_V1
    try:
        model: nn.Module = models.resnet50(weights=weights)
    except OSError as error:
        raise InputError(
            f"the ImageNet weights of ResNet-50 could not be downloaded ({error}); get "
            f"{weights.url} and put it into torch's cache, ~/.cache/torch/hub/checkpoints"
        ) from error
    model.fc = nn.Linear(2048, classes)
    return model


def vgg19_bn(classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create torchvision's VGG-19 with batch normalisation, for Animal-10N."""
    from torchvision import models

    model: nn.Module = models.vgg19_bn(num_classes=classes)
    return model


Builder = Callable[[int, tuple[int, int, int]], nn.Module]

#: Networks by name: functions of the number of classes and the images' shape `(H, W, C)`.
MODELS: Mapping[str, Builder] = MappingProxyType(
    {
        "cnn4": cnn4,
        "cnn8": cnn8,
        "resnet34-32": resnet34_32,
        "resnet50": resnet50,
        "resnet50-pretrained": resnet50_pretrained,
        "vgg19-bn": vgg19_bn,
    }
)


def create(name: str, classes: int, shape: tuple[int, int, int]) -> nn.Module:
    """Create a network that maps `(B, C, H, W)` to logits `(B, classes)`.

    Its weights come from torch's global generator.

    Raises:
        InputError: If the name is unknown. The message lists the valid ones.
    """
    if name not in MODELS:
        raise InputError(f"there is no model {name!r}; choose one of {named(list(MODELS))}")
    return MODELS[name](classes, shape)


def _convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


def _head(features: int, hidden: int, classes: int) -> list[nn.Module]:
    return [
        nn.Linear(features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, classes),
    ]


def _initialized(model: nn.Module) -> nn.Module:
    """Draw weights as the published code does: He for convolutions, Glorot for linear layers."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, mode="fan_in", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    return model
