"""Table VI as data: spot checks against the printed table, and its names."""

from __future__ import annotations

from collections import Counter

import pytest

from anl_seg import paper
from anl_seg.errors import InputError
from anl_seg.experiments.tables.published_dice import loss_name, published_dice


def test_the_table_is_complete():
    assert len(paper.published(6)) == 6 * 7
    assert set(Counter(cell.loss for cell in paper.published(6)).values()) == {7}


def test_figures_named_in_the_text_of_the_paper():
    """Section VI.F prints 77.3 at the highest noise; T-Loss leads once, in the column 0.5, 0.7."""
    assert published_dice(0.7, 0.7)["anl-ce"].mean == 77.3
    for (alpha, beta), best in {
        (0.3, 0.5): "anl-ce",
        (0.3, 0.7): "anl-ce",
        (0.5, 0.5): "anl-ce",
        (0.5, 0.7): "t-loss",
        (0.7, 0.5): "anl-ce",
        (0.7, 0.7): "anl-ce",
    }.items():
        column = published_dice(alpha, beta)
        assert max(column, key=lambda method: column[method].mean) == best


def test_without_noise_there_is_no_second_rate():
    assert published_dice(0.0, None) == published_dice(0.0, 0.0)
    assert published_dice(0.0, None)["nce+rce"].mean == 82.9


def test_without_rates_there_is_no_column():
    assert published_dice(None, None, "HD95") == {}


@pytest.mark.parametrize("asked", [(0.4, 0.5), (0.7, None), (None, 0.7)])
def test_a_column_that_is_not_there(asked):
    with pytest.raises(InputError, match="no such column, only 0"):
        published_dice(*asked)


def test_dice_only():
    with pytest.raises(InputError, match="contains Dice only"):
        published_dice(0.7, 0.7, "IoU")


@pytest.mark.parametrize(
    ("run", "loss"),
    [("ANL_CE", "anl-ce"), ("APL", "nce+rce"), ("t-loss", "t-loss"), ("Dice+CE", "dice+ce")],
)
def test_names_of_runs(run, loss):
    assert loss_name(run) == loss
