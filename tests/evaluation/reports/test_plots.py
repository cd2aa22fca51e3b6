"""Plots: their words are correct, and missing values cause no error."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from anl_seg.evaluation.reports import plots
from anl_seg.evaluation.reports.plots import against_size, box_strip, curves, intervals, slopes

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


LONG = (
    "nnUNetTrainer__nnUNetPlans__2d",
    "nnUNetTrainerANL_FL__anl_alpha1_beta1_delta5e-6__3d_fullres__seed_20",
    "myocardium of the left ventricle, with its papillary muscles and trabeculae",
    "aorta",
)


@pytest.mark.parametrize("names", [LONG[:1], LONG[:2], LONG, LONG[3:], ("a", "b", "c", "d")])
def test_nothing_is_cut_off(monkeypatch, names):
    """All that is drawn lies on the picture, also beside long names and large numbers."""
    boxes = []

    def note_box(figure):
        boxes.append((figure.get_tightbbox(), figure.get_size_inches()))
        return "data:"

    monkeypatch.setattr(plots, "_source", note_box)
    values = {name: np.array([0.123, 0.4, 1.0]) for name in names}
    sizes = {name: np.array([100.0, 123_456.0, 9_000_000.0]) for name in names}
    box_strip("t", sizes, "volume")
    against_size("t", sizes, values, "Dice")
    against_size("t", {name: size / size for name, size in sizes.items()}, values, "Dice")
    slopes("t", "base", {"base": FEW[[0, 1, 3]] * 1000, **sizes}, "distance (mm)")
    curves("t", values, "share of wrong pixels")
    intervals("t", {name: (0.1, (-0.05, 0.2)) for name in names}, "difference")
    assert len(boxes) == 6
    for box, (width, height) in boxes:
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= width
        assert box.y1 <= height


def test_ends_of_long_names_are_kept():
    assert plots._shortened("abcdefgh", 8) == "abcdefgh"
    assert plots._shortened("abcdefghi", 8) == "abc…fghi"


def test_every_class_looks_different(monkeypatch):
    looks = []

    def note_looks(figure):
        looks.extend((line.get_marker(), line.get_color()) for line in figure.axes[0].lines)
        return "data:"

    monkeypatch.setattr(plots, "_source", note_looks)
    values = {str(number): np.array([0.1, 0.2, 0.3]) for number in range(20)}
    against_size("t", values, values, "Dice")
    assert len(set(looks)) == 20
