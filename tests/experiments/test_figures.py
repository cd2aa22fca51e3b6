"""Figures 2 to 8: the runs that each one needs, and that it shows their numbers."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pytest
from matplotlib import cbook
from PIL import Image

from anl_seg.classification.gradients import describe_boxes
from anl_seg.cli import main
from anl_seg.errors import CommandFailedError, InputError
from anl_seg.experiments.figures import draw_figure, missing_runs, runs_of_figure
from anl_seg.experiments.figures import drawing as drawing_module
from anl_seg.experiments.figures.gradients import _evenly
from anl_seg.experiments.runs.records import RunRecord, write_record
from anl_seg.experiments.runs.run import make_run
from anl_seg.noise import NoiseSettings, corrupt_masks

CLASSES = ["cat", "dog"]


def ids(number, dataset="digits", **settings):
    return [piece.run.id for piece in runs_of_figure(number, dataset, settings)]


def log(epochs=3, start=0.2):
    return [
        {
            "epoch": 1 + place,
            "test_accuracy": start + place / 10,
            "clean_accuracy": start + place / 8,
            "mislabelled_accuracy": start / 2,
            "loss": 1.0,
            "lr": 0.1,
        }
        for place in range(epochs)
    ]


def boxes(epochs=3):
    rng = np.random.default_rng(0)
    values = [np.exp(rng.standard_normal(50) + place) for place in range(epochs)]
    wrong = np.arange(50) % 2 == 0
    return values, wrong, [describe_boxes(value, wrong) for value in values]


def make(root, pieces):
    """Folders of finished runs, whose accuracies begin at 0.01, 0.02 and so on."""
    for place, run in enumerate({piece.run.id: piece.run for piece in pieces}.values()):
        folder = root / run.id
        rows = log(start=(1 + place) / 100)
        write_record(folder, RunRecord(run.id, run.kind, dict(run.settings), status="done"))
        (folder / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        shares = {"clean labels": [0.5, 0.5], "given labels": [0.25, 0.75]}
        shares["predicted"] = [(1 + place) / 10, 1 - (1 + place) / 10]
        (folder / "marginals.json").write_text(json.dumps({"classes": CLASSES, **shares}))
        lines = (json.dumps({"epoch": 1, "gradients": each}) for each in boxes()[2])
        (folder / "gradients.jsonl").write_text("".join(f"{line}\n" for line in lines))


def draw(number, root, output=None, dataset="digits"):
    """The rows of the CSV as dictionaries."""
    pieces = runs_of_figure(number, dataset)
    numbers = draw_figure(number, pieces, root, output or root / "figure.png")
    with numbers.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def figure(monkeypatch):
    """The matplotlib figure that was drawn last."""
    kept = []

    def keeping(function):
        def keep(placed):
            kept.append(function(placed))
            return kept[-1]

        return keep

    wrapped = {number: keeping(each) for number, each in drawing_module.FIGURES.items()}
    monkeypatch.setattr(drawing_module, "FIGURES", wrapped)
    return lambda: kept[-1].figure


def test_usual_runs_have_the_ids_that_tables_give_them():
    settings = {"protocol": "digits", "noise": "symmetric", "eta": 0.8, "seed": 2}
    plain = {
        loss: make_run("classification", {**settings, "loss": loss}).id
        for loss in ("ce", "mae", "nce+rce", "anl-ce")
    }
    third = ids(3, seed=2)
    assert [third[0], third[1], third[2], third[4]] == list(plain.values())
    assert plain["anl-ce"] in ids(4, seed=2)  # L1 with the weight of Table VIII
    assert plain["nce+rce"] in ids(5, seed=2)  # L2 likewise
    assert plain["anl-ce"] in ids(5, seed=2)  # the comparison
    assert third[3] in ids(8, seed=2)  # ANL-CE with L2 and alpha = beta = 5
    assert plain["anl-ce"] in ids(7, seed=2)


@pytest.mark.parametrize(
    ("number", "different", "places"), [(2, 3, 3), (3, 5, 5), (4, 22, 24), (5, 23, 27), (8, 25, 25)]
)
def test_how_many_runs(number, different, places):
    found = ids(number)
    assert (len(set(found)), len(found)) == (different, places)


def test_without_a_data_set_the_runs_are_the_papers():
    protocols = [piece.run.settings["protocol"] for piece in runs_of_figure(3)]
    etas = [piece.run.settings["eta"] for piece in runs_of_figure(3)]
    assert protocols == ["cifar10"] * 5 + ["cifar100"] * 5
    assert etas == [0.8] * 5 + [0.6] * 5
    assert [p.run.settings["eta"] for p in runs_of_figure(7)] == [0.6, 0.8]
    (second, *_) = runs_of_figure(2)
    assert (second.run.settings["noise"], second.run.settings["eta"]) == ("asymmetric", 0.4)


def test_penalties_are_one_at_a_time():
    for piece in runs_of_figure(4):
        usual = {"delta": 5e-5, "l2": 0.0, "jacobian": 0.0}
        given = {name: piece.run.settings[name] for name in usual}
        weights = {name: usual[name] if given[name] is None else given[name] for name in usual}
        found = {name: value for name, value in weights.items() if value}
        name = {"L1": "delta", "L2": "l2", "Jacobian": "jacobian"}[piece.column]
        assert found == ({} if piece.label == "none" else {name: float(piece.label)})


def test_weights_of_figure_8_with_the_weight_decay_of_nce_rce():
    places = {(piece.row, piece.column): piece.run for piece in runs_of_figure(8)}
    settings = places["α = 0.1", "β = 10"].settings
    assert settings["loss_parameters"] == {"alpha": 0.1, "beta": 10.0}
    assert (settings["delta"], settings["l2"]) == (0.0, 1e-4)


def test_settings_reach_all_runs():
    for piece in runs_of_figure(8, "digits", {"epochs": 2, "seed": 3, "precision": "bf16"}):
        settings = piece.run.settings
        assert (settings["epochs"], settings["seed"]) == (2, 3)
        assert settings["precision"] == "bf16"


def test_figure_6_is_a_cell_of_table_vi():
    (piece,) = runs_of_figure(6, None, {"seed": 2}, "small")
    settings = piece.run.settings
    assert (settings["loss"], settings["eta_alpha"], settings["eta_beta"]) == ("anl-ce", 0.7, 0.7)
    assert (settings["seed"], settings["small"], settings["data"]) == (2, True, "phantom")


@pytest.mark.parametrize(
    ("number", "dataset", "settings", "told"),
    [
        (1, None, {}, "figure 1 has no runs; choose one of 2, 3"),
        (3, "cifar11", {}, "unknown protocol 'cifar11'"),
        (3, "digits", {"epoch": 3}, "unknown settings epoch"),
        (3, "digits", {"epochs": "few"}, "epochs must be a whole number, got 'few'"),
        (6, "digits", {}, "figure 6 shows segmentation"),
        (3, "digits", {"loss": "ce", "epochs": 1, "eta": 0.1}, "--set eta, loss: set by figure 3"),
        (4, "digits", {"delta": 0.1}, "--set delta: set by figure 4 itself; omit it"),
        (8, "digits", {"l2": 0.1}, "--set l2: set by figure 8"),
        (2, None, {"protocol": "digits"}, "--set protocol: set by figure 2"),
        (7, None, {"labels": "noisy.npz"}, "--set labels: set by figure 7"),
        (6, None, {"eta_beta": 0.1}, "--set eta_beta: set by figure 6"),
    ],
)
def test_impossible_figures(number, dataset, settings, told):
    with pytest.raises(InputError, match=told):
        runs_of_figure(number, dataset, settings)


@pytest.mark.parametrize("number", [3, 8])
def test_accuracies_of_every_run(number, tmp_path, figure):
    pieces = runs_of_figure(number, "digits")
    make(tmp_path, pieces)
    rows = draw(number, tmp_path)
    assert len(rows) == len(pieces) * 3 * 3  # curves, epochs
    for place, piece in enumerate(pieces):
        start = 1 + place
        mine = [r for r in rows if (r["row"], r["column"]) == (piece.row, piece.column)]
        test = [float(r["percent"]) for r in mine if r["curve"] == "test"]
        assert test == pytest.approx([start, start + 10, start + 20])
        lines = {line.get_label(): line.get_ydata() for line in figure().axes[place].lines}
        assert lines["test"].tolist() == pytest.approx(test)
        assert lines["training, mislabelled"].tolist() == pytest.approx([start / 2] * 3)
    titles = [axes.get_title() for axes in figure().axes]
    assert [title for title in titles if title] == list(dict.fromkeys(p.column for p in pieces))


def test_a_curve_for_every_weight(tmp_path, figure):
    pieces = runs_of_figure(5, "digits")
    make(tmp_path, pieces)
    rows = draw(5, tmp_path)
    assert len(rows) == len(pieces) * 3
    ticks = figure().axes[0].get_xticks()
    assert ticks.tolist() == ticks.round().tolist(), "an epoch is whole"
    assert [len(axes.lines) for axes in figure().axes] == [len(pieces) // 3] * 3
    legend = [text.get_text() for text in figure().legends[0].texts]
    assert {"none", "$10^{-7}$", "$5\\cdot10^{-5}$", "ANL-CE"} <= set(legend)


def test_marginals(tmp_path, figure):
    make(tmp_path, runs_of_figure(2, "digits"))
    rows = draw(2, tmp_path)
    found = {(row["bar"], row["class"]): float(row["percent"]) for row in rows}
    assert found["clean labels", "cat"] == 50
    assert found["noisy labels", "dog"] == 75
    assert [found[loss, "cat"] for loss in ("CE", "ANL-CE", "ANL-CE*")] == pytest.approx(
        [10, 20, 30]
    )
    (axes,) = figure().axes
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in axes.containers}
    assert heights["ANL-CE"] == pytest.approx([20, 80])


def test_boxes_of_gradients(tmp_path, figure):
    make(tmp_path, runs_of_figure(7, "digits"))
    rows = draw(7, tmp_path)
    values, wrong, _ = boxes()
    assert len(rows) == 2 * 3 * 2  # panels, epochs, groups
    last = next(row for row in rows if row["epoch"] == "3" and row["images"] == "mislabelled")
    (expected,) = cbook.boxplot_stats(values[2][wrong])
    assert float(last["median"]) == pytest.approx(expected["med"])
    assert float(last["high"]) == pytest.approx(expected["whishi"])
    panel = figure().axes[0]
    means = [line for line in panel.lines if line.get_marker() == "^"]
    assert len(means) == 6
    heights = sorted(line.get_ydata()[0] for line in means)
    assert heights == pytest.approx(sorted(v[w].mean() for v in values for w in (wrong, ~wrong)))


@pytest.mark.parametrize("epochs", [1, 12, 13, 120])
def test_epochs_shown(epochs):
    shown = _evenly(epochs)
    assert (shown[0], shown[-1]) == (1, epochs)
    assert shown == sorted(set(shown))
    assert len(shown) == min(epochs, 12)


@pytest.mark.parametrize(
    ("suffix", "begins"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_formats(tmp_path, suffix, begins):
    make(tmp_path, runs_of_figure(2, "digits"))
    draw(2, tmp_path, tmp_path / f"two{suffix}")
    assert (tmp_path / f"two{suffix}").read_bytes().startswith(begins)
    assert (tmp_path / "two.csv").exists()


def test_an_unknown_format(tmp_path):
    make(tmp_path, runs_of_figure(3, "digits"))
    with pytest.raises(InputError, match=r"\.png, \.pdf, \.svg, got 'three\.doc'"):
        draw(3, tmp_path, tmp_path / "three.doc")


def test_missing_runs_are_marked_in_their_panel(tmp_path, figure):
    pieces = runs_of_figure(3, "digits")
    make(tmp_path, pieces[:2])
    failed = pieces[2].run
    write_record(
        tmp_path / failed.id,
        RunRecord(failed.id, failed.kind, dict(failed.settings), status="failed"),
    )
    rows = draw(3, tmp_path)
    assert {row["column"] for row in rows} == {"CE", "MAE"}
    texts = [[text.get_text() for text in axes.texts] for axes in figure().axes]
    assert ["not run yet" in each for each in texts] == [False, False, True, True, True]
    assert missing_runs(pieces, tmp_path) == [piece.run for piece in pieces[2:]]


def test_no_runs_no_picture(tmp_path):
    with pytest.raises(InputError, match=r"none of the runs of figure 8; .*--run"):
        draw(8, tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def segmented(tmp_path):
    """A run of figure 6 on masks with a square; what is predicted is the clean mask."""
    (piece,) = runs_of_figure(6, scale="small")
    root = tmp_path / "runs"
    raw = root / "data" / "phantom" / "nnUNet_raw"
    clean = raw / "Dataset501_Clean"
    mask = np.zeros((48, 48), np.uint8)
    mask[12:36, 12:36] = 1
    folder = root / piece.run.id
    predictions = folder / "nnUNet_results" / "Dataset502_Noisy" / "t" / "fold_all" / "validation"
    for parent in (clean / "imagesTr", clean / "labelsTr", predictions):
        parent.mkdir(parents=True)
    for number in range(12):
        case = f"case_{number:02}"
        Image.fromarray(np.stack([mask * 90] * 3, 2)).save(clean / "imagesTr" / f"{case}_0000.png")
        Image.fromarray(mask).save(clean / "labelsTr" / f"{case}.png")
        Image.fromarray(mask).save(predictions / f"{case}.png")
    dataset = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "file_ending": ".png"}
    dataset |= {"labels": {"background": 0, "lesion": 1}, "numTraining": 12}
    (clean / "dataset.json").write_text(json.dumps(dataset))
    noisy = raw / "Dataset502_Noisy"
    corrupt_masks(clean, noisy, NoiseSettings(eta_alpha=1.0, eta_beta=0.5, seed=1))
    sha256 = hashlib.sha256((noisy / "noise_manifest.json").read_bytes()).hexdigest()
    run = piece.run
    record = RunRecord(run.id, run.kind, dict(run.settings), status="done", noise_sha256=sha256)
    write_record(folder, record)
    return root


def test_masks_of_each_kind_of_noise(segmented, figure):
    root = segmented
    pieces = runs_of_figure(6, scale="small")
    numbers = draw_figure(6, pieces, root, root / "six.pdf")
    rows = list(csv.DictReader(numbers.read_text().splitlines()))
    assert [row["noise"] for row in rows] == ["affine", "dilation", "erosion"]
    assert [float(row["dice_prediction"]) for row in rows] == [1, 1, 1]
    assert all(0.4 < float(row["dice_noisy"]) < 1 for row in rows)
    panels = figure().axes
    assert len(panels) == 4 * 3
    assert [panel.get_title() for panel in panels[:3]] == ["affine", "dilation", "erosion"]
    labels = [panel.get_ylabel() for panel in panels[::3]]
    assert labels == ["image", "ground truth", "noisy mask", "prediction"]


def test_masks_whose_data_set_is_gone(segmented):
    root = segmented
    manifest = root / "data" / "phantom" / "nnUNet_raw" / "Dataset502_Noisy" / "noise_manifest.json"
    manifest.write_text("{}")
    pieces = runs_of_figure(6, scale="small")
    with pytest.raises(InputError, match="no longer contains the data set"):
        draw_figure(6, pieces, root, root / "six.png")


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["figure", *arguments])
    return ended.value.code or 0


def test_the_command_runs_what_is_missing_and_draws(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pieces = runs_of_figure(2, "digits", {"epochs": 2})
    make(tmp_path / "runs", pieces[:1])
    asked = []

    def fake(root, runs, *rest):
        asked.extend(runs)
        make(root, [piece for piece in pieces if piece.run in runs])

    monkeypatch.setattr("anl_seg.cli.execution.do_runs", fake)
    options = ("2", "--dataset", "digits", "--set", "epochs=2", "--output", "two.pdf")
    assert command(*options) == 0
    names = ", ".join(piece.run.id for piece in pieces[1:])
    assert f"missing in runs: {names}; --run does them\n" in capsys.readouterr().out
    assert command(*options, "--run") == 0
    assert asked == [piece.run for piece in pieces[1:]]
    told = capsys.readouterr().out
    assert "two.pdf and two.csv written" in told
    assert "missing" not in told


def test_the_command_draws_finished_runs_if_one_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pieces = runs_of_figure(2, "digits")
    failed = CommandFailedError("the end of log.txt")
    monkeypatch.setattr("anl_seg.cli.execution.do_runs", lambda *_: failed)
    options = ("2", "--dataset", "digits", "--run", "--output", "two.png")
    assert command(*options) == 1
    assert "the end of log.txt" in capsys.readouterr().err
    assert not (tmp_path / "two.png").exists()  # nothing is there
    make(tmp_path / "runs", pieces[1:])
    assert command(*options) == 1
    shown = capsys.readouterr()
    assert "two.png and two.csv written" in shown.out
    assert f"missing in runs: {pieces[0].run.id}; --run does them" in shown.out
    assert "the end of log.txt" in shown.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("3", "--dataset", "digits", "--output", "fig.jpg"), ".svg, got 'fig.jpg'"),
        (("3", "--dataset", "digits", "--scale", "small"), "--scale is for figure 6 only; omit it"),
        (("3", "--dataset", "digits", "--set", "seed=2"), "--set seed and --seed set the same"),
    ],
)
def test_the_command_refuses_before_any_run(tmp_path, monkeypatch, capsys, options, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("anl_seg.cli.execution.do_runs", lambda *_: pytest.fail("did runs"))
    assert command(*options, "--run") == 2
    assert told in capsys.readouterr().err


def test_the_command_without_runs(tmp_path, capsys):
    assert command("3", "--dataset", "digits", "--runs", str(tmp_path)) == 2
    assert "add --run to do them" in capsys.readouterr().err
