"""Conversion of a folder of images and a folder of masks to an nnU-Net raw data set."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import anl_seg
from anl_seg.datasets.raw_dataset_writer import (
    PICTURE,
    VOLUME,
    Case,
    Content,
    Conversion,
    Written,
    describe,
    write_cases,
)
from anl_seg.errors import InputError, listed
from anl_seg.formats.files import write_json
from anl_seg.formats.folders import atomic_folder
from anl_seg.formats.grids import check_geometry
from anl_seg.formats.images import ENDINGS, Geometry, read_image
from anl_seg.formats.masks import are_grey, check_links, check_threshold, grey_message, to_labels
from anl_seg.formats.nnunet import DATASET_JSON, image_name
from anl_seg.formats.pictures import (
    JPEG_ENDINGS,
    PICTURE_ENDINGS,
    is_turned,
    is_volume,
    read_picture,
)
from anl_seg.formats.text import read_text
from anl_seg.progress import Track, untracked

#: Suffix of a name that may distinguish images and masks: "_mask" in "lesion_01_mask".
SUFFIX = re.compile(r"[-_. ][A-Za-z]*\d*$")

#: Pixels whose channels differ by more than this are coloured. JPEG stores the brightness and the
#: colour of a pixel separately, so the channels of a grey mask differ by rounding only: 0 to 3. In
#: photographs of skin they differ by 30 and more.
COLOUR_TOLERANCE = 16
#: A picture is in colour if this share of its pixels is. So a few stray pixels make no photograph.
COLOURED_SHARE = 0.01
#: A picture with more colours is a photograph. Masks in colour have one per class.
MAX_MASK_COLOURS = 256
#: Grey photographs cannot be told from soft masks, so messages about grey masks ask.
SWAPPED = "If it is an image, swap IMAGES and MASKS"
#: How to convert a mask whose labels look like grey values: a picture, and a volume.
LISTED = "list its values as colours in a table for --colors (the value 10 is #0a0a0a)"
SAVED = "save label maps as NIfTI, without the value 255"

#: nnU-Net's name of label 0.
BACKGROUND = "background"

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Masks:
    """Coding of the labels in the masks.

    Attributes:
        threshold: Smallest foreground value of grey masks; None for label maps.
        names: Colour of each label by name, in the order of the labels; None for masks of one
            channel.
    """

    threshold: float | None
    names: Mapping[str, Colour] | None


@dataclass(frozen=True)
class _Encoding:
    """How all files of a data set are written.

    Attributes:
        labels: Value of a mask -> label. Other values become 0.
        in_colour: Whether grey pictures become RGB.
        volumes: Whether the images are volumes.
    """

    labels: Mapping[int, int]
    in_colour: bool
    volumes: bool


def read_colours(path: Path) -> dict[str, Colour]:
    """Read a table of label names and colours, a CSV file with the columns `name` and `color`.

    Args:
        path: The table. The first row is the background, which nnU-Net calls `background`, whatever
            its name in the table. A color is hexadecimal, such as #ff8000.

    Returns:
        Red, green and blue (0 to 255) by name, in the order of the table.

    Raises:
        InputError: If the file is not UTF-8, a column is missing, or a name or colour is missing,
            wrong or repeated.

    Examples:
        >>> import tempfile
        >>> rows = ["name,color", "skin,#000000", "lesion,#ff8000"]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "colors.csv").write_text(chr(10).join(rows))
        ...     read_colours(Path(folder, "colors.csv"))
        {'skin': (0, 0, 0), 'lesion': (255, 128, 0)}
    """
    lines = read_text(path).splitlines()
    rows = csv.DictReader(lines)
    colours: dict[str, Colour] = {}
    for row in rows:
        number = rows.line_num
        name, code = (row.get("name") or "").strip(), (row.get("color") or "").strip()
        if not name or not re.fullmatch(r"#?[0-9A-Fa-f]{6}", code):
            raise InputError(
                f"{path}, line {number}: expected the columns name and color with a value such as "
                f"lesion,#ff8000, found {lines[number - 1]}"
            )
        if colours and name == BACKGROUND:
            raise InputError(f"{path}, line {number}: {name} must be the first row, it is label 0")
        red, green, blue = bytes.fromhex(code.lstrip("#"))
        if name in colours or (red, green, blue) in colours.values():
            raise InputError(f"{path}, line {number}: {name} or {code} is also in an earlier line")
        colours[name] = (red, green, blue)
    if len(colours) < 2:
        raise InputError(f"{path}: has {len(colours)} colours; list the background and each class")
    return colours


def convert(
    images: Path,
    masks: Path,
    dst: Path,
    *,
    threshold: float | None = None,
    colours: Mapping[str, Colour] | None = None,
    test_share: float = 0.0,
    seed: int = 0,
    check: Callable[[Path], None] | None = None,
    track: Track = untracked,
) -> Conversion:
    """Write an nnU-Net raw data set from images and masks that are paired by name.

    Pictures (PNG, JPEG, BMP, TIFF of one page) become PNG. Volumes (NIfTI and other formats of
    SimpleITK, TIFF with slices) become NIfTI with their spacing. Photos are turned as their EXIF
    orientation says, as viewers do. Labels become 0 to K-1. `dst` is written completely or not at
    all.

    Args:
        images: Folder of images, grey or RGB.
        masks: Folder of masks, named like their images, or with the same suffix on each name, such
            as `_mask`.
        dst: Folder of the data set, `.../DatasetXXX_Name`. It must not exist.
        threshold: Smallest foreground value of grey masks; None for label maps.
        colours: Colours by name for masks in colour, background first (`read_colours`).
        test_share: Share of the pairs that become test cases (`imagesTs`, `labelsTs`), in [0, 1).
        seed: Seed of the draw of test cases.
        check: Function that checks the finished folder before it becomes `dst`, such as nnU-Net's
            own check. If it raises an error, nothing is written.
        track: Wrapper of an iterable that shows progress.

    Returns:
        Numbers of cases, and what was ignored.

    Raises:
        InputError: If `dst` exists, a folder is missing, empty or given twice, or files cannot be
            used: without a partner, unreadable, on different grids, photographs instead of masks,
            or with values that are not labels. The message counts them and names the first ten.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     images, masks = Path(folder, "images"), Path(folder, "masks")
        ...     for place, value in ((images, 90), (masks, 255)):
        ...         place.mkdir()
        ...         picture = Image.new("L", (8, 8))
        ...         picture.paste(value, (2, 2, 6, 6))
        ...         picture.save(place / "lesion_1.png")
        ...     _ = convert(images, masks, Path(folder, "Dataset510_Lesions"))
        ...     [path.name for path in Path(folder, "Dataset510_Lesions", "labelsTr").iterdir()]
        ['lesion_1.png']
    """
    if dst.exists():
        raise InputError(f"{dst} already exists; delete it, or choose another -d or --name")
    if images.resolve() == masks.resolve():
        raise InputError(
            f"IMAGES and MASKS are both {images}; give the folder of images and the folder of masks"
        )
    pairs = pair_files(_files(images), _files(masks))
    cases = _draw_test_cases(pairs, test_share, seed)
    reading = _Masks(threshold, colours)
    ending = VOLUME if is_volume(cases[0].image) else PICTURE
    with atomic_folder(dst) as folder:
        found, encoding = _write_all(cases, folder, reading, ending, track)
        labels = _name_labels(sorted(found.values), reading)
        training = sum(case.part == "Tr" for case in cases)
        provenance = {
            "images": str(images.resolve()),
            "masks": str(masks.resolve()),
            "converter": f"anl-seg {anl_seg.__version__} convert",
            "threshold": threshold,
            "test_share": test_share,
            "seed": seed,
        }
        n_channels = 3 if encoding.in_colour else 1
        write_json(
            folder / DATASET_JSON, describe(labels, training, ending, n_channels, provenance)
        )
        if check is not None:
            check(folder)
    return Conversion(dst, training, len(cases) - training, labels)


# Pairs


def _files(folder: Path) -> dict[str, Path]:
    """List the files of a folder that may be images, by name without ending."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a folder of images and one of masks")
    known = sorted({*ENDINGS, *PICTURE_ENDINGS}, key=len, reverse=True)
    found: dict[str, Path] = {}
    paths = [path for path in sorted(folder.iterdir()) if path.name.lower().endswith(tuple(known))]
    check_links(folder, paths)
    for path in paths:
        if path.name.startswith(".") or not path.is_file():
            continue
        ending = next(each for each in known if path.name.lower().endswith(each))
        stem = path.name[: -len(ending)]
        if stem in found:
            raise InputError(
                f"{folder}: {found[stem].name} and {path.name} have the same name; keep one of them"
            )
        found[stem] = path
    if not found:
        raise InputError(
            f"{folder}: no images found, expected files that end in {', '.join(known)}"
        )
    return found


