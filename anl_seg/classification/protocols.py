"""The paper's training on each data set, one row each: Section VI-B, Appendix D-B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from anl_seg.classification.augment import ShiftFlipRotate
from anl_seg.classification.schedules import Cosine, Exponential, Schedule, Steps
from anl_seg.classification.transforms import Photos
from anl_seg.losses import PRESETS, Preset


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, for pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ClassificationProtocol:
    """The training on one data set, except for noise, loss and seed.

    Attributes:
        dataset: Name for `anl_seg.datasets.classification.load`.
        model: Name for `anl_seg.classification.models.create`.
        epochs: Number of epochs.
        batch_size: Images per step, over all processes together.
        learning_rate: Learning rate of the first epoch.
        schedule: Schedule of the learning rate, applied once per epoch.
        normalization: Normalisation of the pixels.
        augmentation: Augmentation of small images on the device, or of photos from files.
        presets: Hyper-parameters, L1 and L2 of each loss.
        source: Section of the paper.
        notes: Values that the paper does not give, and differences of the published code.
        nesterov: Whether momentum is Nesterov's.
        momentum: Momentum of SGD, the optimiser of every row.
        clip_norm: Upper bound of the norm of all gradients together, including the L1 penalty's.
    """

    dataset: str
    model: str
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: Schedule
    normalization: Normalization
    augmentation: ShiftFlipRotate | Photos
    presets: Mapping[str, Preset]
    source: str
    notes: tuple[str, ...] = ()
    nesterov: bool = False
    momentum: float = 0.9
    clip_norm: float = 5.0


_SHIFT_AND_FLIP = ShiftFlipRotate(shift_px=4, flip=True)
_CIFAR10 = Normalization((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
_CIFAR100 = Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
_MNIST = Normalization((0.1307,), (0.3081,))
_IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_WEBVISION_PHOTOS = Photos(resize_px=256, crop_px=224, random_resized_crop=True, color_jitter=True)
_CIFAR_SHIFT = (
    "the paper gives no size of the shift; 4 pixels on a black border, as in the published code"
)
_NO_CLIP_STATED = "the paper states clipping for CIFAR and WebVision only; 5.0 is kept here"


def _published_mnist(l1: float = 0.0, l2: float = 1e-3, **hyper_parameters: float) -> Preset:
    return Preset(MappingProxyType(hyper_parameters), l1, l2, "configuration of the published code")


_MNIST_PRESETS = MappingProxyType(
    {
        "ce": _published_mnist(),
        "fl": _published_mnist(gamma=0.5),
        "mae": _published_mnist(),
        "gce": _published_mnist(q=0.7),
        "sce": _published_mnist(alpha=0.01, beta=1.0),
        "nce+rce": _published_mnist(alpha=1.0, beta=10.0),
        "nce+agce": _published_mnist(alpha=0.0, beta=1.0, a=4.0, q=0.2),
        "anl-ce": _published_mnist(alpha=1.0, beta=1.0, l1=1e-6, l2=0.0),
        "anl-fl": _published_mnist(alpha=1.0, beta=1.0, gamma=0.5, l1=1e-6, l2=0.0),
    }
)

PROTOCOLS: Mapping[str, ClassificationProtocol] = MappingProxyType(
    {
        "digits": ClassificationProtocol(
            dataset="digits",
            model="cnn4",
            epochs=30,
            batch_size=64,
            learning_rate=0.05,
            schedule=Cosine(),
            normalization=Normalization((0.305,), (0.376,)),
            augmentation=ShiftFlipRotate(shift_px=1),
            presets=PRESETS["cifar10"],
            source="not in the paper: runs in seconds on a CPU, without a download",
        ),
        "mnist": ClassificationProtocol(
            dataset="mnist",
            model="cnn4",
            epochs=50,
            batch_size=128,
            learning_rate=0.01,
            schedule=Cosine(),
            normalization=_MNIST,
            augmentation=ShiftFlipRotate(),
            presets=_MNIST_PRESETS,
            source="not in the paper: the configuration of the published code",
        ),
        "cifar10": ClassificationProtocol(
            dataset="cifar10",
            model="cnn8",
            epochs=120,
            batch_size=128,
            learning_rate=0.01,
            schedule=Cosine(),
            normalization=_CIFAR10,
            augmentation=_SHIFT_AND_FLIP,
            presets=PRESETS["cifar10"],
            source="Section VI-B, Table VIII",
            notes=(_CIFAR_SHIFT,),
        ),
        "cifar100": ClassificationProtocol(
            dataset="cifar100",
            model="resnet34-32",
            epochs=200,
            batch_size=128,
            learning_rate=0.1,
            schedule=Cosine(),
            normalization=_CIFAR100,
            augmentation=_SHIFT_AND_FLIP,
            presets=PRESETS["cifar100"],
            source="Section VI-B, Table VIII",
            notes=(
                _CIFAR_SHIFT,
                "the published code also rotates by up to 20 degrees: `cifar100-published`",
            ),
        ),
        "cifar100-published": ClassificationProtocol(
            dataset="cifar100",
            model="resnet34-32",
            epochs=200,
            batch_size=128,
            learning_rate=0.1,
            schedule=Cosine(),
            normalization=_CIFAR100,
            augmentation=ShiftFlipRotate(shift_px=4, flip=True, rotation_deg=20),
            presets=PRESETS["cifar100"],
            source="configuration of the published code",
            notes=("as cifar100, but rotated by up to 20 degrees, which the paper does not state",),
        ),
        "webvision": ClassificationProtocol(
            dataset="webvision",
            model="resnet50",
            epochs=250,
            batch_size=512,
            learning_rate=0.4,
            schedule=Exponential(0.97),
            nesterov=True,
            normalization=_IMAGENET,
            augmentation=_WEBVISION_PHOTOS,
            presets=PRESETS["webvision"],
            source="Section VI-B, Table VIII",
            notes=(
                "the paper resizes to 224x224, shifts, flips and jitters colours, without sizes; "
                "random resized crops and the jitter are the published code's",
                "delta of ANL is 6e-6 in Table VIII, 5e-6 in the published configuration: "
                "`webvision-published`",
            ),
        ),
        "webvision-published": ClassificationProtocol(
            dataset="webvision",
            model="resnet50",
            epochs=250,
            batch_size=512,
            learning_rate=0.4,
            schedule=Exponential(0.97),
            nesterov=True,
            normalization=_IMAGENET,
            augmentation=_WEBVISION_PHOTOS,
            presets=MappingProxyType({**PRESETS["webvision"], **PRESETS["webvision-published"]}),
            source="configuration of the published code",
            notes=("as webvision, with delta of ANL-CE 5e-6 instead of 6e-6",),
        ),
        "animal10n": ClassificationProtocol(
            dataset="animal10n",
            model="vgg19-bn",
            epochs=100,
            batch_size=128,
            learning_rate=0.1,
            schedule=Steps(0.2, at=(0.5, 0.75)),
            normalization=_IMAGENET,
            augmentation=Photos(resize_px=(64, 64), crop_px=64),
            presets=PRESETS["animal10n"],
            source="Section VI-B, Appendix D-B",
            notes=(
                _NO_CLIP_STATED,
                "the paper gives no momentum, normalisation or size: 0.9, ImageNet's, 64 pixels",
            ),
        ),
        "clothing1m": ClassificationProtocol(
            dataset="clothing1m",
            model="resnet50-pretrained",
            epochs=10,
            batch_size=32,
            learning_rate=1e-3,
            schedule=Steps(0.1, at=(0.5,)),
            normalization=_IMAGENET,
            augmentation=Photos(resize_px=(256, 256), crop_px=224),
            presets=PRESETS["clothing1m"],
            source="Section VI-B, Appendix D-B",
            notes=(
                _NO_CLIP_STATED,
                "the paper subtracts a mean; here pixels are also divided by ImageNet's deviation, "
                "as the pretrained weights expect",
            ),
        ),
    }
)
