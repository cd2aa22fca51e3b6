"""Every format is read as by nnU-Net's own readers, or refused with a correct message."""

from __future__ import annotations

import json
import os

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.nibabel_reader_writer import NibabelIO
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO
from PIL import Image

from anl_seg.errors import InputError
from anl_seg.formats.images import Geometry, read_image, write_image
from anl_seg.formats.masks import read_labels, read_labels_and_geometry

FLAT = np.zeros((20, 30), np.uint8)
FLAT[4:12, 5:21] = 1
FLAT[6:9, 8:11] = 2
SOLID = np.stack([FLAT, FLAT[::-1], FLAT[:, ::-1], FLAT * 0, FLAT])
SHEARED = np.array([[-0.5, 2e-4, 0, 3], [0, -0.75, 0, 7], [0, 0, 3, -9], [0, 0, 0, 1]])


def nnunet(reader, path):
    """Read a file of labels with nnU-Net: one channel, a single slice in 2D."""
    channels = reader().read_seg(str(path))[0]
    assert len(channels) == 1
    return channels[0][0] if channels.shape[1] == 1 else channels[0]


TIFF_FLAT = {
    "tiled": dict(data=FLAT, tile=(16, 16)),
    "1 bit": dict(data=FLAT > 0),
    "1 bit, white is zero": dict(data=FLAT > 0, photometric="miniswhite"),
    "white is zero": dict(data=FLAT, photometric="miniswhite"),
    "16 bit": dict(data=FLAT.astype(np.uint16) * 700),
    "big-endian": dict(data=FLAT.astype(">u2"), byteorder=">"),
    "64 bit": dict(data=FLAT.astype(np.int64)),
    "float": dict(data=FLAT.astype(np.float64)),
    "predictor": dict(data=FLAT, compression="zlib", predictor=True),
    "LZW": dict(data=FLAT, compression="lzw"),
    "Zstandard": dict(data=FLAT, compression="zstd"),
    "grey palette": dict(
        data=FLAT, photometric="palette", colormap=np.tile(np.arange(256, dtype="u2") * 257, (3, 1))
    ),
    "colour palette": dict(
        data=FLAT,
        photometric="palette",
        colormap=np.random.default_rng(0).integers(0, 65535, (3, 256), np.uint16),
    ),
}


@pytest.mark.parametrize("kind", TIFF_FLAT)
def test_flat_tiff_is_read_as_nnunets_2d_reader_does(tmp_path, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, **TIFF_FLAT[kind])
    expected = nnunet(NaturalImage2DIO, path)
    assert np.array_equal(expected, TIFF_FLAT[kind]["data"])
    assert np.array_equal(read_labels(path), expected)
    pixels = read_image(path)[0]
    write_image(tmp_path / "b.tif", pixels[::-1], path)
    assert np.array_equal(nnunet(NaturalImage2DIO, tmp_path / "b.tif"), expected[::-1])
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(tmp_path / "b.tif") as after:
        one, other = before.pages.first, after.pages.first
        assert other.dtype == one.dtype
        assert (other.photometric, other.bitspersample) == (one.photometric, one.bitspersample)
        assert np.array_equal(other.colormap, one.colormap)


