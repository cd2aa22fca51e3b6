"""The examples in the docstrings run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import anl_seg.noise
import anl_seg.noise.labels

MODULES = [
    module.name for module in pkgutil.walk_packages(anl_seg.noise.__path__, prefix="anl_seg.noise.")
]


@pytest.mark.parametrize("name", ["anl_seg.noise", *MODULES])
def test_the_examples_of_a_module_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("package", [anl_seg.noise, anl_seg.noise.labels])
def test_every_public_function_has_an_example(package):
    values = {name: getattr(package, name) for name in package.__all__}
    functions = {name: value for name, value in values.items() if inspect.isfunction(value)}
    assert {"corrupt_masks", "draw"} & functions.keys()
    assert [name for name, each in functions.items() if ">>>" not in (each.__doc__ or "")] == []
