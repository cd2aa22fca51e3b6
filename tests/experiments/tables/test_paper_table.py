"""The runs of each cell of the paper's tables."""

from __future__ import annotations

from collections import Counter

import pytest

from anl_seg import paper
from anl_seg.errors import InputError
from anl_seg.experiments.tables.paper_table import Choice, lay_out, runs_of, runs_to_do


def run_of(number, row, column, **choice):
    """The first run of a cell."""
    table = lay_out(number, Choice(rows=[row], columns=[column], **choice))
    (cell,) = table.cells.values()
    return cell.runs[0]


@pytest.mark.parametrize(
    ("number", "n_cells", "n_runs"),
    [(1, 15, 45), (2, 120, 360), (3, 120, 360), (4, 14, 7), (5, 3, 9), (6, 42, 126), (7, 4, 4)],
)
def test_every_cell_has_its_runs(number, n_cells, n_runs):
    table = lay_out(number)
    assert len(table.cells) == n_cells
    assert all(cell.published for cell in table.cells.values())
    assert len({run.id for run in runs_of(table)}) == len(runs_of(table)) == n_runs
    assert not table.changes


@pytest.mark.parametrize(
    ("column", "noise", "eta"),
    [
        ("Clean", "clean", None),
        ("Sym-0.8", "symmetric", 0.8),
        ("Asym-0.2", "asymmetric", 0.2),
        ("Dep-0.4", "instance", 0.4),
        ("Real", "human", None),
    ],
)
@pytest.mark.parametrize(("number", "protocol"), [(2, "cifar10"), (3, "cifar100")])
def test_the_columns_of_tables_2_and_3(number, protocol, column, noise, eta):
    settings = run_of(number, "ALF", column).settings
    assert (settings["protocol"], settings["loss"]) == (protocol, "nce+agce")
    assert (settings["noise"], settings["eta"]) == (noise, eta)
    assert settings["loss_parameters"] == {}


def test_table_1_takes_the_parts_of_anl_ce():
    """Section VI-C-4: alpha or beta 5 and delta 5e-5, which are ANL-CE's own on CIFAR-10."""
    assert run_of(1, "NCE", "Clean").settings["loss_parameters"] == {"beta": 0.0}
    assert run_of(1, "NNCE", "Clean").settings["loss_parameters"] == {"alpha": 0.0}
    assert {run.settings["loss"] for run in runs_of(lay_out(1))} == {"anl-ce"}


def test_tables_1_and_2_share_the_runs_of_anl_ce():
    assert run_of(1, "anl-ce", "sym-0.4").id == run_of(2, "anl-ce", "sym-0.4").id


def test_one_run_makes_both_columns_of_table_4():
    table = lay_out(4, Choice(rows=["ce"]))
    clean, noisy = table.cells["ce", "ILSVRC12 Val"], table.cells["ce", "WebVision Val"]
    assert clean.runs == noisy.runs
    assert (clean.metric, noisy.metric) == ("ilsvrc12-val_accuracy", "test_accuracy")


def test_table_6_is_the_papers_protocol():
    settings = run_of(6, "T-Loss", "0.3/0.7").settings
    expected = dict(loss="t-loss", eta_alpha=0.3, eta_beta=0.7, protocol="isic2017", size=256)
    assert settings.items() >= dict(expected, epochs=100, small=False, fold="all").items()


@pytest.mark.parametrize(("number", "seeds"), [(2, {1, 2, 3}), (4, {1}), (6, {1, 2, 3}), (7, {1})])
def test_seeds(number, seeds):
    assert {run.settings["seed"] for run in runs_of(lay_out(number))} == seeds
    chosen = runs_of(lay_out(number, Choice(seeds=[7])))
    assert {run.settings["seed"] for run in chosen} == {7}


def test_all_cells_get_a_first_seed_before_a_second():
    seeds = [run.settings["seed"] for run in runs_of(lay_out(6))]
    assert seeds == sorted(seeds)
    assert Counter(seeds) == {1: 42, 2: 42, 3: 42}


@pytest.mark.parametrize(
    ("number", "row", "column", "loss", "found"),
    [
        (2, "ANL_CE", "sym0.40", "anl-ce", "Sym-0.4"),
        (2, "anl-ce*", "CLEAN", "anl-ce*", "Clean"),
        (2, "nce+rce", "Dep 0.2", "nce+rce", "Dep-0.2"),
        (6, "apl", ".7 / .7", "nce+rce", "0.7/0.7"),
        (6, "tloss", "0", "t-loss", "0.0"),
        (6, "dice+ce", "0.5/0.5", "dice+ce", "0.5/0.5"),
    ],
)
def test_names_are_forgiven(number, row, column, loss, found):
    assert list(lay_out(number, Choice(rows=[row], columns=[column])).cells) == [(loss, found)]


def test_rows_that_the_paper_lacks():
    table = lay_out(2, Choice(rows=["nfl+mae", "ce"], columns=["clean"]))
    assert table.rows == {"nfl+mae": "nfl+mae", "ce": "CE"}
    assert table.cells["nfl+mae", "Clean"].published is None


def test_impossible_columns_of_digits_are_left_out():
    table = lay_out(2, Choice(settings={"protocol": "digits"}))
    assert len(table.columns) == 9
    assert "Real" not in table.columns
    assert table.left_out == ("Real: digits has no second set of human labels",)
    assert table.changes == {"protocol": "digits"}


