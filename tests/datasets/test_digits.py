"""The digits of scikit-learn: all of them, in two parts."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from anl_seg.datasets.classification import load

DATA = load("digits")


def test_every_image_is_in_one_part():
    whole = load_digits()
    assert len(DATA.x_train) + len(DATA.x_test) == 1797
    images = np.concatenate([DATA.x_train, DATA.x_test])[..., 0].reshape(1797, 64)
    expected = np.rint(whole.data / 16 * 255).astype(np.uint8)
    assert sorted(map(bytes, images)) == sorted(map(bytes, expected))
    np.testing.assert_array_equal(DATA.y_train, whole.target[DATA.index])


def test_shapes_and_range():
    assert DATA.x_train.shape == (1442, 8, 8, 1)
    assert (DATA.x_train.min(), DATA.x_train.max()) == (0, 255)
    assert DATA.classes == tuple("0123456789")


def test_a_fifth_of_each_class_is_for_the_test():
    train, test = (np.bincount(labels, minlength=10) for labels in (DATA.y_train, DATA.y_test))
    np.testing.assert_array_equal(test, (train + test) // 5)
