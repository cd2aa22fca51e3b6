"""Every public function has an example."""

import inspect

import pytest

import anl_seg.noise
import anl_seg.noise.labels


@pytest.mark.parametrize("package", [anl_seg.noise, anl_seg.noise.labels])
def test_every_public_function_has_an_example(package):
    values = {name: getattr(package, name) for name in package.__all__}
    functions = {name: value for name, value in values.items() if inspect.isfunction(value)}
    assert {"corrupt_masks", "draw"} & functions.keys()
    assert [name for name, each in functions.items() if ">>>" not in (each.__doc__ or "")] == []
