"""Image files of one channel, read with the same pixels and spacing as nnU-Net's readers.

Each format has one class with its reader and writer. `FORMATS` is the table of them.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.files import atomic_path
from anl_seg.formats.text import read_json

#: Read with Pillow, as nnU-Net does. SimpleITK reads a 1-bit PNG as 0/255 and a BMP as colour.
PILLOW_ENDINGS = (".png", ".bmp")
#: Read with tifffile, as nnU-Net does. SimpleITK reads tiles, 1-bit pixels and 3 slices as colour.
TIFF_ENDINGS = (".tif", ".tiff")

#: Pillow's modes of one channel whose pixels are numbers, not indices into a palette.
PILLOW_LABEL_MODES = ("1", "L", "I", "I;16", "I;16B")
#: Header field of the spacing, in formats that may lack it.
SPACING_FIELDS = {
    ".nrrd": rb"^(spacings|space directions):",
    ".mha": rb"^Element(Spacing|Size)\s*=",
    ".mhd": rb"^Element(Spacing|Size)\s*=",
}
HEADER_BYTES = 1 << 16
#: NIfTI's units of length that are not millimetres, in millimetres.
NIFTI_UNITS_MM = {"meter": 1e3, "micron": 1e-3}


@dataclass(frozen=True)
class Geometry:
    """Position of an image's pixels, in mm.

    Attributes:
        spacing: Pixel spacing along each axis of the array.
        origin: Position of the first pixel, `(x, y, z)`; None if the format does not store it.
        direction: Directions of the axes, a matrix row by row, as in SimpleITK; None if the format
            does not store it.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...] | None = None
    direction: tuple[float, ...] | None = None


class _Format(Protocol):
    """The reader and the writer of a format."""

    @staticmethod
    def read(path: Path) -> tuple[NDArray[Any], Geometry | None]: ...

    @staticmethod
    def write(path: Path, pixels: NDArray[Any], like: Path) -> None: ...


def ending_of(path: Path) -> str | None:
    """Return the ending of a file's name if it is one of `ENDINGS`, in lower case; else None."""
    name = path.name.lower()
    return next((ending for ending in ENDINGS if name.endswith(ending)), None)


def stem(path: Path, endings: Sequence[str]) -> str:
    """Return the name of a file without one of these endings; the whole name if it has none."""
    name = path.name
    return name[: len(name) - len(next(filter(name.lower().endswith, endings), ""))]


def side_car(path: Path) -> Path:
    """Return the file in which nnU-Net stores the spacing of a TIFF: same name, ending `.json`."""
    return path.with_suffix(".json")


