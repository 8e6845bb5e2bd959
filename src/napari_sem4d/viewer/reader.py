"""The napari reader: any file of a multi-segment scan opens the whole scan. No reading of formats, no widgets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_sem4d.io.names import common_start
from napari_sem4d.io.scan_file import SUFFIXES, is_own_result
from napari_sem4d.io.sem import read_sem
from napari_sem4d.io.siblings import scan_of
from napari_sem4d.model import SemSeries

LayerData = tuple[Any, ...]

# napari calls a reader once for each dropped file, one after the other.
_SAME_DROP_S = 5.0
_NOTHING: list[LayerData] = [(None,)]


class _OpenedScans:
    """Files that came along when another file of their scan was opened a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[Path, float] = {}

    def add(self, files: Sequence[Path]) -> None:
        until = time.monotonic() + _SAME_DROP_S
        with self._lock:
            self._until.update({file.absolute(): until for file in files})

    def holds(self, file: Path) -> bool:
        with self._lock:
            return self._until.get(file.absolute(), 0.0) >= time.monotonic()

    def take(self, file: Path) -> bool:
        """True once for each file that came along; opening it again later is meant."""
        with self._lock:
            return self._until.pop(file.absolute(), 0.0) >= time.monotonic()


_opened = _OpenedScans()


def napari_get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader when ``path`` (or the first of several to be stacked) belongs to a multi-segment scan.

    Every other image is declined, so that napari offers it to other readers.
    """
    files = _files(path)
    if not files or any(f.suffix.lower() not in SUFFIXES for f in files) or is_own_result(files[0]):
        return None
    return read_scan if _opened.holds(files[0]) or scan_of(files[0]) is not None else None


def read_scan(path: str | Sequence[str]) -> list[LayerData]:
    """Read the scan that a file belongs to, or several files as one series, as napari layer data.

    The other files of a scan that was opened seconds ago give no layer.

    Raises
    ------
    InputError
        If the files make no series; napari shows the message.
    """
    files = _files(path)
    if len(files) == 1:
        if _opened.take(files[0]):
            return _NOTHING
        files = scan_of(files[0]) or files
        came_along = [f for f in files if f.absolute() != _files(path)[0].absolute()]
    else:
        came_along = []
    series = read_sem(files)
    _opened.add(came_along)
    return layer_data(series, _scan_name(files))


def layer_data(series: SemSeries, name: str) -> list[LayerData]:
    """Return one image layer ``(t, 1, y, x)`` for each segment and each other channel of a series.

    The length-1 axis keeps the images apart from surfaces ``(z, y, x)``. Without a pixel size the unit is the pixel.
    """
    interval = float(np.median(np.diff(series.time_s))) if len(series) > 1 else 1.0
    pixel = series.pixel_size_nm
    unit = "pixel" if pixel is None else "nm"
    common = {
        "axis_labels": ("t", "z", "y", "x"),
        "units": ("s", unit, unit, unit),
        "scale": (interval, *(1.0 if pixel is None else pixel,) * 3),
        "colormap": "gray",
        "metadata": {"sem4d_series": series},
    }
    channels = {n: series.images[:, i] for i, n in enumerate(series.detector_names)} | dict(series.others)
    return [
        (images[:, None], {**common, "name": f"{name} {channel}", "visible": index == 0}, "image")
        for index, (channel, images) in enumerate(channels.items())
    ]


def _files(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(p) for p in path]


def _scan_name(files: Sequence[Path]) -> str:
    """Return what the file names have in common, or the folder when that says nothing (``Q`` of ``Q1`` to ``Q4``)."""
    shared = common_start([f.stem for f in files]).strip(" _-.")
    return shared if len(shared) > 2 else files[0].absolute().parent.name