def pair_files(
    images: Mapping[str, Path], masks: Mapping[str, Path]
) -> dict[str, tuple[Path, Path]]:
    """Pair images and masks by name, ignoring a suffix that all names of a folder share.

    Args:
        images: Images by name without file ending.
        masks: Masks by name without file ending.

    Returns:
        Pairs (image, mask) by case, sorted.

    Raises:
        InputError: If an image has no mask or a mask no image.

    Examples:
        >>> found = pair_files({"a_img": Path("a_img.png")}, {"a_mask": Path("a_mask.png")})
        >>> found["a"][1].name
        'a_mask.png'
    """
    options = [
        (_without(images, first), _without(masks, second))
        for first in _common_suffixes(images)
        for second in _common_suffixes(masks)
    ]
    image_of, mask_of = max(options, key=lambda pair: len(pair[0].keys() & pair[1].keys()))
    left_over = [
        f"{image_of[case]} has no mask" for case in sorted(image_of.keys() - mask_of.keys())
    ]
    left_over += [
        f"{mask_of[case]} has no image" for case in sorted(mask_of.keys() - image_of.keys())
    ]
    if left_over:
        raise InputError(
            f"images and masks are paired by name, and {listed(left_over, 'files are left over')}"
        )
    return {case: (image_of[case], mask_of[case]) for case in sorted(image_of)}


