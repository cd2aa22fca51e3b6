"""The 1,797 handwritten digits of scikit-learn: real images without a download."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anl_seg.datasets.labelled_images import ImageArrays

#: Every fifth image of each class is a test image.
TEST_EVERY = 5
#: Largest grey level of the original images; the smallest is 0.
LARGEST_VALUE = 16


def read(_root: Path) -> ImageArrays:
    """Read the digits: 8x8 images, stretched to 0..255, every fifth of each class for the test.

    They are part of scikit-learn, so the folder is ignored.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998. `sklearn.datasets.load_digits` loads its test part.
    """
    from sklearn.datasets import load_digits  # takes a second; only this data set needs it

    bunch = load_digits()
    labels = bunch.target.astype(np.int64)
    images = np.rint(bunch.images * (255 / LARGEST_VALUE)).astype(np.uint8)[..., None]
    rank = np.empty_like(labels)  # position of each image within its class
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    train = np.flatnonzero(rank % TEST_EVERY < TEST_EVERY - 1)
    test = np.flatnonzero(rank % TEST_EVERY == TEST_EVERY - 1)
    return ImageArrays(
        name="digits",
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
        classes=tuple(map(str, range(10))),
        index=train,
    )
