"""Files: equal to nnU-Net's own evaluation, readable by its loader, complete in the CSV."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.evaluation import Conventions, evaluate_folders, summarize, write_results
from anl_seg.evaluation.summary_files import cases_csv, summary_content

KEYS = {"Dice", "IoU", "TP", "FP", "FN", "TN", "n_pred", "n_ref"}


def random_masks(shape, n_cases, n_labels):
    """Pairs of label maps; no mask of the first case holds label 2, and the second's is empty."""
    rng = np.random.default_rng(7)
    pairs = []
    for case in range(n_cases):
        reference = rng.integers(0, n_labels, shape, dtype=np.uint8)
        change = rng.random(shape) < 0.3
        prediction = np.where(change, rng.integers(0, n_labels, shape), reference).astype(np.uint8)
        pair = [prediction, reference]
        if case == 0:
            pair = [np.where(mask == 2, 0, mask).astype(np.uint8) for mask in pair]
        if case == 1:
            pair[0] = np.zeros_like(prediction)
        pairs.append(pair)
    return pairs


@pytest.fixture
def write_pairs(tmp_path):
    def write(pairs, ending):
        folders = [tmp_path / "pred", tmp_path / "labelsTs"]
        for folder in folders:
            folder.mkdir()
        for number, pair in enumerate(pairs):
            for folder, mask in zip(folders, pair, strict=True):
                path = folder / f"case_{number}{ending}"
                if ending == ".png":
                    Image.fromarray(mask).save(path)
                else:
                    sitk.WriteImage(sitk.GetImageFromArray(mask), str(path))
        return folders

    return write


def assert_equal_figures(ours, theirs):
    """All of nnU-Net's figures are there and equal; ours has more."""
    assert ours.keys() == theirs.keys()
    for label, figures in theirs.items():
        assert ours[label].keys() > figures.keys() == KEYS
        for name, value in figures.items():
            assert ours[label][name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("shape", "ending", "reader", "labels", "ignore_label"),
    [
        ((16, 16), ".png", "natural_image_reader_writer.NaturalImage2DIO", {"a": 1, "b": 2}, None),
        ((4, 9, 8), ".nii.gz", "simpleitk_reader_writer.SimpleITKIO", {"a": 1, "b": 2}, None),
        ((4, 9, 8), ".nii.gz", "simpleitk_reader_writer.SimpleITKIO", {"a": 1, "ignore": 2}, 2),
        (
            (9, 8),
            ".png",
            "natural_image_reader_writer.NaturalImage2DIO",
            {"a": [1, 2], "b": 2},
            None,
        ),
    ],
    ids=["2D PNG", "3D NIfTI", "ignore label", "regions"],
)
def test_equal_to_nnunet(
    write_pairs, tmp_path, monkeypatch, shape, ending, reader, labels, ignore_label
):
    theirs = pytest.importorskip("nnunetv2.evaluation.evaluate_predictions")
    module, name = reader.split(".")
    reader_class = getattr(pytest.importorskip(f"nnunetv2.imageio.{module}"), name)
    # nnU-Net starts a process per file even for a few tiny ones; the same calls, in this process.
    monkeypatch.setattr(theirs.multiprocessing, "get_context", lambda _: InThisProcess())

    pairs = random_masks(shape, n_cases=5, n_labels=3)
    if ignore_label is not None:  # nnU-Net never predicts it
        pairs = [(np.minimum(prediction, 1), reference) for prediction, reference in pairs]
    pred, ref = write_pairs(pairs, ending)
    (pred / "dataset.json").write_text(json.dumps({"labels": {"background": 0, **labels}}))
    (pred / "plans.json").write_text("{}")

    classes = [
        tuple(value) if isinstance(value, list) else value
        for name, value in labels.items()
        if name != "ignore"
    ]
    theirs.compute_metrics_on_folder(
        str(ref),
        str(pred),
        str(tmp_path / "theirs.json"),
        reader_class(),
        ending,
        classes,
        ignore_label,
    )
    expected = theirs.load_summary_json(str(tmp_path / "theirs.json"))
    write_results(summarize(evaluate_folders(pred, ref)), tmp_path / "ours")
    summary = theirs.load_summary_json(str(tmp_path / "ours" / "summary.json"))

    assert summary.keys() == expected.keys() | {"anl_seg"}
    assert_equal_figures(summary["mean"], expected["mean"])
    assert_equal_figures({0: summary["foreground_mean"]}, {0: expected["foreground_mean"]})
    assert len(summary["metric_per_case"]) == len(expected["metric_per_case"]) == 5
    for ours, other in zip(summary["metric_per_case"], expected["metric_per_case"], strict=True):
        assert ours.keys() == other.keys()
        assert ours["prediction_file"] == other["prediction_file"]
        assert ours["reference_file"] == other["reference_file"]
        assert_equal_figures(ours["metrics"], other["metrics"])


