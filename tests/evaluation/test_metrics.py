"""Counts and metrics against hand-written fractions, scikit-learn and identities."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from anl_seg.evaluation import Counts, confusion_matrix, count, dice, iou
from anl_seg.evaluation.metrics import (
    METRICS,
    OVERLAP_METRICS,
    count_values,
    overlap_values,
)

REFERENCE = np.array(
    [
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 0, 2, 2],
    ]
)
PREDICTION = np.array(
    [
        [0, 0, 0, 0],
        [0, 1, 1, 1],
        [0, 1, 2, 0],
        [0, 0, 2, 0],
    ]
)


def counts(prediction, reference, label, ignore_label=None):
    return count(confusion_matrix(prediction, reference, ignore_label), label)


@pytest.mark.parametrize(
    ("label", "expected", "expected_dice", "expected_iou"),
    [
        (0, Counts(tp=9, fp=1, fn=1, tn=5), Fraction(18, 20), Fraction(9, 11)),
        (1, Counts(tp=3, fp=1, fn=1, tn=11), Fraction(6, 8), Fraction(3, 5)),
        (2, Counts(tp=1, fp=1, fn=1, tn=13), Fraction(2, 4), Fraction(1, 3)),
        ((1, 2), Counts(tp=5, fp=1, fn=1, tn=9), Fraction(10, 12), Fraction(5, 7)),
    ],
)
def test_tiny_masks(label, expected, expected_dice, expected_iou):
    result = counts(PREDICTION, REFERENCE, label)
    assert result == expected
    assert dice(result) == pytest.approx(float(expected_dice), abs=1e-15)
    assert iou(result) == pytest.approx(float(expected_iou), abs=1e-15)


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        (REFERENCE == 1, REFERENCE == 1, 1.0),
        (REFERENCE == 1, REFERENCE == 2, 0.0),
        (REFERENCE == 1, REFERENCE == 9, 0.0),
        (REFERENCE == 9, REFERENCE == 1, 0.0),
        (REFERENCE == 9, REFERENCE == 9, float("nan")),
    ],
    ids=["equal", "disjoint", "reference empty", "prediction empty", "both empty"],
)
def test_extremes(prediction, reference, expected):
    result = counts(prediction.astype(np.uint8), reference.astype(np.uint8), 1)
    assert dice(result) == pytest.approx(expected, nan_ok=True)
    assert iou(result) == pytest.approx(expected, nan_ok=True)
    assert result.both_empty == np.isnan(expected)


def test_ignored_pixels_equal_removed_pixels():
    reference = REFERENCE.copy()
    reference[:, 3] = 7
    assert counts(PREDICTION, reference, 1, ignore_label=7) == counts(
        PREDICTION[:, :3], REFERENCE[:, :3], 1
    )


def test_everything_ignored_is_both_empty():
    result = counts(PREDICTION, np.full_like(REFERENCE, 7), 1, ignore_label=7)
    assert result == Counts(tp=0, fp=0, fn=0, tn=0)
    assert np.isnan(dice(result))


def test_labels_that_occur_are_those_of_each_mask():
    matrix = confusion_matrix(PREDICTION * 100, REFERENCE)
    assert matrix.prediction_labels == {0, 100, 200}
    assert matrix.reference_labels == {0, 1, 2}
    assert matrix.values.tolist() == [0, 1, 2, 100, 200]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_highest_label_of_the_type(kind):
    highest = np.iinfo(kind).max
    masks = (np.where(mask == 1, highest, 0).astype(kind) for mask in (PREDICTION, REFERENCE))
    assert counts(*masks, highest) == Counts(tp=3, fp=1, fn=1, tn=11)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(4, 4\).*\(4, 3\)"):
        confusion_matrix(PREDICTION, REFERENCE[:, :3])


def test_counts_have_nnunets_names():
    assert count_values(Counts(tp=3, fp=1, fn=2, tn=10)) == {
        **{"TP": 3, "FP": 1, "FN": 2, "TN": 10},
        **{"n_pred": 4, "n_ref": 5},
    }


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (
            Counts(tp=3, fp=1, fn=2, tn=10),
            {
                "Dice": Fraction(6, 9),
                "IoU": Fraction(3, 6),
                "Precision": Fraction(3, 4),
                "Recall": Fraction(3, 5),
                "Specificity": Fraction(10, 11),
                "RVD": Fraction(4 - 5, 5),
                "TJ": 0,
            },
        ),
        (
            Counts(tp=13, fp=3, fn=4, tn=0),  # IoU just at the threshold, 0.65
            {
                "Dice": Fraction(26, 33),
                "IoU": Fraction(13, 20),
                "Precision": Fraction(13, 16),
                "Recall": Fraction(13, 17),
                "Specificity": 0,
                "RVD": Fraction(16 - 17, 17),
                "TJ": Fraction(13, 20),
            },
        ),
        (  # missed: 0, never left out
            Counts(tp=0, fp=0, fn=5, tn=10),
            {"Dice": 0, "IoU": 0, "Precision": 0, "Recall": 0, "Specificity": 1, "RVD": -1}
            | {"TJ": 0},
        ),
        (  # predicted where there is none
            Counts(tp=0, fp=5, fn=0, tn=10),
            {"Dice": 0, "IoU": 0, "Precision": 0, "Recall": 0, "Specificity": Fraction(10, 15)}
            | {"RVD": float("nan"), "TJ": 0},
        ),
    ],
    ids=["fractions", "threshold", "missed", "extra"],
)
def test_every_metric_of_overlap(counted, expected):
    found = overlap_values(counted)
    assert list(found) == list(expected) == [metric.name for metric in OVERLAP_METRICS]
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), abs=1e-15, nan_ok=True), name


@pytest.mark.parametrize(
    ("empty", "expected", "expected_volume"),
    [("nan", float("nan"), float("nan")), ("one", 1.0, 0.0), ("zero", 0.0, float("nan"))],
)
def test_empty_rules(empty, expected, expected_volume):
    found = overlap_values(Counts(tp=0, fp=0, fn=0, tn=16), empty)
    for name in ("Dice", "IoU", "Precision", "Recall", "TJ"):
        assert found[name] == pytest.approx(expected, nan_ok=True), name
    assert found["RVD"] == pytest.approx(expected_volume, nan_ok=True)
    assert found["Specificity"] == 1.0  # 16/16, which no rule changes
    one_empty = Counts(tp=0, fp=0, fn=4, tn=12)
    assert overlap_values(one_empty, empty) == overlap_values(one_empty)


def test_rule_one_is_the_isic_challenges_own():
    """This holds for references with a lesion, as in all of theirs, or if both masks are empty."""
    isic = pytest.importorskip("isic_challenge_scoring.metrics")
    pandas = pytest.importorskip("pandas")
    theirs = {
        "Dice": isic.binary_dice,
        "IoU": isic.binary_jaccard,
        "TJ": isic.binary_threshold_jaccard,
        "Recall": isic.binary_sensitivity,
        "Specificity": isic.binary_specificity,
        "Precision": isic.binary_ppv,
    }
    for counted in (Counts(0, 0, 0, 16), Counts(13, 3, 4, 5), Counts(3, 1, 2, 10)):
        series = pandas.Series(count_values(counted))
        found = overlap_values(counted, "one")
        for name, function in theirs.items():
            assert found[name] == pytest.approx(function(series), abs=1e-12), name


def test_the_table_says_which_way_is_better():
    better = {name: metric.higher_is_better for name, metric in METRICS.items()}
    lower = {name for name, higher in better.items() if higher is False}
    assert lower == {"HD95", "ASSD"}
    assert [name for name, higher in better.items() if higher is None] == ["RVD"]


@st.composite
def pairs_of_label_maps(draw):
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=6))
    # Both ways of counting: labels that 8 bits hold, and larger ones.
    labels = st.sampled_from(
        draw(st.sampled_from([[0, 1, 2, 5], [0, 1, 255], [0, 3, 1000, 65535]]))
    )
    return tuple(draw(arrays(np.uint16, shape, elements=labels)) for _ in range(2))


@settings(max_examples=50, deadline=None)  # the machine may be busy
@given(pairs_of_label_maps())
def test_random_label_maps(pair):
    prediction, reference = pair
    matrix = confusion_matrix(prediction, reference)
    assert matrix.values.tolist() == sorted({*prediction.ravel(), *reference.ravel()})
    # One more label, since scikit-learn warns of a matrix of a single one.
    labels = [*matrix.values, -1]
    expected = sklearn_confusion(reference.ravel(), prediction.ravel(), labels=labels)
    np.testing.assert_array_equal(matrix.pixels, expected[:-1, :-1])
    for label in matrix.values.tolist():
        result = count(matrix, label)
        truth = ((reference == label).ravel(), (prediction == label).ravel())
        found = overlap_values(result)
        assert dice(result) == pytest.approx(f1_score(*truth), abs=1e-12)
        zero = {"zero_division": 0.0}
        assert found["Precision"] == pytest.approx(precision_score(*truth, **zero), abs=1e-12)
        assert found["Recall"] == pytest.approx(recall_score(*truth, **zero), abs=1e-12)
        if not truth[0].all():
            inverted = recall_score(~truth[0], ~truth[1], **zero)
            assert found["Specificity"] == pytest.approx(inverted, abs=1e-12)
        assert iou(result) == pytest.approx(jaccard_score(*truth), abs=1e-12)
        assert dice(result) == pytest.approx(2 * iou(result) / (1 + iou(result)), abs=1e-12)
        assert result.tp + result.fp + result.fn + result.tn == reference.size
        assert dice(count(confusion_matrix(reference, prediction), label)) == dice(result)


@settings(max_examples=50, deadline=None)  # the machine may be busy
@given(pairs_of_label_maps())
def test_pooling_counts_is_counting_joined_images(pair):
    prediction, reference = (np.ravel(mask) for mask in pair)
    half = prediction.size // 2
    pooled = counts(prediction[:half], reference[:half], 1) + counts(
        prediction[half:], reference[half:], 1
    )
    assert pooled == counts(prediction, reference, 1)
