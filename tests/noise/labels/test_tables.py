"""The confusion as text."""

from __future__ import annotations

import numpy as np

from anl_seg.noise.labels import NoisyLabels
from anl_seg.noise.labels.tables import confusion_text


def noisy(clean, labels, n_classes):
    return NoisyLabels(np.array(labels), np.array(clean), n_classes, "human")


def test_few_classes_are_a_table():
    text = confusion_text(noisy([0, 0, 0, 0, 1], [0, 0, 0, 1, 1], 3), ["cat", "dog", "2"])
    assert text.splitlines() == [
        "clean \\ noisy  0  1  2   wrong",
        "0 cat          3  1  0   0.250",
        "1 dog          0  1  0   0.000",
        "2              0  0  0     nan",
    ]


def test_many_classes_are_a_line_each():
    labels = [0, 1, 1, 2, 3, 4, 6]
    text = confusion_text(noisy([0] * 6 + [6], labels, 13), [f"class{i}" for i in range(13)])
    lines = text.splitlines()
    assert lines[0] == "0 class0: 0.833 wrong: class1 2, class2 1, class3 1, 1 other classes"
    assert lines[6] == "6 class6: 0.000 wrong"
    assert len(lines) == 13
