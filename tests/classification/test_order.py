"""The order of the images: all of them, in batches, shared among processes, the same again."""

from __future__ import annotations

import pytest
import torch

from anl_seg.classification import order


def places(slices):
    return [place for part in slices for place in range(part.start, part.stop, part.step)]


@pytest.mark.parametrize(("n", "batch_size"), [(50_000, 128), (10, 5), (7, 10)])
def test_one_process_sees_every_image_once(n, batch_size):
    slices = order.batches(n, batch_size)
    assert places(slices) == list(range(n))
    assert max(part.stop - part.start for part in slices) <= batch_size


def test_a_last_batch_of_one_is_left_out():
    assert places(order.batches(129, 64)) == list(range(128))


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_each_batch_evenly(world):
    n, batch_size = 106, 12
    parts = [order.batches(n, batch_size, rank, world) for rank in range(world)]
    for step, shares in enumerate(zip(*parts, strict=True)):
        lengths = {len(places([share])) for share in shares}
        assert len(lengths) == 1
        together = sorted(places(shares))
        start = step * batch_size
        assert together == list(range(start, start + world * lengths.pop()))
    seen = sorted(place for slices in parts for place in places(slices))
    assert len(seen) == len(set(seen)) > n - world


def test_epochs_and_seeds_have_their_own_generators():
    def numbers(seed, epoch):
        return tuple(torch.randperm(50, generator=order.epoch_generator(seed, epoch)).tolist())

    drawn = {numbers(seed, epoch) for seed in range(5) for epoch in range(5)}
    assert len(drawn) == 25
    assert numbers(3, 4) == numbers(3, 4)
