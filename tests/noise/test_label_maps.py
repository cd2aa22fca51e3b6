"""Label maps: noise of each class, overlaps, and the unchanged ignore label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from noise.shapes import ball, disc

from anl_seg.errors import InputError
from anl_seg.noise import KINDS, PUBLISHED, apply_labels, corrupt, corrupt_labels, generator
from anl_seg.noise.label_maps import classes_in, confusion


def of(case, seed=0):
    return lambda label: generator(seed, case, str(label))


def two_organs():
    labels = np.zeros((60, 130), np.uint8)
    labels[disc(labels.shape, 30, 25, 12)] = 1
    labels[disc(labels.shape, 30, 90, 15)] = 7
    return labels


@pytest.mark.parametrize("kind", ["erosion", "dilation", "affine", "jitter"])
def test_classes_far_apart_are_corrupted_as_if_alone(kind):
    labels = two_organs()
    before = labels.copy()
    noisy, records = corrupt_labels(labels, kind, 0.4, of("case"))
    assert np.array_equal(labels, before)
    assert noisy.dtype == labels.dtype
    assert list(records) == [1, 7]
    for label, record in records.items():
        alone, same = corrupt(labels == label, kind, 0.4, generator(0, "case", str(label)))
        assert np.array_equal(noisy == label, alone)
        assert record == same


def test_the_higher_label_wins_an_overlap_and_the_record_shows_it():
    labels = np.zeros((20, 40), np.uint8)
    labels[5:15, 5:20] = 1
    labels[5:15, 20:35] = 2
    noisy, records = corrupt_labels(labels, "dilation", 0.5, of("case"))
    alone = {
        label: corrupt(labels == label, "dilation", 0.5, generator(0, "case", str(label)))[0]
        for label in (1, 2)
    }
    assert np.array_equal(noisy == 2, alone[2])
    assert np.array_equal(noisy == 1, alone[1] & ~alone[2])
    for label in (1, 2):
        changed = ((noisy == label) ^ (labels == label)).sum() / (labels == label).sum()
        assert records[label].achieved == changed
    assert records[1].area_change < 0.4
    assert records[2].area_change == pytest.approx(0.5)


def test_pixels_without_a_class_become_background():
    noisy, _ = corrupt_labels(two_organs(), "erosion", 0.5, of("case"))
    assert set(np.unique(noisy)) == {0, 1, 7}
    assert (noisy > 0).sum() < (two_organs() > 0).sum()


@pytest.mark.parametrize("kind", KINDS)
@given(
    labels=arrays(
        np.uint8, array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 3)
    ),
    seed=st.integers(0, 5),
)
@settings(deadline=None, max_examples=25)
def test_the_ignore_label_is_untouched(kind, labels, seed):
    noisy, records = corrupt_labels(labels, kind, 0.5, of("case", seed), ignore_label=3)
    assert np.array_equal(noisy == 3, labels == 3)
    assert set(np.unique(noisy)) <= {*np.unique(labels), 0}
    assert set(records) == set(np.unique(labels)) - {0, 3}


@pytest.mark.parametrize("kind", ["erosion", "dilation", "affine"])
def test_beside_the_ignore_label_the_level_is_met(kind):
    labels = two_organs()
    labels[:, 100:] = 255
    _, records = corrupt_labels(labels, kind, 0.5, of("case"), ignore_label=255)
    assert records[7].achieved == pytest.approx(0.5, abs=0.01)


def test_a_class_swap_exchanges_pixels_and_makes_no_background():
    labels = two_organs()
    noisy, records = corrupt_labels(labels, "class-swap", 0.3, of("case"))
    assert np.array_equal(noisy > 0, labels > 0)
    changes = round(0.3 * (labels == 1).sum())  # class 1 is the smaller one
    assert (noisy[labels == 1] == 7).sum() == changes - changes // 2
    assert (noisy[labels == 7] == 1).sum() == changes // 2
    for label, other in ((1, 7), (7, 1)):
        assert records[label].parameters["swapped_with"] == other
    _, alone = corrupt_labels((labels == 1).astype(np.uint8), "class-swap", 0.3, of("case"))
    assert "no other class" in alone[1].reason


def test_the_plane_of_a_class_swap_separates_kept_and_lost_pixels():
    labels = two_organs()
    noisy, records = corrupt_labels(labels, "class-swap", 0.3, of("case"))
    normal = np.asarray(records[7].parameters["normal"])
    depth = np.tensordot(normal, np.indices(labels.shape), 1)
    lost = (labels == 7) & (noisy == 1)
    assert depth[lost].min() >= depth[(labels == 7) & ~lost].max() - 1e-4


@given(
    sizes=st.lists(st.integers(1, 400), min_size=2, max_size=5),
    eta_beta=st.floats(0.02, 0.98),
    seed=st.integers(0, 5),
)
@settings(deadline=None)
def test_a_class_swap_meets_the_level_of_all_but_the_largest_class(sizes, eta_beta, seed):
    rows = [np.pad(np.full(size, label, np.uint8), (0, 400 - size)) for label, size in
            enumerate(sizes, 1)]  # fmt: skip
    labels = np.stack(rows)
    noisy, records = corrupt_labels(labels, "class-swap", eta_beta, of("case", seed))
    assert np.array_equal(noisy > 0, labels > 0)
    largest = max(records, key=lambda label: (sizes[label - 1], label))
    for label, record in records.items():
        size = sizes[label - 1]
        changed = ((noisy == label) ^ (labels == label)).sum()
        wanted = round(eta_beta * size)
        assert record.achieved == changed / size
        assert (noisy == label).any()
        assert bool(record.situation) == (changed == 0)
        if label == largest:
            assert changed <= wanted
        else:
            assert changed == (0 if wanted == size else wanted)


def test_a_volume_of_classes():
    labels = np.zeros((16, 50, 110), np.int16)
    labels[ball(labels.shape, (8, 25, 15), 12, (3, 1, 1))] = 1
    labels[ball(labels.shape, (8, 25, 82), 14, (3, 1, 1))] = 2
    for kind in ("erosion", "dilation", "affine"):
        noisy, records = corrupt_labels(labels, kind, 0.5, of("case"), spacing_mm=(3.0, 1.0, 1.0))
        assert (noisy.shape, noisy.dtype) == (labels.shape, labels.dtype)
        for record in records.values():
            assert record.achieved == pytest.approx(0.5, abs=0.006)


@pytest.mark.parametrize("kind", ["erosion", "dilation"])
def test_the_published_passes_work_on_volumes_of_classes(kind):
    labels = np.zeros((16, 30, 60), np.uint8)
    labels[ball(labels.shape, (8, 15, 15), 7)] = 1
    labels[ball(labels.shape, (8, 15, 42), 7)] = 2
    _, records = corrupt_labels(labels, kind, 0.5, of("case"), PUBLISHED)
    assert all(record.parameters["iterations"] >= 1 for record in records.values())


def test_the_confusion_counts_every_pixel():
    clean, noisy = np.array([[0, 0, 1, 1, 2, 2, 2]]), np.array([[0, 1, 1, 0, 2, 1, 1]])
    assert confusion(clean, noisy) == {
        (0, 0): 1, (0, 1): 1, (1, 1): 1, (1, 0): 1, (2, 2): 1, (2, 1): 2
    }  # fmt: skip


def test_other_arrays_are_refused():
    for labels, message in (
        (np.zeros((3, 3)), "float64"),
        (np.full((3, 3), -1), "negative"),
        (np.zeros(3, int), r"\(3,\)"),
        (np.zeros((0, 3), int), r"\(0, 3\)"),
    ):
        with pytest.raises(InputError, match=message):
            classes_in(labels)
    with pytest.raises(InputError, match="3 positive lengths"):
        apply_labels(np.zeros((2, 2, 2), int), "erosion", 0.5, {}, spacing_mm=(1, 0, 1))
