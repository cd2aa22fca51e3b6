"""Choice of cases: exact counts, nested sets, independent of the order."""

import hashlib
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from anl_seg.errors import InputError
from anl_seg.noise import PAPER_KINDS, choose, generator

CASES = [f"ISIC_{number:07d}" for number in range(100)]


@pytest.mark.parametrize(
    ("count", "eta_alpha", "expected"),
    [(100, 0.29, 29), (100, 0.57, 57), (48, 0.7, 34), (7, 0.3, 2), (100, 0, 0), (100, 1, 100)],
)
def test_the_count_is_exact(count, eta_alpha, expected):
    assert len(choose(CASES[:count], eta_alpha, seed=0)) == expected


def test_the_sets_are_nested_and_keep_their_kinds():
    chosen = [choose(CASES, eta_alpha, seed=4) for eta_alpha in (0.3, 0.5, 0.7, 1)]
    for smaller, larger in pairwise(chosen):
        assert smaller.items() < larger.items()


def test_the_order_of_the_cases_does_not_matter():
    shuffled = random.Random(0).sample(CASES, len(CASES))
    assert choose(CASES, 0.5, seed=1) == choose(shuffled, 0.5, seed=1)


def test_another_seed_chooses_others():
    assert choose(CASES, 0.5, seed=1) != choose(CASES, 0.5, seed=2)


def test_every_kind_gets_its_share():
    kinds = Counter(choose([f"case {number}" for number in range(3000)], 1, seed=0).values())
    assert set(kinds) == set(PAPER_KINDS)
    assert min(kinds.values()) > 900


def test_generators_are_told_apart_by_seed_and_names():
    names = [(0, "a"), (1, "a"), (0, "b"), (0, "a", "b"), (0, "ab"), (-1, "a")]
    assert len({generator(*name).integers(2**60) for name in names}) == len(names)


def test_the_generator_is_the_documented_one():
    """A change here changes everybody's noise: only with a new schema version of the manifest."""
    digest = hashlib.sha256(b"1\0ISIC_0000003").digest()
    expected = np.random.default_rng(int.from_bytes(digest, "big")).integers(2**32)
    assert generator(1, "ISIC_0000003").integers(2**32) == expected == 1720049564


@pytest.mark.parametrize("eta_alpha", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(eta_alpha):
    with pytest.raises(InputError, match=r"eta_alpha \(--eta-alpha\) must be in \[0, 1\]"):
        choose(CASES, eta_alpha, seed=0)


def test_other_kinds_are_chosen_only_on_request():
    assert set(choose(CASES, 1, 0, ["jitter", "polygon"]).values()) == {"jitter", "polygon"}
    with pytest.raises(InputError, match="kind must be one of"):
        choose(CASES, 1, 0, ["melt"])
