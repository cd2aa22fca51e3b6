"""The published generator written out plainly: pass by pass, candidate by candidate.

Reference for the tests of `anl_seg.noise.published` and for `benchmarks/noise.py`.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import transform


def erode(mask, eta_beta):
    """Erode with scipy's cross until the level is passed, and return the nearer of the last two."""
    goal = mask.sum() - int(mask.sum() * eta_beta)
    before = after = mask
    while after.sum() > goal and after.any():
        before, after = after, ndimage.binary_erosion(after)
    if not after.any() or abs(before.sum() - goal) < abs(after.sum() - goal):
        return before
    return after


def dilate(mask, eta_beta):
    goal = mask.sum() + int(mask.sum() * eta_beta)
    before = after = mask
    while after.sum() < goal and not after.all():
        before, after = after, ndimage.binary_dilation(after)
    if after.all() or abs(before.sum() - goal) < abs(after.sum() - goal):
        return before
    return after


def rotate(mask, angle_deg):
    """Rotate with interpolation, and keep only pixels with the value 1."""
    return transform.rotate(mask.astype(float), angle_deg).astype(np.uint8).astype(bool)


def displace(mask, eta_beta, angle_deg, direction):
    """Bisect over 101 shifts of the whole image, and return the last one tried."""
    rotated = rotate(mask, angle_deg)
    low, high = 0, 100
    while low < high:
        step = (low + high) // 2
        down, right = (abs(step * sign) for sign in direction)
        canvas = np.zeros((mask.shape[0] + down, mask.shape[1] + right), bool)
        canvas[down:, right:] = rotated
        moved = canvas[: mask.shape[0], : mask.shape[1]]
        ratio = (moved != mask).sum() / mask.sum()
        if ratio == eta_beta:
            break
        low, high = (low, step - 1) if ratio > eta_beta else (step + 1, high)
    return moved
