"""One file in: its image planes with all that the file says about them, and their pixels. No grouping of files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sem4d.io import fei, hitachi, jeol, openfibsem, phenom, plain, png, tescan, thermo, tiff, zeiss
from napari_sem4d.io.cross_check import possible
from napari_sem4d.io.header import Details, PlaneHeader
from napari_sem4d.io.safe_xml import flat_entries, local_name, xml_root
from napari_sem4d.io.sidecar import readable, sidecar_text
from napari_sem4d.model import InputError, ScanMetadata

SUFFIXES = (".tif", ".tiff", ".png")
_PNG = b"\x89PNG"
HEIGHT_MARK = b"napari-sem4d height map"


def read_headers(path: Path) -> list[PlaneHeader]:
    """Return the headers of all image planes of a file, without reading pixels.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, or of a kind that is not read; the message says which.
    """
    start = _start(path)
    if start == _PNG:
        header = png.read_png_header(path)
        return [replace(header, details=_sidecar_details(header, path) or header.details)]
    if start[:2] not in {b"II", b"MM"}:
        kind = "is empty" if not start else "is neither TIFF nor PNG"
        raise InputError(f"{path} {kind}; give the TIFF that the microscope wrote")
    with tiff.open_tiff(path) as opened:
        planes = tiff.planes(opened, path)
        headers = _tiff_headers(opened, planes, path)
    damage = tuple(dict.fromkeys(note for plane in planes for note in plane.notes))
    return [replace(h, details=_noted(h.details, damage)) for h in headers]


def is_own_result(path: Path) -> bool:
    """True when a file is a height map that this program wrote, which is no scan."""
    try:
        with path.open("rb") as file:
            return HEIGHT_MARK in file.read(4096)
    except OSError:
        return False


def read_pixels(header: PlaneHeader) -> NDArray[Any]:
    """Read the pixels (y, x) of one plane; raises InputError naming the file when they cannot be read."""
    return png.read_png(header) if _start(header.path) == _PNG else tiff.read_plane(header)


def growing_headers(path: Path, count: int) -> tuple[list[PlaneHeader], plain.StackDescription | None]:
    """Read the headers of the first planes of a stack that grows, and what it says about itself.

    Parameters
    ----------
    path : Path
    count : int
        Pages that are whole.

    Raises
    ------
    InputError
        If it is no TIFF of grey images.
    """
    with tiff.open_tiff(path) as opened:
        planes = tiff.planes_of(opened, path, range(count))
        headers = _plane_headers(opened, planes, path)
        first = planes[0].page
        described = None
        if headers[0].metadata.vendor is None:
            described = plain.describe_ome(first.description, path) or plain.describe_imagej(
                first.description, first, _labels(first)
            )
    return headers, described


def check_whole(path: Path) -> None:
    """Refuse a file that is not all there, as one that is being written.

    Raises
    ------
    InputError
    """
    if _start(path) == _PNG:
        png.read_png(png.read_png_header(path))  # its parts have no table of contents
    else:
        tiff.check_whole(path)


def _start(path: Path) -> bytes:
    """Return the first four bytes: names of files do not always tell their kind."""
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name")
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the name") from error


def _tiff_headers(opened: tifffile.TiffFile, planes: list[tiff.Plane], path: Path) -> list[PlaneHeader]:
    headers = _plane_headers(opened, planes, path)
    if headers[0].metadata.vendor is not None:
        return headers
    first = planes[0].page
    stack = plain.describe_ome(first.description, path) or plain.describe_imagej(
        first.description, first, _labels(first)
    )
    if stack is not None:
        return _stack_headers(headers, stack, planes[0], path)
    details = _sidecar_details(headers[0], path)
    if details is not None:
        return [replace(header, details=details) for header in headers]
    leading = tiff.stack_shape(planes[0], len(planes))
    if leading is not None and len(leading) == 2:
        channels = leading[1]
        return [replace(h, position=(i // channels, i % channels)) for i, h in enumerate(headers)]
    return headers


def _plane_headers(opened: tifffile.TiffFile, planes: list[tiff.Plane], path: Path) -> list[PlaneHeader]:
    return [
        PlaneHeader(
            path,
            number,
            plane.shape,
            plane.dtype,
            _vendor_details(opened, plane, path) or Details(ScanMetadata(source=str(path), page=number)),
            directory=plane.directory,
            sample=plane.sample,
            clip=tiff.stated_range(plane.page),
        )
        for number, plane in enumerate(planes)
    ]


def _vendor_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    """Return what the tags of a microscope say about a plane, None when it has none."""
    for read in (_fei_details, _xml_details, _zeiss_details, _tescan_details, _openfibsem_details):
        details = read(opened, plane, path)
        if details is not None:
            return _sourced(details, path, plane.directory)
    return None


def _fei_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    found = tiff.vendor_text(opened, plane.page, fei.TAGS)
    if found is None:
        return None
    text, damage = readable(found)
    return _noted(fei.describe(fei.parse(text), plane.shape), damage)


def _xml_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    text = tiff.vendor_text(opened, plane.page, (thermo.TAG,))
    if text is None:
        return None
    root = xml_root(readable(text)[0], str(path), "XML of the microscope")
    describe = phenom.describe if local_name(root) == phenom.ROOT else thermo.describe
    return describe(flat_entries(root), plane.shape)


def _zeiss_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    found = tiff.vendor_text(opened, plane.page, (zeiss.TAG,))
    if found is None:
        return None
    text, damage = readable(found)
    return _noted(zeiss.describe(*zeiss.parse(text), plane.shape), damage)


def _tescan_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    data = tiff.vendor_bytes(opened, plane.page, tescan.TAG)
    entries = {} if data is None else tescan.parse_blocks(data, opened.byteorder, str(path))
    return tescan.describe(entries, plane.shape) if entries else None


def _openfibsem_details(opened: tifffile.TiffFile, plane: tiff.Plane, path: Path) -> Details | None:
    entries = openfibsem.parse(plane.page.description)
    return None if entries is None else openfibsem.describe(entries, plane.shape)


def _sidecar_details(header: PlaneHeader, path: Path) -> Details | None:
    """Return what a text file beside the image says, None when there is none that this program knows."""
    kind = path.suffix.lower().lstrip(".")
    for vendor in (jeol, hitachi, tescan):
        found = sidecar_text(path, *(ending.format(kind=kind) for ending in vendor.SIDECARS))
        text, damage = ("", ()) if found is None else readable(found)
        entries = vendor.parse_sidecar(text)
        if entries is not None:
            return _sourced(_noted(vendor.describe(entries, header.shape), damage), path, header.page)
    return None


def _sourced(details: Details, path: Path, page: int) -> Details:
    metadata, notes = possible(details.metadata)
    return _noted(replace(details, metadata=metadata.model_copy(update={"source": str(path), "page": page})), notes)


def _noted(details: Details, notes: tuple[str, ...]) -> Details:
    return replace(details, notes=(*details.notes, *notes))


def _labels(page: Any) -> list[str]:
    tag = page.tags.get(50839)
    value = tag.value if tag is not None else None
    return list(value.get("Labels", [])) if isinstance(value, dict) else []


def _stack_headers(
    headers: list[PlaneHeader], stack: plain.StackDescription, plane: tiff.Plane, path: Path
) -> list[PlaneHeader]:
    """Give the planes of a described stack their places, names and times."""
    if stack.count != len(headers):
        headers = _planes_without_directory(headers, stack, plane, path)
    metadata = {"pixel_size_nm": stack.pixel_size_nm, "acquired": stack.acquired}
    clip = headers[0].clip
    if stack.significant_bits is not None and 8 < stack.significant_bits < 8 * headers[0].dtype.itemsize:
        clip = (0.0, float(2**stack.significant_bits - 1))
    found = []
    for header, position in zip(headers, stack.positions(), strict=True):
        details = Details(header.metadata.model_copy(update=metadata), None, stack.notes)
        found.append(
            replace(
                header,
                details=details,
                position=position,
                channel=stack.channel_name(position),
                time_s=stack.seconds(*position) if position is not None else None,
                clip=clip,
            )
        )
    return found


def _planes_without_directory(
    headers: list[PlaneHeader], stack: plain.StackDescription, plane: tiff.Plane, path: Path
) -> list[PlaneHeader]:
    """Find the planes of an ImageJ stack that has one directory and raw pixels behind it."""
    start = tiff.contiguous_offset(plane.page, path) if len(headers) == 1 else None
    size = int(np.prod(plane.shape)) * plane.dtype.itemsize
    if start is None or start + stack.count * size > path.stat().st_size:
        raise InputError(
            f"{path} describes {stack.count} images and holds {len(headers)}; it is truncated or was edited, export "
            "it again"
        )
    plain_metadata = headers[0].metadata
    return [
        replace(
            headers[0],
            page=number,
            offset=start + number * size,
            details=Details(plain_metadata.model_copy(update={"page": number})),
        )
        for number in range(stack.count)
    ]
