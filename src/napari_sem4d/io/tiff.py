"""TIFF containers through tifffile, with every claim of a stranger's file checked before memory is taken.

Finds the image planes and reads their pixels. What vendors write into tags is read elsewhere.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sem4d.io.grey import grey_of_colour, grey_ramp
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.sidecar import decoded
from napari_sem4d.model import InputError

LARGEST_PLANE_BYTES = 2 * 1024**3
MOST_PAGES = 100_000
_LARGEST_TEXT_BYTES = 16 * 1024**2
# None, LZW, deflate (two codes), PackBits, zstd.
_LOSSLESS = frozenset({1, 5, 8, 32946, 32773, 50000})
# Tags whose loss would change what is read: sizes, strips, tiles, description, resolution, palette, vendor entries.
_NEEDED_TAGS = frozenset(
    {256, 257, 258, 270, 273, 279, 282, 283, 320, 324, 325, 34118, 34680, 34682, 34683, 50431, 50838, 50839}
)
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_RGB, _PALETTE, _WHITE_IS_ZERO, _BLACK_IS_ZERO = 2, 3, 0, 1
_REDUCED_IMAGE = 1
_PHOTOMETRIC = 262


@dataclass(frozen=True, slots=True)
class Plane:
    """One plane of an open TIFF: its directory, and the sample when the samples are planes of their own.

    ``notes`` say what is wrong with the directory although the plane can be read.
    """

    page: Any
    directory: int
    sample: int | None
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    notes: tuple[str, ...] = ()


@contextmanager
def open_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; whatever a damaged file provokes inside tifffile comes out as an InputError naming the file."""
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; check the name")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; copy it again from the microscope")
    try:
        with tifffile.TiffFile(path) as tiff:
            yield tiff
    except InputError:
        raise
    except Exception as error:  # tifffile raises nearly anything on damaged files
        raise InputError(
            f"{path} is no readable TIFF ({type(error).__name__}: {_one_line(error)}); copy it again from the "
            "microscope or leave it out"
        ) from error


def planes(tiff: tifffile.TiffFile, path: Path) -> list[Plane]:
    """Return the image planes of a file, thumbnails left out.

    Raises
    ------
    InputError
        If a plane is no grey image that this program can read, or claims an absurd size.
    """
    if len(tiff.pages) > MOST_PAGES:
        raise InputError(f"{path} claims {len(tiff.pages)} pages; more than {MOST_PAGES} are not read, split it")
    found = planes_of(tiff, path, range(len(tiff.pages)), last=len(tiff.pages) - 1)
    if not found:
        raise InputError(f"{path} holds no image; copy it again from the microscope")
    return found


def planes_of(tiff: tifffile.TiffFile, path: Path, directories: Iterable[int], last: int | None = None) -> list[Plane]:
    """Return the image planes of some directories; the ``last`` one must not point to another.

    Raises
    ------
    InputError
        As :func:`planes`.
    """
    found: list[Plane] = []
    for directory in directories:
        page = _full_page(tiff, directory, path)
        notes = _check_directory(tiff, page, path, last=directory == last)
        if found and page.subfiletype & _REDUCED_IMAGE:
            continue
        shape, dtype = _layout(page, path)
        # tifffile stores an array (3 or 4, y, x) as the samples of one directory and notes the shape.
        separate = page.planarconfig == 2 and page.samplesperpixel > 1
        if separate and _stored_shape(page) is None:
            raise InputError(f"{path} is a colour image in separate planes; save each detector as a grey image or page")
        samples: list[int | None] = list(range(page.samplesperpixel)) if separate else [None]
        found.extend(Plane(page, directory, sample, shape, dtype, notes) for sample in samples)
    return found


def vendor_text(tiff: tifffile.TiffFile, page: Any, codes: tuple[int, ...]) -> str | None:
    """Return the text of the first tag of ``codes`` that the page has."""
    found = (vendor_bytes(tiff, page, code) for code in codes)
    data = next((d for d in found if d is not None), None)
    return None if data is None else decoded(data)


def vendor_bytes(tiff: tifffile.TiffFile, page: Any, code: int) -> bytes | None:
    """Return the content of a tag as it is stored, None when the page has no such tag."""
    tag = page.tags.get(code)
    if tag is None:
        return None
    tiff.filehandle.seek(tag.valueoffset)
    data: bytes = tiff.filehandle.read(min(tag.valuebytecount, _LARGEST_TEXT_BYTES))
    return data


def stack_shape(plane: Plane, count: int) -> tuple[int, ...] | None:
    """Return the axes in front of (y, x) that tifffile noted for an array of ``count`` planes."""
    shape = _stored_shape(plane.page)
    if shape is None or shape[-2:] != plane.shape:
        return None
    leading = shape[:-2]
    return leading if int(np.prod(leading, dtype=np.int64)) == count else None


