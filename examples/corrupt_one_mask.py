"""Corrupt one mask in each way of the paper, and say how much of it changed.

python examples/corrupt_one_mask.py              # a lesion that the script draws
python examples/corrupt_one_mask.py mask.png     # your own; writes mask_erosion.png and so on
"""

import sys
from pathlib import Path

from PIL import Image

from anl_seg import noise
from anl_seg.datasets.phantom import render
from anl_seg.formats.masks import read_labels

source = Path(sys.argv[1]) if len(sys.argv) > 1 else None
mask = (read_labels(source) if source else render(seed=1, index=0, size=128)[1]) > 0
case = source.stem if source else "lesion"

for kind in noise.PAPER_KINDS:
    noisy, record = noise.corrupt(mask, kind, 0.5, noise.generator(1, case, kind))
    print(f"{kind}: {mask.sum()} -> {noisy.sum()} pixels, {record.achieved:.3f} of them changed")
    if source:
        Image.fromarray(noisy.astype("uint8") * 255).save(
            source.with_name(f"{source.stem}_{kind}.png")
        )
