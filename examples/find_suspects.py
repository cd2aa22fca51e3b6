"""Rank masks by how likely they are wrong, from arrays; `anl-seg suspects` does it with files.

    python examples/find_suspects.py

The softmax must come from a network that did not train on the case, such as nnU-Net's validation.
Here a blurred version of the true lesion stands for it.
"""

import numpy as np
from scipy import ndimage

from anl_seg import noise, suspects
from anl_seg.datasets.phantom import render

WRONG = {3: "erosion", 8: "affine", 14: "dilation"}

probabilities, masks = [], []
for case in range(20):
    lesion = render(seed=2, index=case, size=96)[1] > 0
    foreground = ndimage.gaussian_filter(lesion.astype(float), 2).clip(0.01, 0.99)
    probabilities.append(np.stack([1 - foreground, foreground]))  # (K, H, W)
    if case in WRONG:
        lesion, _ = noise.corrupt(lesion, WRONG[case], 0.5, noise.generator(2, str(case), "1"))
    masks.append(lesion.astype(int))

scores = suspects.score(probabilities, masks)
for case in np.argsort(-scores)[:5]:
    print(f"case {case}: score {scores[case]:.3f}, in truth {WRONG.get(case, 'right')}")
