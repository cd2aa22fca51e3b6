"""Pictures, grey or in colour, of 8 or 16 bits: read as training images, and written as PNG."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from anl_seg.errors import InputError
from anl_seg.formats.images import TIFF_ENDINGS

#: Pictures that cannot be label maps, because JPEG changes values.
JPEG_ENDINGS = (".jpg", ".jpeg")
#: Endings of files that are pictures. A TIFF may be one, or a volume.
PICTURE_ENDINGS = (".png", ".bmp", *JPEG_ENDINGS)
#: Values of the EXIF orientation that turn or mirror a picture.
TURNS = range(2, 9)


def is_volume(path: Path) -> bool:
    """Tell whether a file contains a volume instead of a picture.

    Raises:
        InputError: If a TIFF cannot be read.
    """
    name = path.name.lower()
    if name.endswith(PICTURE_ENDINGS):
        return False
    if not name.endswith(TIFF_ENDINGS):
        return True
    with _reading(path), _open_tiff(path) as file:
        return _has_slices(file)


def read_picture(path: Path) -> NDArray[Any]:
    """Read a picture, grey `(H, W)` or RGB `(H, W, 3)`, uint8 or uint16; alpha is dropped.

    Photos are turned as their EXIF orientation says, see `upright`.

    Raises:
        InputError: If the file cannot be read as a picture. The message is one line.
    """
    with _reading(path):
        pixels = _decode(path)
    if pixels.ndim == 3 and pixels.shape[-1] == 4:
        pixels = pixels[..., :3]
    if pixels.dtype == np.int32 and pixels.size and pixels.min() >= 0 and pixels.max() < 2**16:
        pixels = pixels.astype(np.uint16)  # Pillow's mode of 16-bit PNG
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.shape[2:] not in ((), (3,)):
        raise InputError(
            f"{path}: has {pixels.dtype} pixels of shape {pixels.shape}, expected grey or RGB of 8 "
            "or 16 bits; convert it, or save volumes as NIfTI"
        )
    return pixels


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of image decoders into one that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        raise InputError(f"{path}: cannot be read as an image ({error})") from error


def _decode(path: Path) -> NDArray[Any]:
    if path.name.lower().endswith(TIFF_ENDINGS):
        with _open_tiff(path) as file:
            if _has_slices(file):
                raise InputError(
                    f"{path}: contains slices, but other images are 2D; use one kind only"
                )
            return np.asarray(file.asarray())
    with Image.open(path) as stored:
        picture = upright(stored)
        plain = picture.convert("RGB") if picture.mode in {"P", "CMYK"} else picture
        return np.asarray(plain.convert("L") if plain.mode in {"1", "LA"} else plain)


def upright(picture: Image.Image) -> Image.Image:
    """Turn or mirror a picture as its EXIF orientation says, as viewers do."""
    return ImageOps.exif_transpose(picture) if is_turned(picture) else picture


def is_turned(picture: Image.Image) -> bool:
    """Tell whether viewers show a picture turned or mirrored. Damaged EXIF data is ignored."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) in TURNS
    except (SyntaxError, OSError, struct.error):
        return False


def write_picture(path: Path, pixels: Image.Image | NDArray[Any]) -> None:
    """Write a PNG, grey or RGB, of 8 or 16 bits."""
    if isinstance(pixels, np.ndarray) and pixels.ndim == 3 and pixels.dtype == np.uint16:
        import cv2  # Pillow has no RGB of 16 bits

        _, encoded = cv2.imencode(".png", pixels[..., ::-1])
        path.write_bytes(encoded.tobytes())
        return
    picture = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    picture.save(path)


def _open_tiff(path: Path) -> Any:  # noqa: ANN401 (a TiffFile, of a library loaded on use)
    import tifffile

    return tifffile.TiffFile(path)


def _has_slices(file: Any) -> bool:  # noqa: ANN401
    """Tell whether a TIFF has slices of a volume instead of channels, without decoding it."""
    import tifffile

    page = file.pages.first
    channels = page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.CONTIG
    return len(file.series[0].shape) == 3 and not channels
