"""Training steps as CUDA graphs, which the host starts with a single call."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Function of images and labels. It returns the loss without penalties, and the logits.
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

#: Steps before the recording. They choose cuDNN's algorithms, compile, and create the momentum.
WARM_UP_STEPS = 3


class GraphedStep:
    """A step of full batches that is recorded once as a CUDA graph and then replayed.

    A GPU does the step of a small network faster than Python starts its several hundred kernels. A
    graph starts all of them at once. The first batch determines the shape of a full batch. The
    first steps, and those of batches of another shape, run without the graph. Each call is one step
    of the training, so the graph does not change the result.

    The step must read and change the same tensors in each call: weights, momentum, learning rate.

    Args:
        step: Step of full batches. It must not wait for the device.
        plain: Step of batches of another shape.
        device: GPU of the tensors, which need not be the current one.
    """

    def __init__(self, step: Step, plain: Step, device: torch.device) -> None:
        self._step, self._plain, self._device = step, plain, device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._warm_up_steps = 0
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._outputs: tuple[Tensor, Tensor] | None = None
        self._graph = torch.cuda.CUDAGraph()

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Do one step, and return its loss and logits in tensors of their own."""
        if self._inputs is None:
            self._inputs = images.clone(), labels.clone()
        if images.shape != self._inputs[0].shape:
            return self._plain(images, labels)
        self._inputs[0].copy_(images)
        self._inputs[1].copy_(labels)
        if self._warm_up_steps < WARM_UP_STEPS:
            return self._warm_up(*self._inputs)
        if self._outputs is None:
            with torch.cuda.graph(self._graph, stream=self._stream):
                self._outputs = self._step(*self._inputs)
        self._graph.replay()
        loss, logits = self._outputs
        return loss.clone(), logits.clone()  # the next replay overwrites the outputs

    def _warm_up(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Do one step as it is recorded later, so that the recording has nothing to compile."""
        self._warm_up_steps += 1
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            done = self._step(images, labels)
        current.wait_stream(self._stream)
        return done