def _common_suffixes(names: Collection[str]) -> list[str]:
    """Return the empty suffix, and the suffix that all names share, if any.

    The number of a single file is the number of its case, unless it is nnU-Net's first channel.
    """
    endings = {match.group() if (match := SUFFIX.search(name)) else "" for name in names}
    shared = endings.pop() if len(endings) == 1 else ""
    if len(names) == 1 and shared[1:].isdecimal() and shared != image_name("", ""):
        return [""]
    return ["", shared] if shared else [""]


def _without(files: Mapping[str, Path], suffix: str) -> dict[str, Path]:
    return {name.removesuffix(suffix): path for name, path in files.items()}


def _draw_test_cases(pairs: Mapping[str, tuple[Path, Path]], share: float, seed: int) -> list[Case]:
    if not 0 <= share < 1:
        raise InputError(f"--test-share must be at least 0 and below 1, got {share:g}")
    n_test = round(share * len(pairs))
    if n_test == len(pairs):
        raise InputError(f"--test-share {share:g} of {len(pairs)} pairs leaves none for training")
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:n_test].tolist())
    return [
        Case(name, "Ts" if number in chosen else "Tr", image, mask)
        for number, (name, (image, mask)) in enumerate(pairs.items())
    ]


# Reading


def _read_mask(path: Path, reading: _Masks) -> tuple[NDArray[Any], Geometry | None]:
    """Read the label values of a mask, before they are renumbered, and its geometry."""
    if reading.names is not None:
        return _labels_of_colours(path, read_picture(path), reading.names), None
    pixels, geometry = _read_grey(path)
    if path.name.lower().endswith(JPEG_ENDINGS):
        if reading.threshold is None:
            raise InputError(
                f"{path}: JPEG changes label values; add --threshold 128 for masks of black and "
                f"white, or save label maps as PNG. {SWAPPED}"
            )
        return (pixels >= reading.threshold).view(np.uint8), None
    labels = to_labels(path, pixels, reading.threshold)
    values = np.unique(labels).tolist()
    if are_grey(path, values):
        otherwise = LISTED if labels.ndim == 2 else SAVED
        raise InputError(f"{grey_message(path, values, otherwise)}. {SWAPPED}")
    return labels, geometry


