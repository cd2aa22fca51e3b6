"""The pictures show the numbers that they are given."""

from __future__ import annotations

import pytest

from anl_seg.classification import plots
from anl_seg.classification.run_files import Epoch


@pytest.fixture
def drawn(monkeypatch):
    """Figures instead of files."""
    kept = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: kept.append(figure.axes[0]))
    return kept


def test_accuracies_over_epochs_in_percent(drawn, tmp_path):
    log = [Epoch(1, 0.5, 0.6, 0.1, 1.0, 0.1), Epoch(2, 0.7, 0.8, 0.05, 0.5, 0.05)]
    plots.draw_accuracies(log, "title", tmp_path / "a.png")
    (axes,) = drawn
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["test"] == [[1, 50], [2, 70]]
    assert lines["training, clean"] == [[1, 60], [2, 80]]
    assert lines["training, mislabelled"] == [[1, 10], [2, 5]]


def test_without_mislabelled_images_there_is_no_curve_of_them(drawn, tmp_path):
    plots.draw_accuracies([Epoch(1, 0.5, 0.6, None, 1.0, 0.1)], "title", tmp_path / "a.png")
    (axes,) = drawn
    assert len(axes.lines) == 2


@pytest.mark.parametrize("classes", [("cat", "automobile"), tuple(map(str, range(100)))])
def test_marginals_of_every_class_in_percent(drawn, tmp_path, classes):
    shares = [
        2 * (place + 1) / (len(classes) * (len(classes) + 1)) for place in range(len(classes))
    ]
    rows = {"given labels": shares, "predicted": shares[::-1]}
    plots.draw_marginals(classes, rows, "title", tmp_path / "m.png")
    (axes,) = drawn
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights[0] == pytest.approx([100 * share for share in shares])
    assert heights[1] == heights[0][::-1]
