"""Folders of masks: pairing, sources of labels, and every kind of bad input."""

from __future__ import annotations

import json
import os
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from anl_seg.errors import CommandFailedError, InputError
from anl_seg.evaluation import Conventions, Counts, evaluate_folders
from anl_seg.processes import process_map

MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 2, 2]], dtype=np.uint8)
BINARY = (MASK == 1).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Write two dicts of case -> label map as PNG and give the two folders."""

    def write(predictions, references):
        pair = []
        for name, masks in (("pred", predictions), ("labelsTs", references)):
            folder = tmp_path / name
            folder.mkdir()
            for case, mask in masks.items():
                Image.fromarray(mask).save(folder / f"{case}.png")
            pair.append(folder)
        return pair

    return write


def problems_of(prediction_dir, reference_dir, **options):
    with pytest.raises(InputError) as error:
        evaluate_folders(prediction_dir, reference_dir, **options)
    return str(error.value)


def test_counts_per_case_and_class(folders):
    pred, ref = folders({"b": MASK, "a": BINARY}, {"a": MASK, "b": MASK})
    evaluation = evaluate_folders(pred, ref)
    assert [case.case for case in evaluation.cases] == ["a", "b"]
    first = evaluation.cases[0]
    assert (first.prediction_file, first.reference_file) == (pred / "a.png", ref / "a.png")
    assert first.counts == {1: Counts(4, 0, 0, 12), 2: Counts(0, 0, 2, 14)}
    assert evaluation.labels.source == "found in the references"


def test_track_sees_every_case_once(folders):
    seen = []

    def track(cases, description):
        seen.append((list(cases), description))
        return cases

    evaluate_folders(*folders({"a": MASK, "b": MASK}, {"a": MASK, "b": MASK}), track=track)
    assert seen == [(["a", "b"], "evaluating")]


def test_labels_of_dataset_json_in_predictions_go_before_those_beside_references(folders):
    pred, ref = folders({"a": BINARY}, {"a": BINARY})
    beside = ref.parent / "dataset.json"
    beside.write_text(json.dumps({"labels": {"background": 0, "mole": 1}}))
    evaluation = evaluate_folders(pred, ref)
    assert (evaluation.labels.names, evaluation.labels.source) == ({1: "mole"}, f"from {beside}")

    copied = pred / "dataset.json"
    copied.write_text(json.dumps({"labels": {"background": 0, "lesion": 1, "absent": 2}}))
    evaluation = evaluate_folders(pred, ref)
    assert evaluation.labels.names == {1: "lesion", 2: "absent"}
    assert evaluation.cases[0].counts[2].both_empty
    assert evaluate_folders(pred, ref, labels=[1]).labels.source == "as given"


def test_regions_are_unions_of_labels(folders):
    pred, ref = folders({"a": MASK}, {"a": np.where(MASK == 2, 1, MASK).astype(np.uint8)})
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    (pred / "dataset.json").write_text(json.dumps({"labels": labels}))
    counts = evaluate_folders(pred, ref).cases[0].counts
    assert counts == {(1, 2): Counts(6, 0, 0, 10), (2,): Counts(0, 2, 0, 14)}


def test_ignored_pixels_may_hold_anything_in_the_prediction(folders):
    reference = BINARY.copy()
    reference[0] = 2
    prediction = BINARY.copy()
    prediction[0] = 9
    counts = evaluate_folders(*folders({"a": prediction}, {"a": reference}), ignore_label=2)
    assert counts.cases[0].counts == {1: Counts(4, 0, 0, 8)}


def test_masks_of_0_and_255_are_scored_when_both_sides_have_them(folders):
    evaluation = evaluate_folders(*folders({"a": BINARY * 255}, {"a": BINARY * 255}))
    assert evaluation.cases[0].counts == {255: Counts(4, 0, 0, 12)}


def test_missing_predictions_are_counted_and_the_first_named(folders):
    references = {f"case_{i:02}": MASK for i in range(30)}
    pred, ref = folders({"case_00": MASK}, references)
    message = problems_of(pred, ref)
    assert message.startswith(f"{pred}: no prediction of the same name for 29 of 30 references")
    assert "case_01, case_02" in message
    assert "case_10, and 19 more" in message
    assert "\n" not in message


def test_extra_prediction(folders):
    pred, ref = folders({"a": MASK, "b": MASK}, {"a": MASK})
    message = problems_of(pred, ref)
    assert message.startswith(f"{ref}: no reference of the same name for 1 of 2 predictions: b;")


@pytest.mark.parametrize(
    ("prediction", "options", "found"),
    [
        (BINARY * 255, {"labels": [1]}, "label 255 in 1 of 1 masks (a), expected only 0, 1 "),
        (BINARY * 255, {}, "label 255 in 1 of 1 masks (a), expected only 0, 1 "),
        (np.where(MASK == 2, 7, MASK).astype(np.uint8), {}, "label 7 in 1 of 1 masks (a)"),
    ],
    ids=["0/255", "0/255, labels found", "0/1/7"],
)
def test_unknown_label(folders, prediction, options, found):
    pred, ref = folders({"a": prediction}, {"a": BINARY})
    message = problems_of(pred, ref, **options)
    assert message.startswith(f"{pred}: {found}")
    assert "nnU-Net masks contain 0..K-1" in message
    assert "--labels" in message


def test_every_kind_of_problem_is_listed_at_once(folders):
    good = {case: BINARY for case in ("fine", "text", "colour", "shape", "high", "twice")}
    pred, ref = folders({**good, "extra": BINARY}, {**good, "missing": BINARY})
    (pred / "text.png").write_text("not an image")
    Image.fromarray(np.stack([MASK] * 3, axis=-1)).save(ref / "colour.png")
    Image.fromarray(BINARY[:3]).save(pred / "shape.png")
    Image.fromarray(BINARY * 255).save(pred / "high.png")
    for folder in (pred, ref):
        (folder / "twice.png").write_bytes(b"")
    message = problems_of(pred, ref, labels=[1])
    lines = message.splitlines()
    assert lines[0] == "8 problems, nothing evaluated:"
    assert len(lines) == 9
    for part in (
        f"{pred}: no prediction of the same name for 1 of 7 references: missing",
        f"{ref}: no reference of the same name for 1 of 7 predictions: extra",
        f"{pred / 'text.png'}: cannot be read",
        f"{ref / 'colour.png'}: is a colour or palette image",
        f"{pred / 'shape.png'}: has 3 x 4 pixels, its reference {ref / 'shape.png'} has 4 x 4",
        f"{pred}: label 255 in 1 of 2 masks (high)",
        f"{pred / 'twice.png'}: cannot be read",
        f"{ref / 'twice.png'}: cannot be read",
    ):
        assert part in message


def test_many_problems_are_counted_and_the_first_named(folders):
    cases = {f"case_{i:02}": BINARY for i in range(14)}
    pred, ref = folders(cases, cases)
    for case in cases:
        (pred / f"{case}.png").write_text("not an image")
    lines = problems_of(pred, ref).splitlines()
    assert lines[0] == "14 problems, nothing evaluated:"
    assert [line.split(".png")[0] for line in lines[1:11]] == [
        f"  {pred / case}" for case in list(cases)[:10]
    ]
    assert lines[11:] == ["  and 4 more"]


def test_many_masks_with_an_unknown_label_are_counted_and_the_first_named(folders):
    cases = {f"case_{i:02}": BINARY for i in range(12)}
    pred, ref = folders({case: mask * 7 for case, mask in cases.items()}, cases)
    message = problems_of(pred, ref)
    assert message.startswith(f"{pred}: label 7 in 12 of 12 masks (case_00, case_01")
    assert "case_09, and 2 more)" in message
    assert "case_10" not in message


def write_solid(folder, case, mask, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    image = sitk.GetImageFromArray(mask)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(folder / f"{case}.nii.gz"))


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"spacing": (1.0, 1.0, 2.0)}, "has spacing (2, 1, 1), its reference"),
        ({"origin": (0.0, 5.5, 0.0)}, "has origin (0, 5.5, 0), its reference"),
    ],
)
def test_geometry_must_agree(tmp_path, changed, found):
    pred, ref = tmp_path / "pred", tmp_path / "ref"
    for case in ("a", "b"):
        write_solid(pred, case, np.stack([BINARY] * 3), **(changed if case == "b" else {}))
        write_solid(ref, case, np.stack([BINARY] * 3))
    message = problems_of(pred, ref)
    assert message.startswith(f"{pred / 'b.nii.gz'}: {found}")
    assert "\n" not in message


def test_rounded_geometry_agrees(tmp_path):
    pred, ref = tmp_path / "pred", tmp_path / "ref"
    write_solid(pred, "a", np.stack([BINARY] * 3), (0.7031, 0.7031, 5.0), (-180.001, 3.0, 9.0))
    write_solid(ref, "a", np.stack([BINARY] * 3), (0.703125, 0.703125, 5.0), (-180.0, 3.0, 9.0))
    assert evaluate_folders(pred, ref).cases[0].values[1]["Dice"] == 1.0


SURFACES = Conventions(surfaces=True, tolerance=1.0)


def test_surfaces_in_mm_and_in_pixels(tmp_path, folders):
    moved = np.roll(BINARY, 1, axis=1)
    pred, ref = tmp_path / "solid_pred", tmp_path / "solid_ref"
    write_solid(pred, "a", moved[None], spacing=(0.5, 2.0, 999.0))
    write_solid(ref, "a", BINARY[None], spacing=(0.5, 2.0, 999.0))
    in_mm = evaluate_folders(pred, ref, conventions=SURFACES)
    assert in_mm.conventions.unit == "mm"
    assert in_mm.cases[0].values[1]["HD95"] == pytest.approx(0.5)
    assert in_mm.metrics[-3:] == ("HD95", "ASSD", "NSD")

    in_pixels = evaluate_folders(*folders({"a": moved}, {"a": BINARY}), conventions=SURFACES)
    assert in_pixels.conventions.unit == "px"
    assert in_pixels.cases[0].values[1]["HD95"] == pytest.approx(1.0)


def test_masks_of_more_than_three_axes_are_refused(tmp_path):
    for name in ("pred", "ref"):
        (tmp_path / name).mkdir()
        image = sitk.GetImageFromArray(np.stack([BINARY] * 4).reshape(2, 2, 4, 4), isVector=False)
        sitk.WriteImage(image, str(tmp_path / name / "a.nrrd"))
    message = problems_of(tmp_path / "pred", tmp_path / "ref")
    for name in ("pred", "ref"):
        file = tmp_path / name / "a.nrrd"
        assert f"{file}: has 4 dimensions, expected 2 or 3; save one volume" in message


def test_lengths_in_mm_and_pixels_are_not_averaged(tmp_path, folders):
    pred, ref = folders({"flat": BINARY}, {"flat": BINARY})
    for folder in (pred, ref):
        write_solid(folder, "solid", np.stack([BINARY] * 3))
    assert "1 of 2 cases have no pixel spacing (flat)" in problems_of(
        pred, ref, conventions=SURFACES
    )
    assert len(evaluate_folders(pred, ref).cases) == 2


def test_surfaces_of_regions_absent_classes_and_ignored_pixels(folders):
    reference = np.where(MASK == 2, 3, MASK).astype(np.uint8)  # 3 is ignored
    pred, ref = folders({"a": MASK}, {"a": reference})
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    (pred / "dataset.json").write_text(json.dumps({"labels": labels}))
    values = evaluate_folders(pred, ref, conventions=SURFACES).cases[0].values
    assert values[1, 2]["HD95"] == 0.0  # where 2 was predicted is ignored
    assert np.isnan(values[2,]["HD95"])
    values = evaluate_folders(pred, ref, labels=[1, 2], ignore_label=3, conventions=SURFACES)
    assert values.cases[0].values[1]["NSD"] == 1.0


def test_ignored_pixels_are_no_background(folders):
    """All that is not ignored is class 1 in both masks, so that neither holds the background."""
    reference = np.where(MASK == 2, 3, 1).astype(np.uint8)
    pred, ref = folders({"a": np.ones_like(MASK)}, {"a": reference})
    values = evaluate_folders(pred, ref, labels=[0, 1], ignore_label=3, conventions=SURFACES)
    assert np.isnan(values.cases[0].values[0]["HD95"])
    assert values.cases[0].values[1]["HD95"] == 0.0


def test_classes_found_late_have_surfaces_in_every_case(folders):
    masks = {"a": BINARY, "b": MASK}
    evaluation = evaluate_folders(*folders(masks, masks), conventions=SURFACES)
    first, second = evaluation.cases
    assert np.isnan(first.values[2]["HD95"])
    assert second.values[2]["HD95"] == 0.0


def test_several_processes_give_the_same(folders):
    rng = np.random.default_rng(0)
    cases = {f"case_{i}": rng.integers(0, 3, (9, 9), np.uint8) for i in range(7)}
    others = {name: np.roll(mask, 1) for name, mask in cases.items()}
    pred, ref = folders(others, cases)
    one = evaluate_folders(pred, ref, conventions=SURFACES)
    assert evaluate_folders(pred, ref, conventions=SURFACES, num_processes=2).cases == one.cases
    (pred / "case_3.png").write_text("not an image")
    assert problems_of(pred, ref, num_processes=2) == problems_of(pred, ref)


def test_a_killed_process_is_reported_with_a_remedy():
    with pytest.raises(CommandFailedError, match="use fewer processes"), process_map(2) as map_:
        list(map_(os._exit, [1]))


def test_memory_does_not_grow_with_the_number_of_pairs(folders):
    rng = np.random.default_rng(0)
    masks = {f"case_{number:02}": rng.integers(0, 3, (300, 300), np.uint8) for number in range(40)}
    pred, ref = folders(masks, masks)
    evaluate_folders(pred, ref, labels=[1, 2])  # what is loaded once does not count
    tracemalloc.start()
    evaluate_folders(pred, ref, labels=[1, 2])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 300 * 300  # 80 masks of a byte a pixel pass through


def test_noise_manifest(folders, tmp_path):
    eroded = BINARY.copy()
    eroded[2] = 0
    pred, ref = folders({"a": eroded, "b": BINARY}, {"a": BINARY, "b": BINARY})
    noisy = tmp_path / "noisy" / "labelsTr"
    noisy.mkdir(parents=True)
    for case, mask in (("a", eroded), ("b", BINARY)):
        Image.fromarray(mask).save(noisy / f"{case}.png")
    rows = [
        {"case": case, "kind": kind, "file": f"labelsTr/{case}.png"}
        for case, kind in (("a", "erosion"), ("b", "clean"), ("c", "affine"))
    ]
    manifest = noisy.parent / "noise_manifest.json"
    manifest.write_text(json.dumps({"cases": rows}))
    first, second = evaluate_folders(pred, ref, noise_manifest=noisy.parent).cases
    assert (first.noise, second.noise) == ("erosion", "clean")
    assert first.values[1]["Dice"] == pytest.approx(4 / 6)
    assert first.noisy_values[1]["Dice"] == 1.0
    assert first.noisy_values.keys() == first.values.keys()
    assert evaluate_folders(pred, ref).cases[0].noisy_values is None

    Image.fromarray(BINARY * 9).save(noisy / "b.png")
    assert "noisy masks: label 9 in 1 of 2" in problems_of(pred, ref, noise_manifest=manifest)
    (noisy / "a.png").unlink()
    message = problems_of(pred, ref, noise_manifest=manifest)
    assert f"{noisy / 'a.png'}: cannot be read" in message
    manifest.write_text(json.dumps({"cases": rows[:1]}))
    message = problems_of(pred, ref, noise_manifest=manifest)
    assert f"{manifest}: 1 of 2 cases are not in it: b;" in message


def test_empty_and_absent_folders(folders):
    pred, ref = folders({}, {})
    assert problems_of(pred, ref).count("no masks found") == 2
    ref.rmdir()
    message = problems_of(pred, ref)
    assert f"{pred}: no masks found" in message
    assert f"{ref}: no such folder" in message


def test_only_background_needs_labels(folders):
    pred, ref = folders({"a": BINARY * 0}, {"a": BINARY * 0})
    assert "only background" in problems_of(pred, ref)
    (pred / "b.png").write_text("text")
    (ref / "b.png").write_text("text")
    assert problems_of(pred, ref).startswith("3 problems")
    for folder in (pred, ref):
        (folder / "b.png").unlink()
    assert evaluate_folders(pred, ref, labels=[1]).cases[0].counts[1].both_empty
