"""The small networks of `benchmarks/suspects.py`: training and prediction in this process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EPOCHS = 10
BATCH = 16
LEARNING_RATE = 3e-3
#: The ignore label that `revise` declares.
IGNORED = 2
Floats = NDArray[np.float32]


def build_network():  # noqa: ANN201 (torch is imported late)
    """Build a small U-Net of nnU-Net's kind, which works at half the size."""
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from torch import nn

    class HalfSize(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = PlainConvUNet(
                **dict(input_channels=12, n_stages=4, features_per_stage=(16, 32, 64, 128)),
                **dict(conv_op=nn.Conv2d, kernel_sizes=3, strides=(1, 2, 2, 2)),
                **dict(n_conv_per_stage=2, n_conv_per_stage_decoder=1, num_classes=2),
                **dict(conv_bias=True, norm_op=nn.InstanceNorm2d),
                **dict(norm_op_kwargs={"eps": 1e-5, "affine": True}),
                **dict(nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}),
            )

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            halves = nn.functional.pixel_unshuffle(images, 2)
            halves = halves.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.inner(halves)
            return nn.functional.interpolate(logits.float(), scale_factor=2.0, mode="bilinear")

    return HalfSize().to(memory_format=torch.channels_last)


def build_loss(name: str):  # noqa: ANN201
    """Build nnU-Net's own loss, or one of ours by name, on logits and labels `(B, H, W)`."""
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    from anl_seg import losses

    if name == "anl-ce":
        return losses.create(name, alpha=5, beta=5)  # the weights that our trainers take with Adam
    soft_dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    own = DC_and_CE_loss(
        soft_dice, {}, ignore_label=IGNORED, dice_class=MemoryEfficientSoftDiceLoss
    )
    return lambda logits, labels: own(logits, labels[:, None])


def fit(images: Floats, labels: NDArray[np.int64], loss_name: str, seed: int):  # noqa: ANN201
    """Train a network; images are mirrored and transposed at random."""
    import torch

    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    network, loss = build_network(), build_loss(loss_name)
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, steps, pct_start=0.2)
    for _ in range(EPOCHS):
        shuffled = order.permutation(len(images))
        for first in range(0, len(images) - BATCH + 1, BATCH):
            chosen = shuffled[first : first + BATCH]
            batch, target = turned(images[chosen], labels[chosen], order)
            optimiser.zero_grad()
            loss(network(torch.from_numpy(batch)), torch.from_numpy(target)).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
            optimiser.step()
            schedule.step()
    return network


def turned(
    images: Floats, labels: NDArray[np.int64], random: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """Turn a batch to one of the eight positions of a square, and vary its brightness."""
    if random.random() < 0.5:
        images, labels = images.swapaxes(-1, -2), labels.swapaxes(-1, -2)
    axes = [axis for axis in (-1, -2) if random.random() < 0.5]
    light = random.normal(0, 0.2, (len(images), images.shape[1], 1, 1)).astype(np.float32)
    return np.flip(images, axes) + light, np.ascontiguousarray(np.flip(labels, axes))


def predict(network, images: Floats) -> Floats:  # noqa: ANN001
    """Predict foreground probabilities `(cases, H, W)`: mean over an image and its mirror image."""
    import torch

    network.eval()
    found = []
    with torch.no_grad():
        for batch in np.array_split(images, max(1, len(images) // 64)):
            both = [batch, np.ascontiguousarray(batch[..., ::-1])]
            straight, mirrored = (network(torch.from_numpy(each)).softmax(1)[:, 1] for each in both)
            found.append((straight + mirrored.flip(-1)).numpy() / 2)
    return np.concatenate(found)
