"""Plots: what they say in words is right, and values that are missing do not stop them."""

from __future__ import annotations

import base64
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import spearmanr

from anl_seg.evaluation.reports.drawing import Scale, _cloud
from anl_seg.evaluation.reports.plots import against_size, box_strip, intervals, slopes

NAN = math.nan
FEW = np.array([0.1, 0.2, NAN, 0.4])
NONE = np.array([NAN, NAN])


def svg(plot):
    kind, data = plot.source.split(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(data).decode()


def test_boxes_in_words():
    plot = box_strip("Dice", {"one": FEW, "two": NONE}, "Dice")
    assert "one: 3 cases, median 0.200" in plot.alt
    assert "range 0.100 to 0.400" in plot.alt
    assert "two: no values" in plot.alt
    assert "<svg" in svg(plot)


def test_many_points_are_drawn_as_pixels():
    values = {"one": np.linspace(0, 1, 3000)}
    assert "<image" in svg(box_strip("Dice", values, "Dice"))
    assert "<image" not in svg(box_strip("Dice", {"one": FEW}, "Dice"))


def test_size_in_words():
    sizes = np.array([10.0, 100.0, 1000.0, 0.0])
    values = np.array([0.1, 0.5, 0.9, 0.0])
    plot = against_size("t", {"a": sizes, "b": sizes * 0}, {"a": values, "b": values}, "Dice")
    assert "a 1.00, b undefined" in plot.alt
    svg(plot)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_slopes_in_words(count):
    base = np.array([0.5, 0.5, 0.5, NAN])
    others = {f"run{n}": np.array([0.6, 0.4, 0.7, 0.1]) for n in range(count)}
    plot = slopes("t", "base", {"base": base, **others}, "Dice")
    assert plot.alt.count("2 cases rise and 1 fall") == count
    svg(plot)


def test_slopes_without_any_pair():
    svg(slopes("t", "base", {"base": NONE, "run": NONE}, "Dice"))


def test_intervals_in_words():
    plot = intervals("t", {"run": (0.1, (-0.05, 0.2)), "other": (NAN, (NAN, NAN))}, "difference")
    assert "run: 0.100, from -0.050 to 0.200" in plot.alt
    assert "other: undefined" in plot.alt
    svg(plot)


def test_the_same_values_give_the_same_file():
    assert box_strip("t", {"a": FEW}, "Dice") == box_strip("t", {"a": FEW}, "Dice")


def test_rank_correlation_is_that_of_scipy():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 10, 50).astype(float)  # with ties
    values = sizes + rng.normal(0, 3, 50)
    expected = f"{spearmanr(sizes, values).statistic:.2f}"
    assert f"a {expected}" in against_size("t", {"a": sizes}, {"a": values}, "Dice").alt


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1, 3, "1.0 1.5 2.0 2.5 3.0"),
        (0.87, 0.99, "0.88 0.90 0.92 0.94 0.96 0.98"),
        (-40, 2e3, None),
    ],
)
def test_numbers_along_an_axis_are_round(low, high, expected):
    ticks = Scale(low, high, 0, 400).ticks()
    assert 3 <= len(ticks) <= 8
    assert all(low <= value <= high for value in ticks)
    assert np.allclose(np.diff(list(ticks)), np.diff(list(ticks))[0])
    assert expected is None or " ".join(ticks.values()) == expected


@pytest.mark.parametrize("ends", [(3, 40), (100, 1e9), (800, 900), (0.5, 2)])
def test_numbers_along_a_logarithmic_axis(ends):
    scale = Scale(*ends, 0, 400, log=True)
    ticks = list(scale.ticks())
    assert 2 <= len(ticks) <= 8
    assert all(ends[0] <= value <= ends[1] for value in ticks)
    assert scale(ends).tolist() == pytest.approx([0, 400])
    assert scale([math.sqrt(ends[0] * ends[1])]).item() == pytest.approx(200)


def places(plot):
    """Where a box plot of one row has its points, its box, its lines' starts and its numbers."""
    root = ElementTree.fromstring(svg(plot))
    first = re.compile(r"M([-\d.]+) ")
    points = [float(first.match(path.get("d"))[1]) for path in root.find("{*}g")]
    lines = [float(first.match(path.get("d"))[1]) for path in root.iterfind("{*}path")]
    box = root.find("{*}rect")
    left = float(box.get("x"))
    numbers = {text.text: float(text.get("x")) for text in root.iterfind("{*}text")}
    return points, (left, left + float(box.get("width"))), lines, numbers


def test_points_and_boxes_stand_where_their_values_are():
    values = np.array([0.0, 10, 11, 12, 13, 14, 40])
    points, box, lines, numbers = places(box_strip("t", {"a<b": values}, "mm"))
    at = np.interp(values, [0, 40], [numbers["0"], numbers["40"]])
    assert points == pytest.approx(at, abs=0.02)
    assert box == pytest.approx(np.interp([10.5, 13.5], values, at), abs=0.02)
    for end in (10, 12, 14):  # the whiskers and the median
        place = np.interp(end, values, at)
        assert min(abs(line - place) for line in lines) < 0.02
    assert "a<b" in numbers


def test_many_points_darken_where_they_lie_over_each_other():
    x, y = np.full(3000, 100.0), np.full(3000, 50.0)
    x[0], y[0] = 200, 50
    pixels = _cloud(x, y, "#0072B2", 0.5, 100)
    assert pixels.shape == (200, 960, 4)
    assert pixels[100, 400].tolist() == [0xB2, 0x72, 0x00, 128]
    assert pixels[100, 200, 3] == 255
    assert pixels[0].max(axis=0)[3] == 0
