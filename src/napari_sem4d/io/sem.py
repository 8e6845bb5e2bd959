"""Reading scans: files in, a lazy series out. What single formats look like belongs in their own modules."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.databar import image_region
from napari_sem4d.io.grouping import SIMULTANEOUS_S, Entry, Grouping, propose_grouping
from napari_sem4d.io.header import Details, PlaneHeader
from napari_sem4d.io.scan_file import read_headers, read_pixels
from napari_sem4d.model import PlaneSource, Region, ScanMetadata, SemSeries
from napari_sem4d.model.series import integer_range

# Clipped pixels below this share (of one detector's first image) are hot pixels and the like.
_TOLERATED_CLIPPING = 0.001
_DIFFERENT = 0.005


def read_sem(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Grouping,
    *,
    pixel_size_nm: float | None = None,
    detectors: Sequence[str] | None = None,
) -> SemSeries:
    """Read one scan or a series of scans.

    The first scan is read at once (to find the data bar and clipped pixels), everything else when it is used.

    Parameters
    ----------
    paths : path, paths or Grouping
        The files of the scans, a folder of them, or a grouping that the user has corrected.
    pixel_size_nm : float, optional
        Takes the place of what the files say.
    detectors : sequence of str, optional
        Channels to take as segments, in this order; the others become ``SemSeries.others``. By default the segments
        of BSE detectors.

    Raises
    ------
    InputError
        If a file is missing, damaged or no image, detectors are missing or differ in size; the message names the
        file. Later frames that cannot be read raise it when they are used.
    """
    grouping = paths if isinstance(paths, Grouping) else propose_grouping(paths)
    if detectors is not None:
        grouping = grouping.with_segments(detectors)
    grouping.validate()
    first = {channel: grouping.planes(channel)[0] for channel in grouping.channels}
    frames = {channel: read_pixels(entry.header) for channel, entry in first.items()}
    details = _all_details(first)
    region = image_region(list(frames.values()), _stated_bar(details.values()))

    segments = [grouping.planes(channel) for channel in grouping.segments]
    metadata = tuple(details[channel].metadata for channel in grouping.segments)
    header = segments[0][0].header
    saturation = header.clip or integer_range(header.dtype)
    stated = next((m.pixel_size_nm for m in metadata if m.pixel_size_nm is not None), None)
    warnings = [
        *grouping.notes,
        *(note for d in details.values() for note in d.notes),
        *_clipping({c: frames[c] for c in grouping.segments}, region, saturation),
        *_setting_warnings(metadata, grouping.segments),
        *_differences(segments),
    ]
    return SemSeries(
        full_images=_lazy(segments),
        region=region,
        pixel_size_nm=stated if pixel_size_nm is None else float(pixel_size_nm),
        time_s=grouping.time_s,
        detector_names=grouping.segments,
        channel_metadata=metadata,
        others={c: _lazy([grouping.planes(c)])[:, 0][:, *region.slices] for c in grouping.others},
        simultaneous=_simultaneous([planes[0] for planes in segments]),
        saturation=saturation,
        warnings=tuple(dict.fromkeys(warnings)),
        planes=tuple(PlaneSource(str(e.path), e.page, e.channel, e.time_index, e.is_segment) for e in grouping.entries),
    )


class _PlaneReader:
    """Reads the plane of one dask block; one object for the whole series keeps the graph small."""

    def __init__(self, headers: tuple[tuple[PlaneHeader, ...], ...]) -> None:
        self._headers = headers

    def __call__(self, block_id: tuple[int, ...]) -> NDArray[Any]:
        return read_pixels(self._headers[block_id[1]][block_id[0]])[None, None]

    def __dask_tokenize__(self) -> tuple[object, ...]:
        return tuple((str(h.path), h.page, os.stat(h.path).st_mtime_ns) for channel in self._headers for h in channel)


def _lazy(channels: Sequence[Sequence[Entry]]) -> Any:
    """Return planes as a dask array (t, channel, y, x) with one block per plane."""
    headers = tuple(tuple(entry.header for entry in channel) for channel in channels)
    first = headers[0][0]
    rows, columns = first.shape
    return da.map_blocks(
        _PlaneReader(headers),
        chunks=((1,) * len(headers[0]), (1,) * len(headers), (rows,), (columns,)),
        dtype=first.dtype,
        meta=np.empty((0, 0, 0, 0), dtype=first.dtype),
    )


def _all_details(scan: Mapping[str, Entry]) -> dict[str, Details]:
    """Read the headers of one scan again, this time keeping all raw entries."""
    headers = {path: {h.page: h for h in read_headers(path)} for path in {e.path for e in scan.values()}}
    return {channel: headers[entry.path][entry.page].details for channel, entry in scan.items()}


def _stated_bar(details: Iterable[Details]) -> int | None:
    rows = [d.bar_row for d in details if d.bar_row is not None]
    return min(rows) if rows else None


def _clipping(frames: dict[str, NDArray[Any]], region: Region, saturation: tuple[float, float] | None) -> list[str]:
    if saturation is None:
        return []
    found = []
    for name, frame in frames.items():
        image = frame[region.slices]
        for level, word in zip(saturation, ("black", "white"), strict=True):
            share = float(np.count_nonzero(image == level)) / image.size
            if share > _TOLERATED_CLIPPING:
                found.append(
                    f"detector {name}: {100 * share:.2g} % of the pixels are clipped at {word} ({level:g}); heights "
                    "there are carried by their neighbours, lower the contrast when recording"
                )
    return found


def _setting_warnings(metadata: Sequence[ScanMetadata], names: Sequence[str]) -> list[str]:
    """Warn of settings that make grey levels or directions unfit for a measurement."""
    checks = (
        (lambda m: m.gamma is not None and m.gamma != 1.0, "gamma is not 1: grey levels are no longer proportional"),
        (lambda m: m.auto_contrast is True, "automatic contrast was on: gains differ from scan to scan"),
        (lambda m: bool(m.stage_bias_v), "a stage bias bends the electrons: the z scale cannot come from geometry"),
        (
            lambda m: m.lens_mode == "immersion",
            "an immersion lens bends the electrons: the z scale cannot come from geometry",
        ),
        (lambda m: m.tilt_correction is True, "tilt correction was on: rows are stretched, lengths along them differ"),
    )
    found = []
    for applies, text in checks:
        concerned = [n for n, m in zip(names, metadata, strict=True) if applies(m)]
        if concerned:
            found.append(f"detector {', '.join(concerned)}: {text}")
    return found


def _differences(segments: Sequence[Sequence[Entry]]) -> list[str]:
    """Warn when files of one series were recorded with different settings."""
    reference = segments[0][0]
    found = []
    for field, name, unit in (
        ("beam_energy_kev", "beam energy", "keV"),
        ("working_distance_mm", "working distance", "mm"),
        ("pixel_size_nm", "pixel size", "nm"),
    ):
        wanted = getattr(reference.metadata, field)
        for entry in (e for channel in segments for e in channel):
            value = getattr(entry.metadata, field)
            if wanted is None or value is None or abs(value - wanted) <= _DIFFERENT * abs(wanted):
                continue
            found.append(
                f"{name} differs between the files: {value:g} {unit} in {entry.path.name}, {wanted:g} {unit} in "
                f"{reference.path.name}"
            )
            break
    return found


def _simultaneous(scan: Sequence[Entry]) -> bool | None:
    """Say whether the segments of the first scan come from one pass of the beam; None when the files do not tell."""
    stamps = [e.metadata.acquired.timestamp() for e in scan if e.metadata.acquired is not None]
    if len({e.path for e in scan}) == 1:
        return True
    if len(stamps) < len(scan):
        return None
    spread = max(stamps) - min(stamps)
    if spread > SIMULTANEOUS_S:
        return False
    return True if spread == 0 else None
