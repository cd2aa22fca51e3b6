"""Instance-dependent label noise: rate and class of wrong labels depend on the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from anl_seg.errors import InputError
from anl_seg.noise.labels.record import Labels
from anl_seg.noise.selection import generator

#: Standard deviation of the images' noise rates.
RATE_STD = 0.1


def draw(
    clean: Labels, images: NDArray[np.uint8] | None, eta: float, n_classes: int, seed: int
) -> Labels:
    """Draw part-dependent noise (PDN), Algorithm 2 of its paper.

    Each image i has its own rate q_i from a normal distribution around `eta`, truncated to [0, 1].
    The mean rate is the mean of the truncated distribution: `eta` for 0.4, but 0.2055 for 0.2.

    Each class y has a standard normal projection W_y of pixels to scores. A wrong label of image i
    is drawn from softmax(x_i W_y) over the other classes. x are the stored pixels, 0 to 255, as in
    the authors' `data.py`. At this scale the softmax is nearly an argmax.

    Everything is computed on the CPU in float64, class by class, from the seed and the class alone.

    Args:
        clean: `(n,)` int64.
        images: `(n, ...)` uint8, not augmented, in the same order.
        eta: Centre of the rates.
        n_classes: K.
        seed: Any whole number.

    Returns:
        Noisy labels, `(n,)` int64.

    Raises:
        InputError: If the images are missing, not uint8, or not as many as the labels.

    References:
        Xia et al., "Part-dependent Label Noise: Towards Instance-dependent Label Noise",
        NeurIPS 2020.
    """
    pixels = _checked(images, len(clean))
    rng = generator(seed, "labels", "instance")
    rate, chance, position = rng.random((3, len(clean)))
    wrong = chance < rates(eta, rate)
    noisy: Labels = clean.copy()
    for label in range(n_classes):
        members = np.flatnonzero(wrong & (clean == label))
        weights = generator(seed, "labels", "instance", str(label)).standard_normal(
            (pixels.shape[1], n_classes)
        )
        scores = pixels[members].astype(np.float64) @ weights
        scores[:, label] = -np.inf
        cumulative = np.cumsum(special.softmax(scores, axis=1), axis=1)
        threshold = position[members] * cumulative[:, -1]
        noisy[members] = (cumulative > threshold[:, None]).argmax(axis=1)
    return noisy


def rates(eta: float, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute noise rates: normal around `eta`, truncated to [0, 1], by the inverse CDF.

    Args:
        eta: Centre of the distribution.
        uniform: Uniform draws in [0, 1).
    """
    below, above = special.ndtr([-eta / RATE_STD, (1 - eta) / RATE_STD])
    drawn: NDArray[np.float64] = special.ndtri(below + uniform * (above - below))
    return eta + RATE_STD * drawn


def _checked(images: NDArray[np.uint8] | None, n: int) -> NDArray[np.uint8]:
    if images is None:
        raise InputError("instance-dependent noise depends on the images: give images")
    if images.dtype != np.uint8:
        raise InputError(
            "instance-dependent noise needs un-augmented pixels: "
            f"images must be uint8, got {images.dtype}"
        )
    if len(images) != n:
        raise InputError(f"got {n} labels, but {len(images)} images")
    return images.reshape(n, -1)
