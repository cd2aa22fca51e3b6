"""The order of the work around a CUDA graph, with a stand-in for CUDA that replays a function."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from anl_seg.classification.cuda_graphs import WARM_UP_STEPS, GraphedStep

GPU = torch.device("cuda", 1)  # not the current device


class Stream:
    def __init__(self, device):
        assert device == GPU

    def wait_stream(self, other):
        pass


class Recorder:
    """A step that adds the images to its total; while recorded, it only keeps its tensors."""

    def __init__(self):
        self.recording, self.recordings, self.total, self.tensors = False, 0, 0.0, None

    def step(self, images, labels):
        loss, logits = images.sum(), images.flatten(1) + labels.unsqueeze(1)
        if self.recording:
            self.recordings += 1
            self.tensors = images, labels, loss, logits
            for output in (loss, logits):
                output.fill_(float("nan"))  # nothing is computed yet
        else:
            self.total += loss.item()
        return loss, logits

    def replay(self):
        images, labels, loss, logits = self.tensors
        for output, value in zip((loss, logits), self.step(images, labels), strict=True):
            output.copy_(value)


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()

    @contextmanager
    def graph(of, stream):
        made.recording = True
        yield
        made.recording = False

    @contextmanager
    def stream(of):
        yield

    for name, fake in {
        "Stream": Stream,
        "CUDAGraph": lambda: made,
        "current_stream": Stream,
        "graph": graph,
        "stream": stream,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return made


def test_each_call_is_one_step_with_its_own_batch_and_results(recorder):
    odd = []

    def plain(images, labels):
        odd.append(len(labels))
        return recorder.step(images, labels)

    step = GraphedStep(recorder.step, plain, GPU)
    sizes = [4, 4, 2, 4, 4, 4, 2, 4]
    given = [(torch.full((n, 1, 2, 2), 1.0 + i), torch.arange(n)) for i, n in enumerate(sizes)]
    done = [step(images, labels) for images, labels in given]
    for (images, labels), (loss, logits) in zip(given, done, strict=True):
        assert loss == images.sum()
        assert torch.equal(logits, images.flatten(1) + labels.unsqueeze(1))
    assert recorder.total == sum(images.sum().item() for images, _ in given)
    assert odd == [2, 2]
    assert recorder.recordings == 1
    assert sizes.count(4) > WARM_UP_STEPS + 1  # at least two replays
