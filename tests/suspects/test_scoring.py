"""Wrong masks score higher than right ones, whatever is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from suspects.discs import FAULTS, disc, softmax

from anl_seg.suspects import guess_kind, measure, plain_classes, score
from anl_seg.suspects.evidence import Evidence
from anl_seg.suspects.scoring import FREE, as_scores, features, weights


@pytest.fixture
def scored(cases):
    found = score([each[1] for each in cases.values()], [each[0] for each in cases.values()])
    return found, np.array([kind for *_, kind in cases.values()])


@pytest.mark.parametrize("kind", FAULTS)
def test_each_kind_ranks_above_right_masks(scored, kind):
    scores, kinds = scored
    wrong, right = scores[kinds == kind], scores[kinds == ""]
    assert (wrong[:, None] > right).mean() > 0.95


@pytest.mark.parametrize("kind", FAULTS)
def test_kinds_are_guessed(cases, kind):
    for given, probabilities, true in cases.values():
        if true == kind:
            predicted = probabilities[1] > 0.5
            assert guess_kind(measure(probabilities[1], given > 0, predicted, (1, 1))) == kind


def test_scores_are_probabilities_and_do_not_depend_on_the_order(scored, cases):
    scores, _ = scored
    assert ((scores >= 0) & (scores <= 1)).all()
    backwards = list(cases.values())[::-1]
    again = score([each[1] for each in backwards], [each[0] for each in backwards])
    assert np.allclose(again[::-1], scores, rtol=0, atol=1e-12)


def test_a_bias_of_the_network_is_no_evidence():
    """If a network predicts every mask too large, right masks stay less suspicious."""
    random = np.random.default_rng(1)
    masks, probabilities = [], []
    for number in range(20):
        radius = random.uniform(8, 10)
        drawn = 0.7 * radius if number == 0 else radius
        masks.append((disc(24, 24, drawn) > 0).astype(np.uint8))
        probabilities.append(softmax(disc(24, 24, 1.15 * radius)))
    scores = score(probabilities, masks)
    assert scores.argmax() == 0
    assert scores[0] > scores[1:].max() + 0.3


def test_an_empty_mask_is_suspicious(cases):
    masks = [each[0] for each in cases.values()]
    probabilities = [each[1] for each in cases.values()]
    right = next(n for n, each in enumerate(cases.values()) if not each[2])
    masks[right] = np.zeros_like(masks[right])
    assert score(probabilities, masks)[right] > 0.9


def test_volumes_and_several_classes():
    planes, rows, columns = np.mgrid[:12, :32, :32]
    found = []
    for shift in (0, 9):
        ball = 8 - np.sqrt((2 * (planes - 6)) ** 2 + (rows - 16) ** 2 + (columns - 12) ** 2)
        core = ball - 4
        logits = np.stack([-ball, np.zeros_like(ball), 2 * core])
        softmax_ = np.exp(logits) / np.exp(logits).sum(0)
        found.append((softmax_, np.roll(softmax_.argmax(0), shift, axis=2)))
    right, wrong = score(*zip(*found, strict=True), spacing=(2.0, 1.0, 1.0))
    assert wrong > right


def test_ignored_pixels_are_not_judged(cases):
    given, probabilities, _ = next(each for each in cases.values() if each[2] == "extra part")
    clean = given.copy()
    clean[:12, :12] = 0
    ignored = given.copy()
    ignored[:12, :12] = 2
    empty_corner = probabilities.copy()
    empty_corner[1, :12, :12], empty_corner[0, :12, :12] = 0, 1
    classes = plain_classes(2, ignore_label=2)
    without, with_ignored = (
        score([each], [mask], classes=classes)
        for each, mask in ((empty_corner, clean), (probabilities, ignored))
    )
    assert with_ignored == pytest.approx(without)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"case 0 must be \(2, 8, 8\)"):
        score([np.full((2, 8, 9), 0.5)], [np.zeros((8, 8), dtype=int)])
    with pytest.raises(ValueError, match="1 probabilities and 2 labels"):
        score([np.full((2, 8, 8), 0.5)], [np.zeros((8, 8), dtype=int)] * 2)


def test_every_feature_has_weights_and_more_difference_is_never_better():
    names = vars(measure(np.ones((4, 4), np.float32), *np.ones((2, 4, 4), bool), (1, 1)))
    found = weights()
    assert set(features([Evidence(**dict.fromkeys(names, 0.5))])) == set(found.features)
    bound = [place for place, name in enumerate(found.features) if name not in FREE]
    assert (found.slopes[:, bound] >= 0).all()
    assert (found.heights >= 0).all()


def ball(row, column, radius):
    planes, rows, columns = np.mgrid[:16, :40, :40]
    return radius - np.sqrt((2 * (planes - 8)) ** 2 + (rows - row) ** 2 + (columns - column) ** 2)


def circle(row, column, radius):
    return disc(row, column, radius, size=40)


#: Kind of error -> the distance inside the given outline for a severity from 0 to 1.
GROWING = {
    "too small": lambda shape, severity: shape(20, 20, 10 - 7 * severity),
    "too large": lambda shape, severity: shape(20, 20, 10 + 6 * severity),
    "displaced": lambda shape, severity: shape(20, 20 + 9 * severity, 10),
    "extra part": lambda shape, severity: np.maximum(
        shape(20, 20, 10), shape(5, 34, 5 * severity - 0.01)
    ),
}


@pytest.mark.parametrize("shape", [circle, ball], ids=["2D", "3D"])
@pytest.mark.parametrize("kind", GROWING)
def test_large_faults_score_high_and_right_masks_low(kind, shape):
    softmax_ = softmax(shape(20, 20, 10))
    spacing = (2.0, 1.0, 1.0)[-shape(20, 20, 10).ndim :]
    masks = [(GROWING[kind](shape, step / 5) > 0).astype(np.uint8) for step in range(6)]
    scores = score([softmax_] * len(masks), masks, spacing)
    assert scores[0] < 0.1
    assert (scores[1:] > scores[0]).all()
    assert scores[-1] > 0.7


def test_a_ragged_outline_is_suspicious():
    rows, columns = np.mgrid[:48, :48] - 24
    waves = 2 * np.sin(9 * np.arctan2(rows, columns))
    outline = disc(24, 24, 12)
    masks = [(outline > 0).astype(np.uint8), (outline + waves > 0).astype(np.uint8)]
    right, wrong = score([softmax(outline)] * 2, masks)
    assert wrong > right + 0.3


def test_scores_are_the_odds_of_the_weights():
    """The network is what its docstring says: sigmoid units on standardised features."""
    found = weights()
    table = {name: np.array([0.3]) for name in found.features}
    standard = (0.3 - found.centres) / found.scales
    units = as_scores(found.slopes @ standard + found.biases)
    assert found.log_odds(table)[0] == pytest.approx(found.heights @ units + found.intercept)