def read_image(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    """Read the stored values of a one-channel image, and its geometry.

    Args:
        path: A file with one of `ENDINGS`.

    Returns:
        Pixels, 2D `(H, W)` or 3D `(D, H, W)`. They are bool for a 1-bit PNG, BMP or TIFF, so that
        the values are 0 and 1 as in nnU-Net. The geometry is None if the file does not state it.

    Raises:
        InputError: If the file cannot be read, has several channels, or is neither 2D nor 3D. The
            message is one line.
    """
    try:
        pixels, geometry = _format(path).read(path)
    except InputError:
        raise
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        if "imagecodecs" in reason:
            raise InputError(
                f"{path}: {reason}; pip install imagecodecs, or save it with zlib compression"
            ) from error
        raise InputError(
            f"{path}: cannot be read as an image ({reason}); replace it with an intact mask"
        ) from error
    if pixels.ndim not in (2, 3):
        raise InputError(f"{path}: has {pixels.ndim} dimensions, expected 2 or 3; save one volume")
    return pixels, geometry


def read_for_display(path: Path) -> NDArray[Any]:
    """Read an image for display: grey, or with colours or transparency along the last axis.

    Args:
        path: A file with one of `ENDINGS`, or another that Pillow reads.

    Raises:
        InputError: If the file cannot be read. The message is one line.
    """
    if ending_of(path) not in PILLOW_ENDINGS + TIFF_ENDINGS + (None,):
        return read_image(path)[0]
    try:
        if ending_of(path) in TIFF_ENDINGS:
            import tifffile

            return np.asarray(tifffile.imread(path))
        with Image.open(path) as picture:
            return np.asarray(picture)
    except Exception as error:  # image decoders raise all kinds of errors on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(f"{path}: cannot be read as an image ({reason})") from error


def write_image(path: Path, pixels: NDArray[Any], like: Path) -> None:
    """Write pixels atomically, with the header, geometry and colour table of another image.

    Args:
        path: The file to write, of the same format as `like`.
        pixels: Array of the shape of `like`, except that axes of one pixel may be missing. Its type
            is kept.
        like: Image whose header, geometry and colour table are used.
    """
    with atomic_path(path) as partial:
        _format(path).write(partial, pixels, like)


def write_volume(path: Path, pixels: Any, geometry: Geometry | None) -> None:  # noqa: ANN401 (an array, or what SimpleITK takes as one)
    """Write a volume in a format of SimpleITK's, compressed, with a geometry if there is one."""
    import SimpleITK as sitk

    image: Any = sitk.GetImageFromArray(pixels)
    if geometry is not None:
        image.SetSpacing(geometry.spacing[::-1])
        if geometry.origin is not None:
            image.SetOrigin(geometry.origin)
        if geometry.direction is not None:
            image.SetDirection(geometry.direction)
    with utf8_path(path) as name:
        sitk.WriteImage(image, name, useCompression=True)


def _format(path: Path) -> _Format:
    return FORMATS.get(ending_of(path) or "", _Itk)


class _Picture:
    """Reader and writer of PNG and BMP, with Pillow."""

    @staticmethod
    def read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
        with Image.open(path) as picture:
            if picture.mode not in PILLOW_LABEL_MODES:
                raise InputError(_colour_message(path, f"mode {picture.mode}"))
            return np.asarray(picture), None

    @staticmethod
    def write(path: Path, pixels: NDArray[Any], like: Path) -> None:
        Image.fromarray(pixels).save(path)


class _Tiff:
    """Reader and writer of TIFF, with tifffile, for both nnU-Net's 2D and 3D readers.

    Both readers take the first series of pages and ignore colour tables. The 3D reader reads
    separate colour planes as slices, because nnU-Net writes volumes of 3 or 4 slices in this way.
    """

    @staticmethod
    def read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
        import tifffile

        with tifffile.TiffFile(path) as file:
            page, series = file.pages.first, file.series[0]
            if page.samplesperpixel > 1 and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
                raise InputError(_colour_message(path, f"{page.samplesperpixel} channels"))
            if sum(other.shape == series.shape for other in file.series) > 1:
                raise InputError(
                    f"{path}: contains {len(file.series)} separate images, and nnU-Net reads only "
                    "the first; save them as one volume (tifffile.imwrite of the whole array)"
                )
            _check_whole(path, file)
            pixels = np.asarray(series.asarray())
        return pixels, _side_car_geometry(path, pixels.ndim)

    @staticmethod
    def write(path: Path, pixels: NDArray[Any], like: Path) -> None:
        import tifffile

        with tifffile.TiffFile(like) as file:
            page, shape = file.pages.first, file.series[0].shape
            resolution, unit = page.resolution, page.resolutionunit
            photometric, colours = page.photometric, page.colormap
        kept = (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.PALETTE)
        tifffile.imwrite(
            path,
            pixels.reshape(shape),
            photometric=photometric if photometric in kept else tifffile.PHOTOMETRIC.MINISBLACK,
            colormap=colours,
            compression="zlib",
            resolution=resolution,
            resolutionunit=unit,
        )


class _Itk:
    """Reader and writer of all other formats, with SimpleITK."""

    @staticmethod
    def read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
        import SimpleITK as sitk  # takes as long to load as hundreds of PNG masks

        with utf8_path(path) as name:
            image: Any = sitk.ReadImage(name)  # Any, because SimpleITK is only partly typed
        channels = image.GetNumberOfComponentsPerPixel()
        if channels != 1:
            raise InputError(_colour_message(path, f"{channels} channels"))
        pixels = sitk.GetArrayFromImage(image)
        spacing, origin = image.GetSpacing(), image.GetOrigin()
        direction = np.reshape(image.GetDirection(), (len(spacing), len(spacing)))
        if pixels.ndim == 4 and len(pixels) == 1:
            pixels, spacing, origin = pixels[0], spacing[:3], origin[:3]
            direction = direction[:3, :3]
        if not _says_spacing(path):
            return pixels, None
        return pixels, Geometry(spacing[::-1], origin, tuple(direction.ravel().tolist()))

    @staticmethod
    def write(path: Path, pixels: NDArray[Any], like: Path) -> None:
        import SimpleITK as sitk

        library: Any = sitk  # Any, because SimpleITK is only partly typed
        reader = library.ImageFileReader()
        with utf8_path(like) as name:
            reader.SetFileName(name)
            reader.ReadImageInformation()
        image: Any = sitk.GetImageFromArray(pixels.reshape(reader.GetSize()[::-1]), isVector=False)
        image.SetSpacing(reader.GetSpacing())
        image.SetOrigin(reader.GetOrigin())
        image.SetDirection(reader.GetDirection())
        for key in reader.GetMetaDataKeys():
            image.SetMetaData(key, reader.GetMetaData(key))
        with utf8_path(path) as name:
            sitk.WriteImage(image, name, useCompression=True)


class _Nifti:
    """Reader and writer of NIfTI: SimpleITK, or nibabel if the axes are not orthogonal."""

    @staticmethod
    def read(path: Path) -> tuple[NDArray[Any], Geometry | None]:
        try:
            return _Itk.read(path)
        except RuntimeError as itk_error:
            try:
                return _read_with_nibabel(path)
            except Exception:  # nibabel failed too, and ITK's message is clearer
                raise itk_error from None

    @staticmethod
    def write(path: Path, pixels: NDArray[Any], like: Path) -> None:
        try:
            _Itk.write(path, pixels, like)
        except RuntimeError:
            _write_with_nibabel(path, pixels, like)


#: Ending of a file -> its format: lossless ones, including all of nnU-Net's. A new format is one
#: class and one row. Files with other endings (.json, .npz) are not masks.
FORMATS: Mapping[str, _Format] = MappingProxyType(
    {
        ".png": _Picture,
        ".bmp": _Picture,
        ".tif": _Tiff,
        ".tiff": _Tiff,
        ".nii.gz": _Nifti,
        ".nii": _Nifti,
        ".nrrd": _Itk,
        ".mha": _Itk,
        ".mhd": _Itk,
        ".gipl": _Itk,
    }
)
ENDINGS = tuple(FORMATS)


def _read_with_nibabel(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    import nibabel

    image: Any = nibabel.load(path)
    pixels = np.asanyarray(image.dataobj)
    while pixels.ndim > 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    unit_mm = NIFTI_UNITS_MM.get(image.header.get_xyzt_units()[0], 1.0)
    affine = np.diag((-1.0, -1.0, 1.0, 1.0)) @ image.affine  # ITK's axes point left and to the back
    columns = affine[:3, :3]
    direction = columns / np.linalg.norm(columns, axis=0)
    spacing = [float(step) * unit_mm for step in image.header.get_zooms()[: pixels.ndim]]
    geometry = Geometry(
        tuple(spacing[::-1]),
        tuple((affine[:3, 3] * unit_mm).tolist()),
        tuple(direction.ravel().tolist()),
    )
    return np.ascontiguousarray(pixels.T), geometry


def _write_with_nibabel(path: Path, pixels: NDArray[Any], like: Path) -> None:
    import nibabel

    library: Any = nibabel  # Any, because nibabel has no types
    template = library.load(like)
    header = template.header.copy()
    header.set_data_dtype(pixels.dtype)
    stored = pixels.reshape(template.shape[::-1]).T
    library.save(library.Nifti1Image(stored, None, header), path)


def _check_whole(path: Path, file: Any) -> None:  # noqa: ANN401 (a TiffFile)
    """Refuse a truncated TIFF, because tifffile skips missing pages and fills in missing tiles."""
    stream, form = file.filehandle, file.tiff
    places = [(form.offsetsize, form.offsetsize)]  # first the link to the first page
    offset, seen = -1, set[int]()
    while offset and offset not in seen:
        seen.add(offset)
        place, length = places.pop()
        stream.seek(place)
        (offset,) = struct.unpack(form.offsetformat, stream.read(length))
        if offset:
            stream.seek(offset)
            (tags,) = struct.unpack(form.tagnoformat, stream.read(form.tagnosize))
            places.append((offset + form.tagnosize + tags * form.tagsize, form.offsetsize))
    for part in filter(None, file.series[0].pages):
        ends = zip(part.dataoffsets, part.databytecounts, strict=True)
        if any(start + length > stream.size for start, length in ends):
            raise InputError(f"{path}: is truncated; copy it again")


def _side_car_geometry(path: Path, ndim: int) -> Geometry | None:
    """Return the spacing from nnU-Net's JSON beside a TIFF; None without such a file."""
    file = side_car(path)
    if not file.is_file():
        return None
    content = read_json(file)
    if not isinstance(content, dict) or "spacing" not in content:
        return None
    spacing = content["spacing"]
    if ndim == 2 and isinstance(spacing, list) and len(spacing) == 3:
        spacing = spacing[1:]  # a 2D image lacks the first axis
    wrong = not isinstance(spacing, list) or len(spacing) != ndim
    if wrong or not all(isinstance(s, (int, float)) and 0 < s < math.inf for s in spacing):
        raise InputError(
            f"{file}: spacing is {json.dumps(content['spacing'])}, expected {ndim} positive "
            f"numbers in mm, one for each axis of {path.name}; correct it"
        )
    return Geometry(tuple(float(step) for step in spacing))


def _says_spacing(path: Path) -> bool:
    """Return whether the header of a file has a spacing; ITK fills in 1 if it is missing."""
    field = SPACING_FIELDS.get(ending_of(path) or "")
    if field is None:
        return True
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    return re.search(field, header, re.MULTILINE) is not None


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """Provide a UTF-8 name of the file, because SimpleITK ends the process at any other."""
    try:
        path.absolute().as_posix().encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder, "image" + (ending_of(path) or ""))
            os.symlink(path.absolute(), link)
            yield str(link)
    else:
        yield str(path)


def _colour_message(path: Path, found: str) -> str:
    return (
        f"{path}: is a colour or palette image ({found}), expected one channel with labels "
        "0..K-1; save the labels as a grey image"
    )
