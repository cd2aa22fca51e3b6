"""Train a small network with ANL-CE on masks of which 40 % are wrong.

python examples/loss_in_a_training_loop.py
"""

import numpy as np
import torch
from torch import nn

from anl_seg import losses, noise
from anl_seg.datasets.phantom import render

pairs = [render(seed=1, index=index, size=48) for index in range(40)]
images = torch.tensor(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2) / 255
clean = np.stack([mask > 0 for _, mask in pairs])
given = clean.copy()
for case in range(16):  # the first 16 of 40 masks grow by 70 % of their area
    given[case], _ = noise.corrupt(clean[case], "dilation", 0.7, noise.generator(0, str(case), "1"))
labels = torch.tensor(given).long()

torch.manual_seed(0)
network = nn.Sequential(
    *(nn.Conv2d(3, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU()),
    *(nn.Conv2d(16, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU()),
    nn.Conv2d(16, 2, 1),
)
loss = losses.create("anl-ce", alpha=5, beta=5)
optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
for step in range(1, 121):
    batch = torch.randint(len(images), (8,))
    value = loss(network(images[batch]), labels[batch])  # logits (B, K, H, W), labels (B, H, W)
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
    if step % 40 == 0:
        predicted = network(images).argmax(1).numpy() > 0
        dice = 2 * (predicted & clean).sum() / (predicted.sum() + clean.sum())
        print(f"step {step}: loss {value.item():.3f}, Dice with the clean masks {dice:.3f}")
