"""The table of losses: complete rows, and errors that list what there is."""

import pytest

from anl_seg import losses


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


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match=r"unknown loss 'anl'.*anl-ce"):
        losses.create("anl")
    with pytest.raises(ValueError, match=r"'delta'.*alpha, beta, p_min"):
        losses.create("anl-ce", delta=1e-5)
    with pytest.raises(ValueError, match="it has: none"):
        losses.create("ce", alpha=1)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "5", None])
def test_impossible_values_are_refused(value):
    with pytest.raises(ValueError, match=r"alpha of anl-ce must be in \[0, inf\)"):
        losses.create("anl-ce", alpha=value)


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
