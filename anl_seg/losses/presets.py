"""The hyper-parameters that the paper used, per loss and data set: Table VIII and Appendix D."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from anl_seg.errors import InputError
from anl_seg.losses.table import canonical_name


@dataclass(frozen=True)
class Preset:
    """The values that a loss was trained with.

    Attributes:
        hyper_parameters: Arguments for `create`.
        delta: Weight delta of the L1 norm, for `add_l1_gradient`.
        l2: Weight decay of the optimiser.
        source: Table or section of the paper that lists the values.
        jacobian: Weight delta of the Jacobian penalty, delta / 2 `jacobian_norm_squared`.

    Examples:
        >>> PRESETS["cifar100"]["anl-ce"].delta
        5e-07
    """

    hyper_parameters: Mapping[str, float] = field(default_factory=dict)
    delta: float = 0.0
    l2: float = 0.0
    source: str = "Table VIII"
    jacobian: float = 0.0


def _preset(
    *, delta: float = 0.0, l2: float = 0.0, source: str = "Table VIII", **values: float
) -> Preset:
    return Preset(MappingProxyType(values), delta, l2, source)


_ANIMAL = "Appendix D-B (Animal-10N)"
_CLOTHING = "Appendix D-B (Clothing-1M)"

#: Maps data set and loss to a preset. The weight decay of CIFAR, WebVision and Clothing-1M is from
#: Section VI-B.
PRESETS: Mapping[str, Mapping[str, Preset]] = MappingProxyType(
    {
        "cifar10": {
            "ce": _preset(l2=1e-4),
            "fl": _preset(gamma=0.5, l2=1e-4),
            "mae": _preset(l2=1e-4),
            "gce": _preset(q=0.7, l2=1e-4),
            "sce": _preset(alpha=0.1, beta=1.0, l2=1e-4),
            "phce": _preset(tau=2, l2=1e-4),
            "tce": _preset(t=2, l2=1e-4),
            "nce+rce": _preset(alpha=1.0, beta=1.0, l2=1e-4),
            "nce+agce": _preset(alpha=1.0, beta=4.0, a=6.0, q=1.5, l2=1e-4),
            "anl-ce": _preset(alpha=5.0, beta=5.0, delta=5e-5),
            "anl-fl": _preset(alpha=5.0, beta=5.0, gamma=0.5, delta=5e-5),
            "anl-ce*": _preset(alpha=5.0, beta=5.0, lambda_=2, delta=5e-5),
        },
        "cifar100": {
            "ce": _preset(l2=1e-5),
            "fl": _preset(gamma=0.5, l2=1e-5),
            "mae": _preset(l2=1e-5),
            "gce": _preset(q=0.7, l2=1e-5),
            "sce": _preset(alpha=6.0, beta=0.1, l2=1e-5),
            "phce": _preset(tau=8, l2=1e-5),
            "tce": _preset(t=8, l2=1e-5),
            "nce+rce": _preset(alpha=10.0, beta=0.1, l2=1e-5),
            "nce+agce": _preset(alpha=10.0, beta=0.1, a=1.8, q=3.0, l2=1e-5),
            "anl-ce": _preset(alpha=10.0, beta=1.0, delta=5e-7),
            "anl-fl": _preset(alpha=10.0, beta=1.0, gamma=0.5, delta=5e-7),
            "anl-ce*": _preset(alpha=10.0, beta=1.0, lambda_=0.01, delta=5e-7),
        },
        "webvision": {
            "ce": _preset(l2=3e-5),
            "gce": _preset(q=0.7, l2=3e-5),
            "sce": _preset(alpha=10.0, beta=1.0, l2=3e-5),
            "nce+rce": _preset(alpha=50.0, beta=0.1, l2=3e-5),
            "nce+agce": _preset(alpha=50.0, beta=0.1, a=2.5, q=3.0, l2=3e-5),
            "anl-ce": _preset(alpha=20.0, beta=1.0, delta=6e-6),
            "anl-fl": _preset(alpha=20.0, beta=1.0, gamma=0.5, delta=6e-6),
        },
        "webvision-published": {
            "anl-ce": _preset(
                alpha=20.0, beta=1.0, delta=5e-6, source="config of the published code"
            ),
        },
        "animal10n": {
            "ce": _preset(l2=1e-3, source=_ANIMAL),
            "gce": _preset(q=0.5, l2=1e-4, source=_ANIMAL),
            "anl-ce": _preset(alpha=0.5, beta=1.0, delta=1e-6, source=_ANIMAL),
        },
        "clothing1m": {
            "ce": _preset(l2=1e-3, source=_CLOTHING),
            "gce": _preset(q=0.6, l2=1e-3, source=_CLOTHING),
            "nce+rce": _preset(alpha=10.0, beta=1.0, l2=1e-3, source=_CLOTHING),
            "anl-ce": _preset(alpha=5.0, beta=0.1, l2=1e-3, source=_CLOTHING),
        },
    }
)


def preset(name: str, dataset: str) -> Preset:
    """Look up the values that the paper trained a loss with.

    Args:
        name: Name of the loss in any spelling that `canonical_name` knows.
        dataset: A key of `PRESETS`, such as "cifar10".

    Returns:
        Hyper-parameters of the loss and weights of the regularisers.

    Raises:
        InputError: If the paper has no such experiment. The message lists its experiments.

    Examples:
        >>> preset("anl-ce", "cifar10").hyper_parameters["alpha"]
        5.0
    """
    name = canonical_name(name)
    if dataset not in PRESETS:
        raise InputError(f"no presets for {dataset!r}; choose from: {', '.join(PRESETS)}")
    if name not in PRESETS[dataset]:
        valid = ", ".join(PRESETS[dataset])
        raise InputError(f"the paper has no {name!r} on {dataset}; choose from: {valid}")
    return PRESETS[dataset][name]
