"""Dermoscopy phantom: pictures of skin with a lesion whose mask is known exactly.

The ranges of skin colour, pigment and lesion size were chosen by eye and from the quantiles of real
ISIC-2017 training images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage, special

from anl_seg.datasets import isic2017
from anl_seg.formats.folders import atomic_folder

Field = NDArray[np.float64]

#: Absorption of red, green and blue by melanin, relative to green; about as in real lesions.
MELANIN = np.array([0.5, 1.0, 1.4])
#: Absorption by blood, which makes skin mottled and red.
BLOOD = np.array([0.15, 1.0, 0.8])
HAIR_SUPERSAMPLING = 4
#: Colours of stickers: yellow, blue, orange, green and turquoise, as in the archive.
STICKER_COLOURS = np.array(
    [[0.9, 0.8, 0.15], [0.1, 0.6, 0.85], [0.95, 0.55, 0.15], [0.2, 0.6, 0.2], [0.45, 0.75, 0.78]]
)


def render(seed: int, index: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one picture and its mask; the same arguments give the same bits.

    Light passes through layers of pigment: skin, small naevi that are not part of the mask, and the
    lesion. The outline of the mask is the middle of the lesion's soft edge. Some pictures have a
    coloured sticker, hair or a dark rim, and some lesions are faint.

    Args:
        seed: Seed of the data set.
        index: Number of the picture in the data set.
        size: Width and height in pixels, at least 32.

    Returns:
        The image, `(size, size, 3)` uint8 RGB, and the mask, `(size, size)` uint8, 0 skin and 1
        lesion. The lesion is one piece without holes.

    Examples:
        >>> image, mask = render(seed=1, index=0, size=64)
        >>> image.shape, mask.shape, np.unique(mask).tolist()
        ((64, 64, 3), (64, 64), [0, 1])
    """
    rng = np.random.default_rng([seed, index])
    mask = _outline(rng, size)
    light = _skin(rng, size)
    light *= _transmission(_naevi(rng, size, mask), MELANIN)
    light *= _transmission(_lesion(rng, mask), MELANIN)
    if rng.random() < 0.4:
        light = _with_sticker(rng, light, mask)
    if rng.random() < 0.5:
        light *= 1 - _hair(rng, size)[..., None] * rng.uniform(0.5, 0.9)
    light *= _shading(rng, size)[..., None]
    light += rng.normal(0, 0.008, light.shape)  # the sensor
    return np.round(255 * light.clip(0, 1)).astype(np.uint8), mask.astype(np.uint8)


def write_challenge_layout(
    folder: Path, *, n_train: int, n_test: int, size: int, seed: int
) -> None:
    """Write a phantom data set in the layout of the ISIC-2017 challenge.

    Args:
        folder: Folder to create. It must be absent or empty.
        n_train: Number of training pairs, numbered from `ISIC_9000000`.
        n_test: Number of test pairs, numbered after the training pairs.
        size: Width and height in pixels.
        seed: Seed of `render`.

    Raises:
        OSError: If `folder` is not empty or cannot be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_challenge_layout(Path(folder, "new"), n_train=2, n_test=1, size=32, seed=1)
        ...     len(list(Path(folder, "new").rglob("*_segmentation.png")))
        3
    """
    parts = (
        (isic2017.TRAINING_IMAGES, isic2017.TRAINING_MASKS, range(n_train)),
        (isic2017.TEST_IMAGES, isic2017.TEST_MASKS, range(n_train, n_train + n_test)),
    )
    with atomic_folder(folder) as partial:
        for images, masks, indices in parts:
            (partial / images).mkdir()
            (partial / masks).mkdir()
            for index in indices:
                name = f"ISIC_{9_000_000 + index}"
                image, mask = render(seed, index, size)
                Image.fromarray(image).save(
                    partial / images / f"{name}{isic2017.IMAGE_ENDING}", quality=95, subsampling=0
                )
                Image.fromarray(255 * mask).save(partial / masks / f"{name}{isic2017.MASK_ENDING}")


def _noise(rng: np.random.Generator, size: int, scale: float) -> Field:
    """Return smooth noise, `(size, size)`, mean 0 and variance 1; `scale` is in picture widths."""
    field = ndimage.gaussian_filter(rng.normal(size=(size, size)), scale * size, mode="wrap")
    return np.asarray((field - field.mean()) / field.std())