@pytest.mark.parametrize("mode", ["group4", "packbits", "tiff_lzw"])
def test_tiff_that_pillow_compressed(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.fromarray(FLAT > 0).save(path, compression=mode)
    assert np.array_equal(read_labels(path), nnunet(NaturalImage2DIO, path))
    assert np.array_equal(read_labels(path), FLAT > 0)


@pytest.mark.filterwarnings("ignore:.*stored as RGB:DeprecationWarning")  # of nnU-Net's own call
@pytest.mark.parametrize("slices", [2, 3, 4, 5])
@pytest.mark.parametrize("highest", [1, 300])
def test_volumes_that_nnunet_writes_as_tiff(tmp_path, slices, highest):
    path = tmp_path / "a.tif"
    labels = SOLID[:slices].astype(np.uint16) * (1 if highest == 1 else 200)
    Tiff3DIO().write_seg(labels, str(path), {"spacing": (2.0, 1.0, 0.5)})
    found, geometry = read_labels_and_geometry(path)
    assert np.array_equal(found, nnunet(Tiff3DIO, path))
    assert np.array_equal(found, labels)
    assert geometry == Geometry((2.0, 1.0, 0.5))
    write_image(tmp_path / "b.tif", found[::-1], path)
    assert np.array_equal(nnunet(Tiff3DIO, tmp_path / "b.tif"), labels[::-1])


@pytest.mark.parametrize("kind", ["pages", "planes", "ImageJ", "OME"])
def test_other_volumes_as_tiff(tmp_path, kind):
    path = tmp_path / ("a.ome.tif" if kind == "OME" else "a.tif")
    if kind == "pages":
        pages = [Image.fromarray(page) for page in SOLID]
        pages[0].save(path, save_all=True, append_images=pages[1:])
    elif kind == "planes":
        tifffile.imwrite(path, SOLID[:3], photometric="rgb", planarconfig="separate")
    else:
        tifffile.imwrite(path, SOLID, imagej=kind == "ImageJ", metadata={"axes": "ZYX"})
    expected = nnunet(Tiff3DIO, path)
    assert expected.ndim == 3
    assert np.array_equal(read_labels(path), expected)
    write_image(tmp_path / "b.tif", expected[::-1].astype(np.uint8), path)
    assert np.array_equal(nnunet(Tiff3DIO, tmp_path / "b.tif"), expected[::-1])


def test_separate_images_in_one_tiff_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as stream:
        for page in SOLID:
            stream.write(page, photometric="minisblack")
    with pytest.raises(InputError, match=r"a\.tif: contains 5 separate images, and nnU-Net reads"):
        read_labels(tmp_path / "a.tif")


def test_grey_with_alpha_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.stack([FLAT, FLAT], -1),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    )
    with pytest.raises(InputError, match="2 channels"):
        read_labels(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_truncated_tiff_is_refused(tmp_path, compression):
    path = tmp_path / "a.tif"
    noise = np.random.default_rng(0).integers(0, 3, (5, 64, 64), np.uint8)
    tifffile.imwrite(path, noise, compression=compression, photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"a\.tif: .*cannot be read") as error:
        read_labels(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_codec_that_is_missing_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, FLAT, compression="zstd")

    def missing(self, key):
        raise KeyError(f"{tifffile.COMPRESSION(key)!r} requires the 'imagecodecs' package")

    monkeypatch.setattr(type(tifffile.TIFF.DECOMPRESSORS), "__getitem__", missing)
    with pytest.raises(InputError, match=r"ZSTD.*; pip install imagecodecs"):
        read_labels(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"spacing": [3, 0.5, 0.25]}, (3.0, 0.5, 0.25)),
        ({"spacing": [3, 0.5]}, InputError),
        ({"spacing": [3, 0, 1]}, InputError),
        ({"spacing": "1 1 1"}, InputError),
        ({"shapes": []}, None),  # a file of an annotation program
        ([], None),
    ],
)
def test_the_spacing_beside_a_tiff(tmp_path, content, expected):
    path = tmp_path / "a.b.tif"
    tifffile.imwrite(path, SOLID)
    assert read_labels_and_geometry(path)[1] is None
    (tmp_path / "a.b.json").write_text(json.dumps(content))
    if expected is InputError:
        with pytest.raises(
            InputError, match=r"a\.b\.json: spacing is .* expected 3 positive numbers"
        ):
            read_labels(path)
    else:
        geometry = read_labels_and_geometry(path)[1]
        assert (geometry and geometry.spacing) == expected


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_nifti_with_sheared_axes(tmp_path, ending, dtype):
    path = tmp_path / f"a{ending}"
    nibabel.save(nibabel.Nifti1Image(SOLID.T.astype(dtype), SHEARED), path)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))
    labels, geometry = read_labels_and_geometry(path)
    expected, properties = NibabelIO().read_seg(str(path))
    assert np.array_equal(labels, expected[0])
    assert geometry.spacing == pytest.approx(properties["spacing"])
    write_image(tmp_path / f"b{ending}", labels[::-1].astype(dtype), path)
    after, kept = NibabelIO().read_seg(str(tmp_path / f"b{ending}"))
    assert np.array_equal(after[0], SOLID[::-1])
    assert kept["spacing"] == properties["spacing"]
    affine = nibabel.load(tmp_path / f"b{ending}").affine
    assert np.array_equal(affine, nibabel.load(path).affine)
    assert nibabel.load(tmp_path / f"b{ending}").get_data_dtype() == dtype


def test_nibabel_and_simpleitk_give_one_geometry(tmp_path):
    straight = SHEARED.copy()
    straight[0, 1] = 0
    for name, affine in (("a", SHEARED), ("b", straight)):
        nibabel.save(nibabel.Nifti1Image(SOLID.T, affine), tmp_path / f"{name}.nii")
    sheared, plain = (read_image(tmp_path / f"{name}.nii")[1] for name in "ab")
    assert sheared.spacing == pytest.approx(plain.spacing)
    assert sheared.origin == pytest.approx(plain.origin)
    assert sheared.direction == pytest.approx(plain.direction, abs=1e-3)