def test_photographs_have_noisy_labels():
    table = lay_out(2, Choice(settings={"protocol": "animal10n"}))
    assert table.columns == ("Clean",)
    assert len(table.left_out) == 9


def test_the_small_scale():
    table = lay_out(6, Choice(scale="small", settings={"data": "sample"}))
    assert list(table.rows) == ["dice+ce", "gce", "anl-ce"]
    assert table.columns == ("0.0", "0.3/0.7", "0.7/0.7")
    assert len(runs_of(table)) == 27
    settings = runs_of(table)[0].settings
    assert settings["data"].endswith("/sample")
    assert (settings["size"], settings["small"], settings["protocol"]) == (
        64,
        True,
        "isic2017-poly",
    )
    assert table.changes.keys() >= {"data", "size", "small", "protocol"}


def test_the_small_scale_may_show_more():
    table = lay_out(6, Choice(scale="small", rows=["mae"], columns=["0.5/0.5"]))
    assert list(table.cells) == [("mae", "0.5/0.5")]


def test_without_data_the_small_scale_is_of_the_phantom_and_says_so():
    assert lay_out(6, Choice(scale="small")).changes["data"] == "phantom"


def test_settings_reach_the_losses_that_have_them():
    settings = {"epochs": 5, "q": 0.5, "device": "cpu"}
    runs = runs_of(lay_out(2, Choice(rows=["ce", "gce"], columns=["clean"], settings=settings)))
    parameters = {run.settings["loss"]: run.settings["loss_parameters"] for run in runs}
    assert parameters == {"ce": {}, "gce": {"q": 0.5}}
    assert {run.settings["epochs"] for run in runs} == {5}
    assert {run.settings["device"] for run in runs} == {"cpu"}


def test_settings_of_segmentation():
    settings = {"alpha": 2, "iterations": 4, "precision": "bf16"}
    run = run_of(6, "anl-ce", "0.7/0.7", settings=settings)
    assert run.settings["loss_parameters"]["alpha"] == 2.0
    assert (run.settings["iterations"], run.settings["precision"]) == (4, "bf16")


def test_the_part_that_table_1_removes_stays_removed():
    settings = {"alpha": 3.0, "beta": 2.0}
    assert run_of(1, "nce", "Clean", settings=settings).settings["loss_parameters"] == {
        "alpha": 3.0,
        "beta": 0.0,
    }


def test_settings_that_keep_the_papers_experiment():
    assert not lay_out(2, Choice(settings={"data": "x", "device": "cuda"})).changes
    assert lay_out(2, Choice(settings={"epochs": 3})).changes == {"epochs": 3}


def test_human_labels_go_to_their_column_only():
    settings = {"human": "cifar-n"}
    assert run_of(2, "ce", "Real", settings=settings).settings["human"] == "cifar-n"
    assert run_of(2, "ce", "Clean", settings=settings).settings["human"] is None


def test_human_labels_are_asked_for_before_anything_runs():
    with pytest.raises(InputError, match=r"with --human .*, or choose other columns"):
        runs_to_do(lay_out(2))
    assert len(runs_to_do(lay_out(2, Choice(settings={"human": "cifar-n"})))) == 360
    assert len(runs_to_do(lay_out(2, Choice(columns=["clean"])))) == 36


@pytest.mark.parametrize(
    ("number", "choice", "message"),
    [
        (8, Choice(), "table 8 has no runs; choose one of 1, 2"),
        (2, Choice(rows=["foo"]), "unknown row 'foo'; choose from ce, fl"),
        (2, Choice(columns=["Sym-0.3"]), "unknown column 'Sym-0.3'; choose from Clean, Sym-0.2"),
        (2, Choice(scale="small"), "Table II has no scale 'small'.*--dataset digits"),
        (6, Choice(scale="tiny"), "no scale 'tiny'; it has full, small"),
        (2, Choice(settings={"eta": 0.3}), "eta: set by the table"),
        (6, Choice(settings={"eta_beta": 0.3}), "eta_beta: set by the table"),
        (2, Choice(settings={"seed": 4}), "seed: set by the table"),
        (2, Choice(settings={"nu": 1.0}), "unknown nu; valid are .*epochs"),
        (2, Choice(rows=["ce"], settings={"q": 0.5}), "unknown q"),
        (2, Choice(settings={"epochs": "many"}), "epochs must be a whole number, got 'many'"),
        (2, Choice(settings={"protocol": "mars"}), "unknown protocol 'mars'"),
        (
            2,
            Choice(columns=["Real"], settings={"protocol": "digits"}),
            "no column of the table remains",
        ),
        (6, Choice(settings={"protocol": "mars"}), "unknown protocol 'mars'"),
        (2, Choice(seeds=[1, 2, 1]), "the seeds 1, 2, 1 name one twice.*; give each seed once"),
    ],
)
def test_what_is_refused(number, choice, message):
    with pytest.raises(InputError, match=message):
        lay_out(number, choice)


def test_columns_keep_the_order_asked_for():
    table = lay_out(2, Choice(columns=["real", "clean"]))
    assert table.columns == ("Real", "Clean")
    assert lay_out(2, Choice(columns=["real", "clean", "REAL"])).columns == ("Real", "Clean")
    assert list(lay_out(2).columns) == list(dict.fromkeys(c.column for c in paper.published(2)))