def stated_range(page: Any) -> tuple[float, float] | None:
    """Return the grey levels at which the recording clips when the file says it uses fewer bits than it stores."""
    bits = int(page.bitspersample) if isinstance(page.bitspersample, int) else 0
    if 8 < bits < 16:
        return 0.0, float(2**bits - 1)
    tag = page.tags.get(281)  # MaxSampleValue; some writers put the brightest pixel there, so only full bits count
    if bits == 16 and tag is not None and tag.value in {2**n - 1 for n in range(10, 16)}:
        return 0.0, float(tag.value)
    return None


def read_plane(header: PlaneHeader) -> NDArray[Any]:
    """Read the pixels (y, x) of one plane as grey levels.

    Raises
    ------
    InputError
        If the file is gone, truncated, damaged, or not what its header said when the series was opened.
    """
    with open_tiff(header.path) as tiff:
        if header.offset is not None:
            return _raw_plane(tiff, header)
        page = _full_page(tiff, header.directory, header.path)
        _check_extent(page, header.path)
        pixels = page.asarray(maxworkers=1)
        if header.sample is not None:
            pixels = pixels[header.sample]
        elif pixels.ndim == 3:
            pixels = grey_of_colour(pixels, str(header.path))
        pixels = _levels(pixels, page, header.path)
        if pixels.shape != header.shape or pixels.dtype != header.dtype:
            raise InputError(
                f"{header.path} holds {pixels.shape[1]} x {pixels.shape[0]} pixels of {pixels.dtype}, its header said "
                f"{header.shape[1]} x {header.shape[0]} of {header.dtype}; has it been changed? Open the series again"
            )
        return pixels


def check_whole(path: Path) -> None:
    """Refuse a TIFF that is not all there: a page that is lost, pixels beyond the end of the file.

    Raises
    ------
    InputError
    """
    with open_tiff(path) as tiff:
        for plane in planes(tiff, path):
            _check_extent(plane.page, path)


def whole_pages(path: Path, known: int = 0) -> int:
    """Count the pages of a TIFF that grows: those in front of the first that is not all there.

    Parameters
    ----------
    path : Path
    known : int
        Pages that were whole before and need no look.

    Raises
    ------
    InputError
        If the file is missing or no TIFF.
    """
    with open_tiff(path) as tiff:
        for directory in range(known, min(len(tiff.pages), MOST_PAGES)):
            try:
                _check_extent(_full_page(tiff, directory, path), path)
            except Exception:  # tifffile raises nearly anything on a page that is half written
                return directory
        return max(known, min(len(tiff.pages), MOST_PAGES))


def contiguous_offset(page: Any, path: Path) -> int | None:
    """Return where raw pixels start when planes may follow each other without directories (ImageJ), else None."""
    if page.compression != 1 or page.samplesperpixel != 1 or page.is_tiled or page.bitspersample % 8:
        return None
    _check_extent(page, path)
    offsets, counts = page.dataoffsets, page.databytecounts
    follow = all(o + c == n for o, c, n in zip(offsets[:-1], counts[:-1], offsets[1:], strict=True))
    return int(offsets[0]) if follow else None


def _full_page(tiff: tifffile.TiffFile, directory: int, path: Path) -> Any:
    if directory >= len(tiff.pages):
        raise InputError(f"{path} has lost its page {directory + 1}; copy it again from the microscope")
    return tiff.pages[directory].aspage()


def _check_directory(tiff: tifffile.TiffFile, page: Any, path: Path, *, last: bool) -> tuple[str, ...]:
    """Refuse a directory that points beyond the file or lacks what an image needs; tifffile passes over both.

    Returns a note when entries are out of order or of no known type: tifffile leaves such entries out.
    """
    form, file = tiff.tiff, tiff.filehandle
    file.seek(page.offset)
    count = int(struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0])
    data = file.read(count * form.tagsize + form.offsetsize)
    inline = form.offsetsize
    codes, unknown = [], False
    for place in range(0, count * form.tagsize, form.tagsize):
        code, kind = struct.unpack_from(f"{form.byteorder}HH", data, place)
        number = struct.unpack_from(form.offsetformat, data, place + 4)[0]
        size = number * _TYPE_BYTES.get(kind, 1)
        offset = struct.unpack_from(form.offsetformat, data, place + 4 + inline)[0]
        if code in _NEEDED_TAGS and size > inline and offset + size > file.size:
            raise InputError(f"{path} is truncated: its entry {code} lies beyond its end; copy it again")
        codes.append(code)
        unknown |= kind not in _TYPE_BYTES
    following = struct.unpack_from(form.offsetformat, data, count * form.tagsize)[0]
    if last and following:
        raise InputError(f"{path} is truncated: its pages after the first {page.index + 1} are lost; copy it again")
    if _PHOTOMETRIC not in page.tags:
        raise InputError(f"{path} does not say whether 0 is black or white; it is damaged, copy it again")
    if not unknown and all(a < b for a, b in itertools.pairwise(codes)):
        return ()
    return (
        f"{path.name} has a damaged list of entries (TIFF directory {page.index + 1}): values may be missing, copy it "
        "again",
    )


