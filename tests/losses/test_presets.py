"""The paper's hyper-parameters."""

import pytest

from anl_seg import losses

ALL = [(name, dataset) for dataset, presets in losses.PRESETS.items() for name in presets]


@pytest.mark.parametrize(("name", "dataset"), ALL)
def test_every_preset_can_be_created(name, dataset):
    preset = losses.preset(name, dataset)
    assert losses.create(name, **preset.hyper_parameters).hyper_parameters.items() >= (
        preset.hyper_parameters.items()
    )
    assert preset.source


@pytest.mark.parametrize(
    ("name", "dataset", "values"),
    [
        ("anl-ce", "cifar10", dict(alpha=5, beta=5, delta=5e-5, l2=0)),
        ("anl-ce", "cifar100", dict(alpha=10, beta=1, delta=5e-7, l2=0)),
        ("anl-ce", "webvision", dict(alpha=20, beta=1, delta=6e-6, l2=0)),
        ("anl-ce", "webvision-published", dict(alpha=20, beta=1, delta=5e-6, l2=0)),
        ("anl-ce", "animal10n", dict(alpha=0.5, beta=1, delta=1e-6, l2=0)),
        ("anl-ce", "clothing1m", dict(alpha=5, beta=0.1, delta=0, l2=1e-3)),
        ("anl-ce*", "cifar100", dict(alpha=10, beta=1, lambda_=0.01, delta=5e-7, l2=0)),
        ("nce+agce", "cifar100", dict(alpha=10, beta=0.1, a=1.8, q=3, delta=0, l2=1e-5)),
        ("gce", "clothing1m", dict(q=0.6, delta=0, l2=1e-3)),
        ("phce", "cifar100", dict(tau=8, delta=0, l2=1e-5)),
    ],
)
def test_values_of_the_paper(name, dataset, values):
    preset = losses.preset(name, dataset)
    assert dict(preset.hyper_parameters) | dict(delta=preset.delta, l2=preset.l2) == values


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match="no presets for 'isic'; choose from: cifar10, cifar100"):
        losses.preset("anl-ce", "isic")
    with pytest.raises(ValueError, match="no 'fl' on clothing1m; choose from: ce, gce"):
        losses.preset("fl", "clothing1m")
