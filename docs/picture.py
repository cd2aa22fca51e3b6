"""Draw the picture of the README from a finished demo: given, corrected and true training masks.

python docs/picture.py anl-seg-demo
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from anl_seg.experiments.figures.outlines import OutlinedCase, draw_columns
from anl_seg.formats.noise_manifest import CSV_NAME, read_noisy_masks
from anl_seg.trainers.corrected_labels import CORRECTED_LABELS

N_CASES = 6


def main(demo: Path) -> None:
    """Write docs/assets/demo.png: the first wrong training masks by name, whatever their kind."""
    noisy = demo / "nnunet/nnUNet_raw/Dataset502_ISIC2017noisy"
    (corrected,) = demo.glob(f"nnunet/nnUNet_results/*/*/fold_0/{CORRECTED_LABELS}")
    wrong = [
        case
        for case, mask in sorted(read_noisy_masks(noisy / CSV_NAME).items())
        if mask.kind != "clean" and (corrected / f"{case}.npy").exists()
    ]
    with TemporaryDirectory() as temporary:
        cases = []
        for number, case in enumerate(wrong[:N_CASES], 1):
            mask = Path(temporary, f"{case}.png")
            Image.fromarray(np.load(corrected / f"{case}.npy").squeeze().astype(np.uint8)).save(
                mask
            )
            masks = {
                "mask as given": noisy / "labelsTr" / f"{case}.png",
                "corrected in training": mask,
                "true mask": noisy / "labelsTr_clean" / f"{case}.png",
            }
            image = noisy / "imagesTr" / f"{case}_0000.png"
            cases.append(OutlinedCase(f"training case {number}", image, masks))
        figure = draw_columns(cases, panel=1.6)
        figure.savefig(Path(__file__).with_name("assets") / "demo.png", dpi=75)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