def _layout(page: Any, path: Path) -> tuple[tuple[int, int], np.dtype[Any]]:
    """Return rows and columns and the format of the grey image; refuse what is none."""
    rows, columns = int(page.imagelength), int(page.imagewidth)
    if page.dtype is None or rows < 1 or columns < 1:
        raise InputError(f"{path} holds no image this program can read; save it as an 8 or 16 bit grey TIFF")
    dtype = np.dtype(page.dtype).newbyteorder("=")
    if page.compression not in _LOSSLESS:
        name = getattr(page.compression, "name", page.compression)
        raise InputError(
            f"{path} is compressed with {name}, which may have changed its grey levels; save it uncompressed or with "
            "LZW"
        )
    if dtype.kind not in "uif" or dtype.itemsize > 8 or int(page.bitspersample) < 8:
        raise InputError(f"{path} has pixels of {page.bitspersample} bit {dtype}; save it with 8 or 16 bit grey levels")
    if page.photometric not in {_RGB, _PALETTE, _WHITE_IS_ZERO, _BLACK_IS_ZERO} or page.imagedepth != 1:
        raise InputError(f"{path} is no grey image; save it as an 8 or 16 bit grey TIFF")
    if not 1 <= page.samplesperpixel <= 4:
        raise InputError(f"{path} has {page.samplesperpixel} samples per pixel; save each detector as its own image")
    claimed = rows * columns * page.samplesperpixel * dtype.itemsize
    if claimed > LARGEST_PLANE_BYTES:
        raise InputError(
            f"{path} claims an image of {columns} x {rows} pixels; more than {LARGEST_PLANE_BYTES >> 30} GB per image "
            "are not read. If it is not that large, the file is damaged"
        )
    return (rows, columns), dtype


def _check_extent(page: Any, path: Path) -> None:
    """Refuse a page whose pixels are not all in the file."""
    _layout(page, path)
    size = os.path.getsize(path)
    offsets, counts = page.dataoffsets, page.databytecounts
    stored = sum(counts)
    if (
        not offsets
        or len(offsets) != len(counts)
        or any(o < 8 or o + c > size for o, c in zip(offsets, counts, strict=False))
    ):
        raise InputError(
            f"{path} is truncated: its pixels reach beyond the {size} bytes of the file; copy it again from the "
            "microscope"
        )
    row_bytes = (int(page.imagewidth) * page.samplesperpixel * int(page.bitspersample) + 7) // 8
    needed = int(page.imagelength) * row_bytes
    # No lossless compression of a recorded image reaches 1:2000; a file that claims it is a bomb or damaged.
    if stored < (needed if page.compression == 1 else needed // 2000):
        raise InputError(
            f"{path} holds {stored} bytes of pixels where {needed} are needed; it is damaged, copy it again"
        )


def _levels(pixels: NDArray[Any], page: Any, path: Path) -> NDArray[Any]:
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if page.photometric == _PALETTE and page.colormap is not None:
        ramp = grey_ramp(page.colormap, str(path))
        if ramp is not None:
            pixels = ramp[pixels]
    elif page.photometric == _WHITE_IS_ZERO and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    return pixels


def _raw_plane(tiff: tifffile.TiffFile, header: PlaneHeader) -> NDArray[Any]:
    assert header.offset is not None
    count = header.shape[0] * header.shape[1]
    with header.path.open("rb") as file:
        file.seek(header.offset)
        pixels = np.fromfile(file, header.dtype.newbyteorder(tiff.byteorder), count)
    if pixels.size < count:
        raise InputError(f"{header.path} is truncated at plane {header.page + 1}; copy it again")
    return pixels.reshape(header.shape).astype(header.dtype, copy=False)


def _stored_shape(page: Any) -> tuple[int, ...] | None:
    text = page.description
    if not text.startswith('{"shape"') or len(text) > 1000:
        return None
    try:
        shape = tuple(int(n) for n in json.loads(text)["shape"])
    except (ValueError, KeyError, TypeError):
        return None
    return shape if all(n > 0 for n in shape) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