@pytest.mark.parametrize("slope", [1 / 255, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("affine", [np.diag((0.5, 0.75, 3, 1)), SHEARED])
def test_whole_numbers_that_nifti_stores_scaled(tmp_path, slope, affine):
    stored = np.rint(SOLID / slope).astype(np.int16) if slope < 1 else SOLID.astype(np.int16)
    image = nibabel.Nifti1Image(stored.T, affine)
    image.header.set_slope_inter(slope, 0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    expected = nnunet(NibabelIO, tmp_path / "a.nii.gz")
    assert len(np.unique(expected)) == 3
    if np.all(expected == np.rint(expected)):
        assert np.array_equal(read_labels(tmp_path / "a.nii.gz"), expected)
    else:
        with pytest.raises(InputError, match="expected whole numbers"):
            read_labels(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("affine", [np.diag((0.5, 0.75, 3, 1)), SHEARED])
def test_nifti_with_a_fourth_axis_of_one(tmp_path, affine):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(SOLID.T[..., None], affine), path)
    labels, geometry = read_labels_and_geometry(path)
    assert np.array_equal(labels, SOLID)
    assert geometry.spacing == pytest.approx((3, 0.75, 0.5))
    write_image(tmp_path / "b.nii.gz", labels[::-1], path)
    assert np.array_equal(read_labels(tmp_path / "b.nii.gz"), SOLID[::-1])


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".nii.gz"])
def test_volumes_are_read_as_nnunets_simpleitk_reader_does(tmp_path, ending):
    image = sitk.GetImageFromArray(SOLID)
    image.SetSpacing((0.5, 0.75, 3.0))
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    expected, properties = SimpleITKIO().read_seg(str(tmp_path / f"a{ending}"))
    labels, geometry = read_labels_and_geometry(tmp_path / f"a{ending}")
    assert np.array_equal(labels, expected[0])
    assert geometry.spacing == pytest.approx(properties["spacing"])


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_a_header_without_spacing_says_none(tmp_path, ending):
    header = {
        ".nrrd": "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 30 20\nencoding: raw\n\n",
        ".mha": "ObjectType = Image\nNDims = 2\nDimSize = 30 20\nElementType = MET_UCHAR\n"
        "ElementDataFile = LOCAL\n",
    }[ending]
    (tmp_path / f"a{ending}").write_bytes(header.encode() + FLAT.tobytes())
    labels, geometry = read_labels_and_geometry(tmp_path / f"a{ending}")
    assert np.array_equal(labels, FLAT)
    assert geometry is None


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_png_is_read_as_nnunet_does(tmp_path, bits):
    labels = {1: FLAT > 0, 8: FLAT, 16: FLAT.astype(np.uint16) * 1000}[bits]
    Image.fromarray(labels).save(tmp_path / "a.png")
    assert np.array_equal(nnunet(NaturalImage2DIO, tmp_path / "a.png"), labels)
    assert np.array_equal(read_labels(tmp_path / "a.png"), labels)


@pytest.mark.parametrize("mode", ["P", "LA", "RGB", "RGBA"])
def test_png_that_nnunet_does_not_read_as_labels_is_refused(tmp_path, mode):
    Image.fromarray(FLAT).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(AssertionError):
        nnunet(NaturalImage2DIO, tmp_path / "a.png")
    with pytest.raises(InputError, match="expected one channel"):
        read_labels(tmp_path / "a.png")


NAMES = [
    "M\udcfcller",
    "Jürgen 𝄞",
    'a"b,c',
    "a\nb",
    "-rf",
    "=1+1",
    "a'b",
    " a ",
    "a%s{}",
    "ä" * 120,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", [".png", ".tif", ".nii.gz", ".nrrd", ".mha"])
def test_any_name_is_read_and_written(tmp_path, name, ending):
    folder = tmp_path / name
    folder.mkdir()
    path, plain = folder / f"{name}{ending}", tmp_path / f"plain{ending}"
    if ending == ".png":
        Image.fromarray(FLAT).save(plain)
    elif ending == ".tif":
        tifffile.imwrite(plain, FLAT)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(FLAT), str(plain))
    os.rename(plain, path)
    assert np.array_equal(read_labels(path), FLAT)
    write_image(folder / f"other{ending}", FLAT[::-1].copy(), path)
    assert np.array_equal(read_labels(folder / f"other{ending}"), FLAT[::-1])
    write_image(path, FLAT[:, ::-1].copy(), path)
    assert np.array_equal(read_labels(path), FLAT[:, ::-1])


def test_several_volumes_in_one_file_are_refused(tmp_path):
    path = tmp_path / "c.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 3, 4, 5), np.uint8), isVector=False), path)
    with pytest.raises(InputError, match=r"c\.nii\.gz: has 4 dimensions, expected 2 or 3"):
        read_image(path)
