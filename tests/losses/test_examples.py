"""Every public function of `anl_seg.losses` has an example."""

import inspect

import pytest

from anl_seg import losses

PUBLIC = [name for name in losses.__all__ if callable(getattr(losses, name))]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_documented(name):
    value = getattr(losses, name)
    text = inspect.getdoc(value)
    if name in ("Advice", "LossSpec"):  # plain records
        assert "Attributes:" in text
        return
    assert "Examples:\n    >>> " in text
    assert any(section in text for section in ("Args:", "Attributes:", "Returns:"))
