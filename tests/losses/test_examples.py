"""The examples in the docstrings of `anl_seg.losses` run, and every public function has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

from anl_seg import losses

MODULES = sorted(module.name for module in pkgutil.iter_modules(losses.__path__))
PUBLIC = [name for name in losses.__all__ if callable(getattr(losses, name))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    if name == "kernels":
        pytest.importorskip("triton")
    module = importlib.import_module(f"anl_seg.losses.{name}")
    assert not doctest.testmod(module).failed


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_documented(name):
    value = getattr(losses, name)
    text = inspect.getdoc(value)
    if name in ("Advice", "LossSpec"):  # plain records
        assert "Attributes:" in text
        return
    assert "Examples:\n    >>> " in text
    assert any(section in text for section in ("Args:", "Attributes:", "Returns:"))
