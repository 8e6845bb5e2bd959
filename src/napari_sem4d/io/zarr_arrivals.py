"""A Zarr array to which a microscope appends its scans: which are complete, and their images. No folders of files."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.databar import image_region
from napari_sem4d.io.folder_arrivals import Trace
from napari_sem4d.io.indexed_arrivals import IndexedArrivals
from napari_sem4d.io.tiff import LARGEST_PLANE_BYTES
from napari_sem4d.model import InputError, SemSeries

_HEADERS = ("zarr.json", ".zarray", ".zgroup")
_CODECS = frozenset(
    {"bytes", "endian", "gzip", "blosc", "zstd", "crc32c", "transpose", "sharding_indexed", "zlib", "lz4"}
)
_NANOMETRES = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "angstrom": 0.1}


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any((path / name).is_file() for name in _HEADERS)


class ZarrArrivals(IndexedArrivals):
    """Scans of an array (t, detector, y, x) with one scan a chunk along t, by itself or as the image of an OME-Zarr.

    Parameters
    ----------
    path, detector_names, pixel_size_nm, patience_s
        See :class:`IndexedArrivals`; the segments are those of the second axis.
    """

    def __init__(
        self, path: Path, detector_names: Sequence[str], pixel_size_nm: float | None = None, patience_s: float = 30.0
    ) -> None:
        super().__init__(path, detector_names, pixel_size_nm, patience_s)
        self._folder = path
        self._header: Trace | None = None
        self._array: Any = None

    def marks(self) -> tuple[dict[int, str], set[int]]:
        """Scans that the array has room for; one is complete when all of its chunks are there."""
        self._follow_header()
        marks: dict[int, str] = {}
        complete: set[int] = set()
        for index in range(self._array.shape[0]):
            if self.is_done(index):
                continue
            traces = [_trace(file) for file in self._files(index)]
            if not any(traces) and index not in self._places:
                continue  # room that was made in advance
            marks[index] = ",".join("-" if t is None else f"{t[0]}:{t[1]}" for t in traces)
            if all(traces):
                complete.add(index)
        return marks, complete

    def times_s(self, index: int) -> tuple[float | None, float]:
        """See :class:`IndexedArrivals`; a scan came when its last chunk was written."""
        traces = [t for file in self._files(index) if (t := _trace(file)) is not None]
        return None, max((t[1] for t in traces), default=0) / 1e9

    def _follow_header(self) -> None:
        """Open the array again when it has grown."""
        import zarr

        if self._array is None:
            self._folder = self._image_folder()
        header = next((t for name in _HEADERS if (t := _trace(self._folder / name)) is not None), None)
        if header is None:
            raise InputError(f"{self._path} is no Zarr array; check the name")
        if self._array is not None and header == self._header:
            return
        try:
            array = zarr.open_array(self._folder, mode="r")
        except Exception as error:  # zarr raises many kinds on what is damaged
            raise InputError(
                f"{self._path} is no readable Zarr array ({' '.join(str(error).split())[:160]})"
            ) from error
        _check(array, self._path, len(self._needed))
        self._array, self._header = array, header

    def _image_folder(self) -> Path:
        """The array itself, or the finest image of an OME-Zarr."""
        import zarr

        try:
            found = zarr.open(self._path, mode="r")
        except Exception as error:  # as above
            raise InputError(f"{self._path} is no readable Zarr ({_one_line(error)})") from error
        if isinstance(found, zarr.Array):
            return self._path
        scales = _multiscales(found.attrs)
        name = str(scales.get("datasets", [{"path": "0"}])[0].get("path", "0"))
        if self._pixel_size_nm is None:
            self._pixel_size_nm = _pixel_size_nm(scales)
        inside = self._path / name
        if not inside.resolve().is_relative_to(self._path.resolve()):
            raise InputError(f"{self._path} names an image outside of itself; nothing there is opened")
        return inside

    def _files(self, index: int) -> Iterator[Path]:
        """Files of one scan."""
        array = self._array
        shape, chunks = array.shape, array.shards or array.chunks
        counts = [math.ceil(side / chunk) for side, chunk in zip(shape[1:], chunks[1:], strict=True)]
        for place in itertools.product(*map(range, counts)):
            yield self._folder / array.metadata.encode_chunk_key((index, *place))

    def read(self, index: int) -> NDArray[Any]:
        """See :class:`IndexedArrivals`."""
        try:
            return np.asarray(self._array[index])
        except Exception as error:  # as above
            raise InputError(f"{self.scan_name(index)} cannot be read ({_one_line(error)}); leave it out") from error

    def open(self, index: int) -> SemSeries:
        """See :class:`IndexedArrivals`."""
        images = self.read(index)
        series = SemSeries.from_arrays(images, self._pixel_size_nm, None, self._needed)
        return replace(series, region=image_region(list(images)))


def _check(array: Any, path: Path, detectors: int) -> None:
    """Refuse what cannot be followed, and what is not safe to decode, before anything is read."""
    shape = array.shape
    if len(shape) == 5 and shape[2] == 1:
        raise InputError(f"{path} has an axis of depth: write (t, detector, y, x)")
    if len(shape) != 4 or shape[1] != detectors:
        raise InputError(f"{path} has the shape {shape}: it must be (t, {detectors}, y, x) for this setup")
    if np.dtype(array.dtype).kind not in "uif":
        raise InputError(f"{path} holds {array.dtype}, which are no grey levels")
    if (array.shards or array.chunks)[0] != 1:
        raise InputError(f"{path} has several scans in a chunk, so that none can be told complete: write chunks of one")
    if math.prod(shape[1:]) * np.dtype(array.dtype).itemsize > LARGEST_PLANE_BYTES:
        raise InputError(f"{path} claims scans of {shape[3]} x {shape[2]} pixels; it is damaged or too large")
    other = sorted(set(_codecs(array.metadata.to_dict())) - _CODECS)
    if other:
        raise InputError(f"{path} is stored with {', '.join(other)}, which this program does not decode")


def _codecs(stored: Mapping[str, Any]) -> Iterator[str]:
    """Names of all codecs of an array of either version, those inside of shards among them."""
    codecs = stored.get("codecs") or [*(stored.get("filters") or ()), stored.get("compressor")]
    for codec in (*codecs, *stored.get("index_codecs", ())):
        if isinstance(codec, Mapping):
            yield str(codec.get("name") or codec.get("id")).removeprefix("numcodecs.")
            if isinstance(inside := codec.get("configuration"), Mapping) and "codecs" in inside:
                yield from _codecs(inside)
        elif codec is not None:  # zarr before 3.1 gives the codec itself
            yield str(getattr(codec, "codec_id", type(codec).__name__))


def _trace(file: Path) -> Trace | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _multiscales(attributes: Any) -> Mapping[str, Any]:
    found = dict(attributes)
    scales = dict(found.get("ome", {})).get("multiscales") or found.get("multiscales") or [{}]
    return scales[0] if isinstance(scales[0], dict) else {}


def _pixel_size_nm(scales: Mapping[str, Any]) -> float | None:
    """Size of a pixel along x as OME-Zarr states it, None when it does not."""
    try:
        unit = _NANOMETRES[scales["axes"][-1]["unit"]]
        steps = scales["datasets"][0]["coordinateTransformations"]
        size = float(next(step["scale"] for step in steps if step["type"] == "scale")[-1]) * unit
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        return None
    return size if math.isfinite(size) and size > 0 else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