def _read_grey(path: Path) -> tuple[NDArray[Any], Geometry | None]:
    """Read a mask of one channel; RGB with three equal channels counts as one channel."""
    if path.name.lower().endswith(JPEG_ENDINGS):
        return _read_grey_jpeg(path), None
    if path.name.lower().endswith(PICTURE_ENDINGS):
        with Image.open(path) as picture:
            is_rgb = picture.mode in {"RGB", "RGBA"}
        if is_rgb:
            pixels = read_picture(path)
            if not (pixels == pixels[..., :1]).all():
                if _is_coloured(pixels) and np.unique(_codes(pixels)).size > MAX_MASK_COLOURS:
                    raise InputError(f"{_photograph(path)} If not, save it as a grey mask")
                raise InputError(
                    f"{path}: is a mask in colour; list its colours in a table and add --colors"
                )
            return pixels[..., 0], None
    return read_image(path)


def _read_grey_jpeg(path: Path) -> NDArray[np.uint8]:
    """Read a JPEG mask; the channels of a grey one may differ by rounding."""
    pixels = read_picture(path)
    if pixels.ndim == 3:
        if _is_coloured(pixels):
            raise InputError(
                f"{_photograph(path)} If it is a mask in colour, save it as PNG without changing "
                "its colours, and add --colors"
            )
        pixels = pixels.mean(-1).round().astype(np.uint8)
    return pixels


def _is_coloured(pixels: NDArray[Any]) -> bool:
    """Return whether the channels of a picture `(H, W, 3)` differ by more than JPEG's rounding."""
    return bool((np.ptp(pixels, axis=-1) > COLOUR_TOLERANCE).mean() > COLOURED_SHARE)


def _photograph(path: Path) -> str:
    return f"{path}: looks like a photograph; did you swap IMAGES and MASKS?"


def _codes(pixels: NDArray[Any]) -> NDArray[np.uint32]:
    """Return the colour of each pixel as one number, `(H, W)`."""
    return pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def _labels_of_colours(
    path: Path, pixels: NDArray[Any], names: Mapping[str, Colour]
) -> NDArray[np.uint16]:
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, axis=-1)
    codes = _codes(pixels)
    labels = np.full(codes.shape, len(names), np.uint16)
    for label, (red, green, blue) in enumerate(names.values()):
        labels[codes == (red << 16 | green << 8 | blue)] = label
    if unknown := np.unique(codes[labels == len(names)]).tolist():
        shown = ", ".join(f"#{code:06x}" for code in unknown[:5])
        raise InputError(f"{path}: has {len(unknown)} colours that --colors does not list: {shown}")
    return labels


def _name_labels(values: Sequence[int], reading: _Masks) -> dict[str, int]:
    """Name the labels 0 to K-1 for dataset.json."""
    foreground = [f"label_{value}" for value in values if value]
    if reading.names is not None:
        foreground = list(reading.names)[1:]
    elif len(foreground) == 1:
        foreground = ["foreground"]
    return {name: label for label, name in enumerate((BACKGROUND, *foreground))}


# Writing