def _grid(size: int) -> tuple[Field, Field]:
    """Return y and x of the pixel centres in picture widths, 0 in the middle."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _transmission(pigment: Field, colour: NDArray[np.float64]) -> Field:
    """Return the share of light, `(size, size, 3)`, that passes a layer of pigment."""
    return np.asarray(np.exp(-pigment[..., None] * colour))


def _skin(rng: np.random.Generator, size: int) -> Field:
    """Return bare skin, `(size, size, 3)`: a tone, reddish blotches and a fine grain."""
    red, green, blue = rng.uniform([0.65, 0.8, 0.86], [0.9, 0.88, 0.98])
    tone = red * np.array([1, green, green * blue])
    blood = 0.03 * _noise(rng, size, 0.12) + 0.012 * _noise(rng, size, 0.01)
    grain = 0.02 * _noise(rng, size, 0.08) + 0.015 * _noise(rng, size, 0.004)
    return np.asarray(tone * _transmission(blood, BLOOD) * _transmission(grain, MELANIN))


def _outline(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Return the mask of a lesion: an ellipse with a wavy, frayed outline."""
    y, x = _grid(size)
    angle = rng.uniform(0, np.pi)
    centre_y, centre_x = rng.normal(0, 0.07, 2)
    y, x = y - centre_y, x - centre_x
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = np.exp(rng.uniform(np.log(0.09), np.log(0.3)))
    elongation = rng.uniform(1, 1.35)
    distance = np.hypot(along / elongation, across * elongation) / radius
    waves = np.arange(2, 7)
    phases = np.arctan2(across, along)[..., None] * waves + rng.uniform(0, 2 * np.pi, waves.size)
    wavy = (np.cos(phases) * rng.normal(0, 0.13, waves.size) / np.sqrt(waves)).sum(axis=-1)
    frayed = rng.uniform(0, 0.07) * _noise(rng, size, 0.15 * radius)
    pieces, _ = ndimage.label(distance < 1 + wavy + frayed)
    largest = np.bincount(pieces.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.binary_fill_holes(pieces == largest))


def _depth(mask: NDArray[np.bool_]) -> Field:
    """Return the depth of each pixel inside the mask (negative outside), in picture widths."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray((inside - outside) / mask.shape[0])


def _lesion(rng: np.random.Generator, mask: NDArray[np.bool_]) -> Field:
    """Return the lesion's pigment, `(size, size)`: uneven, darker blotches, a soft edge."""
    size = len(mask)
    amount = np.exp(rng.uniform(np.log(0.2), np.log(1.1)))
    uneven = 0.25 * _noise(rng, size, 0.05) + 0.15 * _noise(rng, size, 0.012)
    blotches = 0.5 * (_noise(rng, size, 0.04) > rng.uniform(0.7, 2))
    blotches = ndimage.gaussian_filter(blotches, 0.006 * size)
    softness = rng.uniform(0.004, 0.02)
    edge = special.expit(_depth(mask) / softness)
    return np.asarray(amount * edge * (1 + uneven + blotches).clip(0.3))


def _naevi(rng: np.random.Generator, size: int, mask: NDArray[np.bool_]) -> Field:
    """Return the pigment of up to six small spots at a distance from the lesion."""
    y, x = _grid(size)
    away = np.argwhere(_depth(mask) < -0.08)
    pigment = np.zeros((size, size))
    for row, column in rng.permutation(away)[: rng.integers(0, 7)]:
        distance = np.hypot(y - y[row, column], x - x[row, column])
        radius = rng.uniform(0.008, 0.035)
        wobble = 0.15 * radius * _noise(rng, size, 0.02)
        spot = special.expit((radius + wobble - distance) / (0.2 * radius))
        pigment = np.maximum(pigment, rng.uniform(0.15, 0.8) * spot)
    return pigment


def _with_sticker(rng: np.random.Generator, light: Field, mask: NDArray[np.bool_]) -> Field:
    """Cover part of the border with a round coloured sticker that does not touch the lesion."""
    size = len(mask)
    y, x = _grid(size)
    direction, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.3)
    middle = rng.uniform(0.5, 0.6)
    distance = np.hypot(y - middle * np.sin(direction), x - middle * np.cos(direction))
    colour = rng.choice(STICKER_COLOURS)
    cover = (0.5 + (radius - distance) * size).clip(0, 1)[..., None]
    if (cover[mask] > 0).any():
        return light
    paper = colour * (1 + 0.04 * _noise(rng, size, 0.004))[..., None]
    return np.asarray(light * (1 - cover) + paper * cover)


def _hair(rng: np.random.Generator, size: int) -> Field:
    """Return the coverage of each pixel by curved, roughly parallel hairs, `(size, size)`."""
    fine = size * HAIR_SUPERSAMPLING
    picture = Image.new("L", (fine, fine))
    draw = ImageDraw.Draw(picture)
    main_angle = rng.uniform(0, np.pi)
    steps = np.linspace(-0.5, 0.5, 30)
    for _ in range(rng.integers(4, 25)):
        angle = main_angle + rng.normal(0, 0.4)
        forward = np.array([np.cos(angle), np.sin(angle)])
        sideways = np.array([-forward[1], forward[0]])
        bend = rng.normal(0, 0.4) * steps**2 + rng.normal(0, 0.5) * steps**3
        points = rng.uniform(0, 1, 2) + rng.uniform(0.2, 1) * (
            np.outer(steps, forward) + np.outer(bend, sideways)
        )
        width = max(1, round(rng.uniform(0.002, 0.006) * fine))
        draw.line([tuple(point) for point in (points * fine).tolist()], fill=255, width=width)
    small = picture.resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _shading(rng: np.random.Generator, size: int) -> Field:
    """Return the lamp's light, `(size, size)`: a slope, a vignette and sometimes a black rim."""
    y, x = _grid(size)
    direction = rng.uniform(0, 2 * np.pi)
    slope = 1 + rng.uniform(0, 0.3) * (x * np.cos(direction) + y * np.sin(direction))
    distance = np.hypot(y, x)
    vignette = 1 - rng.uniform(0, 0.7) * distance**2
    if rng.random() < 0.3:
        rim, softness = rng.uniform(0.5, 0.62), rng.uniform(0.006, 0.03)
        vignette *= 0.05 + 0.95 * special.expit((rim - distance) / softness)
    return np.asarray(slope * vignette)
