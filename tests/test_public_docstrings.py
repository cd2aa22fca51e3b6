"""Docstrings of all public functions: arguments, result, errors, and an example that runs."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: They need the network, or runs that take minutes.
WITHOUT_EXAMPLE = {
    "anl_seg.datasets.isic2017.download",
    "anl_seg.experiments.figures.draw_figure",
    "anl_seg.experiments.runs.sweep.run_sweep",
    "anl_seg.experiments.search.tune.tune",
}
#: Their methods are nnU-Net's hooks, which the reference does not show.
WITHOUT_METHODS = {"anl_seg.trainers.trainer"}
REFERENCE = Path(__file__).parents[1] / "docs" / "reference" / "python"


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Find the functions that the Python reference shows."""
    for page in sorted(REFERENCE.glob("*.md")):
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            parent, _, last = name.rpartition(".")
            found = getattr(importlib.import_module(parent), last)
            members = {last: found}
            if inspect.ismodule(found):
                parent, members = name, {each: getattr(found, each) for each in found.__all__}
            for each, value in members.items():
                if inspect.isfunction(inspect.unwrap(value)):
                    yield f"{parent}.{each}", value
                elif inspect.isclass(value) and value.__module__ not in WITHOUT_METHODS:
                    yield from public_methods(f"{parent}.{each}", value)


def public_methods(name: str, owner: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Find the methods of a class that the Python reference shows."""
    for each in vars(owner):
        method = inspect.unwrap(getattr(owner, each))
        if inspect.isroutine(method) and not each.startswith("_") and each != "extra_repr":
            yield f"{name}.{each}", method


def missing_parts(function: Callable[..., Any], example: bool = True) -> list[str]:
    """Name the parts that the docstring of a function lacks."""
    docstring = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    source = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returns = signature.return_annotation not in (None, "None")
    raises = any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(source))
    wanted = [
        *(f" {name}: " for name in signature.parameters if name != "self"),
        *(["Returns:"] if returns else []),
        *(["Raises:"] if raises else []),
        *([">>> "] if example else []),
    ]
    return [part.strip() for part in wanted if part not in docstring.replace("*", "")]


FUNCTIONS = dict(public_functions())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_is_documented(name):
    function = FUNCTIONS[name]
    is_method = "." in function.__qualname__
    assert missing_parts(function, example=not is_method and name not in WITHOUT_EXAMPLE) == []


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.name)
def test_public_constants_are_named_on_their_page(page):
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"^::: (\S+)", text, re.MULTILINE):
        parent, _, last = name.rpartition(".")
        found = getattr(importlib.import_module(parent), last)
        if inspect.ismodule(found):
            constants = {each for each in found.__all__ if each.isupper()}
            assert constants <= set(re.findall(r"`(\w+)`", text + inspect.getdoc(found)))


def test_functions_are_found_and_missing_parts_are_seen():
    functions = {"anl_seg.losses.create", "anl_seg.datasets.isic2017.convert"}
    assert functions | {"anl_seg.losses.RobustLoss.forward"} <= set(FUNCTIONS)

    def half(number: float) -> float:
        """Halve a number."""
        if number < 0:
            raise ValueError(number)
        return number / 2

    assert missing_parts(half) == ["number:", "Returns:", "Raises:", ">>>"]