class InThisProcess:
    """Stands in for nnU-Net's pool of processes."""

    def Pool(self, _):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def starmap(self, function, arguments):
        return [function(*each) for each in arguments]


def test_class_that_no_mask_holds_is_nan_as_in_nnunet(write_pairs, tmp_path):
    pred, ref = write_pairs(random_masks((8, 8), n_cases=3, n_labels=2), ".png")
    write_results(summarize(evaluate_folders(pred, ref, labels=[1, 2])), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert math.isnan(summary["mean"]["2"]["Dice"])
    assert math.isnan(summary["foreground_mean"]["Dice"])
    assert summary["anl_seg"]["classes"]["2"]["n_both_empty"] == 3
    assert summary["anl_seg"]["classes"]["2"]["n_scored"] == 0


def test_both_empty_is_left_out_of_the_mean_and_counted(write_pairs, tmp_path):
    quarter = np.zeros((4, 4), np.uint8)
    quarter[:2, :2] = 1
    half = np.zeros((4, 4), np.uint8)
    half[:2] = 1
    empty = np.zeros((4, 4), np.uint8)
    pred, ref = write_pairs([(quarter, quarter), (quarter, half), (empty, empty)], ".png")
    write_results(summarize(evaluate_folders(pred, ref)), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["mean"]["1"]["Dice"] == pytest.approx((1 + 8 / 12) / 2)
    assert summary["mean"]["1"]["IoU"] == pytest.approx((1 + 4 / 8) / 2)
    assert summary["mean"]["1"]["n_ref"] == pytest.approx((4 + 8 + 0) / 3)
    ours = summary["anl_seg"]
    assert (ours["schema"], ours["n_cases"], ours["ignore_label"]) == (2, 3, None)
    assert ours["labels_source"] == "found in the references"
    found = ours["classes"]["1"]
    assert (found["n_scored"], found["n_both_empty"]) == (2, 1)
    assert (found["n_missed"], found["n_extra"]) == (0, 0)
    assert found["pooled"]["Dice"] == pytest.approx(2 * 8 / (8 + 12))
    assert found["pooled"]["IoU"] == pytest.approx(8 / 12)
    assert found["statistics"]["Dice"]["n"] == 2
    assert found["statistics"]["Dice"]["median"] == pytest.approx((1 + 8 / 12) / 2)
    assert ours["conventions"]["both_empty"].startswith("nan (undefined")


@pytest.mark.parametrize(("rule", "mean"), [("one", (1 + 0 + 1) / 3), ("zero", (1 + 0 + 0) / 3)])
def test_empty_rule_is_applied_and_written(write_pairs, tmp_path, rule, mean):
    full, empty = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    pred, ref = write_pairs([(full, full), (empty, full), (empty, empty)], ".png")
    evaluation = evaluate_folders(pred, ref, conventions=Conventions(empty=rule))
    summary = summary_content(summarize(evaluation))
    assert summary["mean"]["1"]["Dice"] == pytest.approx(mean)
    assert summary["anl_seg"]["classes"]["1"]["statistics"]["Dice"]["n"] == 3
    assert summary["anl_seg"]["classes"]["1"]["n_missed"] == 1
    assert summary["anl_seg"]["settings"]["empty"] == rule
    assert summary["anl_seg"]["conventions"]["both_empty"].startswith(rule)


def test_surfaces_and_their_conventions_are_written(write_pairs, tmp_path):
    pred, ref = write_pairs(random_masks((4, 9, 8), n_cases=2, n_labels=2), ".nii.gz")
    evaluation = evaluate_folders(
        pred, ref, conventions=Conventions(surfaces=True, tolerance=1.5, seed=7)
    )
    summary = summary_content(summarize(evaluation))
    assert {"HD95", "ASSD", "NSD"} < summary["mean"]["1"].keys()
    assert {"HD95", "ASSD", "NSD"} < summary["anl_seg"]["classes"]["1"]["statistics"].keys()
    assert summary["anl_seg"]["settings"] == {
        **{"empty": "nan", "surfaces": True, "unit": "mm"},
        **{"tolerance": 1.5, "seed": 7, "threshold": None},
    }
    assert "within 1.5 mm" in summary["anl_seg"]["conventions"]["NSD"]
    assert "seed 7" in summary["anl_seg"]["conventions"]["confidence_interval"]


def test_csv_is_long(write_pairs, tmp_path):
    pred, ref = write_pairs(random_masks((8, 8), n_cases=3, n_labels=3), ".png")
    (pred / "dataset.json").write_text(json.dumps({"labels": {"a": 1, "b, c": 2}}))
    evaluation = evaluate_folders(pred, ref)
    _, path = write_results(summarize(evaluation), tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * (7 + 6)
    assert list(rows[0].values())[:-1] == ["case_0", "1", "a", "", "given", "Dice"]
    found = {(row["case"], row["class"], row["metric"]): float(row["value"]) for row in rows}
    assert math.isnan(found["case_0", "2", "Dice"])  # case_0 has no label 2
    assert {row["name"] for row in rows if row["class"] == "2"} == {"b, c"}
    for case in evaluation.cases:
        for label, values in case.values.items():
            for name, value in values.items():
                written = found[case.case, str(label), name]
                assert written == value or (math.isnan(written) and math.isnan(value))


def test_noisy_references_are_written_beside_the_clean(write_pairs, tmp_path):
    full, half = np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    half[:2] = 1
    pred, ref = write_pairs([(half, full), (full, full)], ".png")
    Image.fromarray(half).save(tmp_path / "noisy.png")
    rows = [
        {"case": "case_0", "kind": "erosion", "file": "noisy.png"},
        {"case": "case_1", "kind": "clean", "file": "labelsTs/case_1.png"},
    ]
    manifest = tmp_path / "noise_manifest.json"
    manifest.write_text(json.dumps({"cases": rows}))
    evaluation = evaluate_folders(pred, ref, noise_manifest=manifest)
    summary = summary_content(summarize(evaluation))
    first, second = summary["metric_per_case"]
    assert (first["noise"], second["noise"]) == ("erosion", "clean")
    assert first["metrics"]["1"]["Dice"] == pytest.approx(16 / 24)
    assert first["metrics_noisy"]["1"]["Dice"] == 1.0
    assert [row["kind"] for row in summary["anl_seg"]["memorisation"]] == ["erosion", "clean"]
    assert summary["anl_seg"]["memorisation"][0]["gap"]["mean"] == pytest.approx(8 / 24)
    lines = cases_csv(evaluation).splitlines()
    assert f"case_0,1,,erosion,given,Dice,{16 / 24}" in lines
    assert "case_0,1,,erosion,noisy,Dice,1.0" in lines
