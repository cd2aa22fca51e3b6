"""Folders of masks: pairing, sources of labels, and every kind of bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.evaluation import Counts, evaluate_folders

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
    assert "nnU-Net masks hold 0..K-1" in message
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