def _write_all(
    cases: Sequence[Case], folder: Path, reading: _Masks, ending: str, track: Track
) -> tuple[Written, _Encoding]:
    """Write all cases, a second time if the first case led to a wrong guess.

    Raises:
        InputError: If files cannot be used.
    """
    if reading.threshold is not None and reading.names is None:
        masks = [case.mask for case in cases]
        check_threshold(masks[0].parent, masks, reading.threshold, _read_grey)
    encoding = _guess(cases[0], reading, ending)
    found = _write(cases, folder, reading, encoding, track)
    right = _Encoding(
        _number_labels(sorted(found.values), reading),
        in_colour=found.any_colour and not encoding.volumes,
        volumes=encoding.volumes,
    )
    guessed = {value: encoding.labels[value] for value in found.values & encoding.labels.keys()}
    if (guessed, encoding.in_colour) != (right.labels, right.in_colour):
        found = _write(cases, folder, reading, right, track)
    return found, right


def _guess(first: Case, reading: _Masks, ending: str) -> _Encoding:
    """Guess from the first case: one value besides 0 is label 1, other masks are label maps."""
    volumes = ending == VOLUME
    try:
        values = set(np.unique(_read_mask(first.mask, reading)[0]).tolist())
        in_colour = not volumes and read_picture(first.image).ndim == 3
    except InputError:  # told with the problems of all files
        values, in_colour = set(), False
    one = reading.names is None and len(values - {0}) == 1
    labels = dict.fromkeys(values, 1) | {0: 0} if one else {value: value for value in range(256)}
    return _Encoding(labels, in_colour, volumes)


def _number_labels(values: Sequence[int], reading: _Masks) -> dict[int, int]:
    """Number the values of masks from 0 to K-1; those of a table of colours are numbered."""
    if reading.names is not None:
        return {value: value for value in values}
    foreground = [value for value in values if value]
    background = {0: 0} if 0 in values else {}
    return background | {value: label for label, value in enumerate(foreground, 1)}


def _write(
    cases: Sequence[Case], folder: Path, reading: _Masks, encoding: _Encoding, track: Track
) -> Written:
    def read(case: Case) -> Content | list[str]:
        try:
            return _read_case(case, reading, encoding)
        except InputError as error:
            return [str(error)]

    found = write_cases(cases, folder, read, VOLUME if encoding.volumes else PICTURE, track)
    if not found.problems and not found.values - {0}:
        found.problems = ["the masks contain only background"]
    if found.problems:
        raise InputError(
            f"nothing was written, because files cannot be used: {listed(found.problems)}"
        )
    return found


def _read_case(case: Case, reading: _Masks, encoding: _Encoding) -> Content:
    if is_volume(case.image) != encoding.volumes:
        raise InputError(f"{case.image}: some images are 2D and some 3D; use one kind only")
    geometry = None
    if encoding.volumes:
        image, geometry = read_image(case.image)
        shape = image.shape
    else:
        image = read_picture(case.image)
        shape = image.shape[:2]
    is_colour = not encoding.volumes and image.ndim == 3
    mask, mask_geometry = _read_mask(case.mask, reading)
    if mask.shape != shape:
        raise InputError(_misfit(case, mask.shape, shape))
    check_geometry(case.mask, mask_geometry, "its image", case.image, geometry)
    if encoding.in_colour and not is_colour:
        image = np.stack([image] * 3, axis=-1)
    values = np.unique(mask).tolist()
    numbers = [encoding.labels.get(value, 0) for value in values]
    label_of = np.zeros(
        values[-1] + 1, np.uint8 if max(encoding.labels.values()) < 256 else np.uint16
    )
    label_of[values] = numbers
    return Content(image, label_of[mask], geometry, frozenset(values), is_colour)


def _misfit(case: Case, shape: tuple[int, ...], image_shape: tuple[int, ...]) -> str:
    """Write the message for a mask that has another shape than its image."""
    if shape == image_shape[::-1] and case.image.name.lower().endswith(PICTURE_ENDINGS):
        with Image.open(case.image) as picture:
            if is_turned(picture):
                return (
                    f"{case.mask}: fits {case.image} only without the image's EXIF orientation, "
                    "which viewers apply. If your masks ignore this tag, delete it from all "
                    "images, for example with exiftool -Orientation= IMAGES"
                )
    return f"{case.mask}: has the shape {shape}, its image {image_shape}"
