"""The table of losses: complete rows, and errors that list what there is."""

import re

import numpy as np
import pytest

from anl_seg import losses
from anl_seg.errors import InputError


@pytest.mark.parametrize("name", losses.names())
def test_rows_are_complete(name):
    spec = losses.describe(name)
    assert spec.formula
    assert spec.source
    used = {key for term in spec.terms for key in (*term.takes, term.weight) if key}
    assert ("p_min" in spec.parameters) == any(t.form == "normalized negative" for t in spec.terms)
    assert used <= set(spec.parameters)
    if spec.terms:
        assert used | {spec.entropy, "p_min"} >= set(spec.parameters)
    for key, parameter in spec.parameters.items():
        assert parameter.admits(parameter.default), key


@pytest.mark.parametrize("name", losses.names())
@pytest.mark.parametrize(
    "spell",
    [str.upper, lambda name: name.replace("-", "_"), lambda name: f" {name.replace('-', ' ')} "],
)
def test_names_in_any_spelling(name, spell):
    assert losses.canonical_name(spell(name)) == name
    assert losses.describe(spell(name)) is losses.describe(name)
    assert losses.create(spell(name)).name == name


def test_a_name_beside_the_table():
    assert losses.canonical_name("Dice_+CE", also=("dice+ce",)) == "dice+ce"
    with pytest.raises(InputError, match=r"unknown loss 'dice\+ce'"):
        losses.canonical_name("dice+ce")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("anl-cee", "anl-ce"), ("ANL_C", "anl-ce"), ("tloss2", "t-loss"), ("nce+rec", "nce+rce")],
)
def test_a_typing_error_gets_a_suggestion(typed, meant):
    with pytest.raises(
        InputError,
        match=rf"unknown loss {re.escape(repr(typed))}.*did you mean .*{re.escape(meant)}.*\?",
    ):
        losses.create(typed)


@pytest.mark.parametrize("name", ["", "dice", None, 5])
def test_an_unrelated_name_gets_no_suggestion(name):
    with pytest.raises(InputError, match="loss") as caught:
        losses.canonical_name(name)
    assert "did you mean" not in str(caught.value)


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown loss 'anl'.*anl-ce"):
        losses.create("anl")
    with pytest.raises(ValueError, match=r"'delta'.*alpha, beta, p_min"):
        losses.create("anl-ce", delta=1e-5)
    with pytest.raises(ValueError, match="it has: none"):
        losses.create("ce", alpha=1)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), np.float32(-1)])
def test_impossible_values_are_refused(value):
    with pytest.raises(ValueError, match=r"alpha of anl-ce must be in \[0, inf\), got"):
        losses.create("anl-ce", alpha=value)


@pytest.mark.parametrize("value", ["5", None, True, [1.0], 1j])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(ValueError, match="alpha of anl-ce must be a number, got"):
        losses.create("anl-ce", alpha=value)


@pytest.mark.parametrize("value", [2, 2.5, np.int64(2), np.float32(2.5), np.float64(2.5)])
def test_numbers_of_numpy_become_those_of_python(value):
    found = losses.complete("anl-ce", {"alpha": value})["alpha"]
    assert found == value
    assert type(found) in (int, float)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("gce", dict(q=1.1), r"in \(0, 1\], got 1.1"),
        ("gce", dict(q=0), r"in \(0, 1\], got 0"),
        ("tce", dict(t=1.5), "a whole number in"),
        ("tce", dict(t=0), "got 0"),
        ("phce", dict(tau=1), "tau of phce"),
        ("aul", dict(a=1), "a of aul"),
        ("fl", dict(gamma=-0.1), "gamma of fl"),
        ("nnce", dict(p_min=0), "p_min of nnce"),
        ("t-loss", dict(nu=0), "nu of t-loss"),
    ],
)
def test_values_out_of_range_are_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        losses.create(name, **given)


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="mean, sum, none, got 'avg'"):
        losses.create("ce", reduction="avg")
