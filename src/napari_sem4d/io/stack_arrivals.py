"""A multi-page TIFF to which a microscope appends its scans: how many are complete, and their images. No folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.databar import image_region
from napari_sem4d.io.folder_arrivals import Trace
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.indexed_arrivals import SETTLED, IndexedArrivals
from napari_sem4d.io.plain import StackDescription
from napari_sem4d.io.scan_file import growing_headers
from napari_sem4d.io.tiff import read_plane, whole_pages
from napari_sem4d.model import InputError, SemSeries
from napari_sem4d.model.series import integer_range


def trace_of(path: Path) -> Trace:
    """Return size and time of the last change; raises InputError when the file cannot be found."""
    try:
        state = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the name") from error
    return state.st_size, state.st_mtime_ns


class StackArrivals(IndexedArrivals):
    """Scans of a stack whose pages follow each other segment by segment, scan by scan.

    Parameters
    ----------
    path, detector_names, pixel_size_nm, patience_s
        See :class:`IndexedArrivals`; the segments in the order of the pages, unless the stack names its channels.
    trace : callable
        Gives size and time of the last change.
    """

    def __init__(
        self,
        path: Path,
        detector_names: Sequence[str],
        *,
        pixel_size_nm: float | None = None,
        patience_s: float = 30.0,
        trace: Callable[[Path], Trace] = trace_of,
    ) -> None:
        super().__init__(path, detector_names, pixel_size_nm, patience_s)
        self._trace = trace
        self._known: Trace | None = None
        self._tried: Trace | None = None
        self._pages = 0
        self._first: list[PlaneHeader] = []
        self._described: StackDescription | None = None

    def marks(self) -> tuple[dict[int, str], set[int]]:
        """Scans of which a page has come; all but the last are settled as soon as there is one behind them."""
        trace = self._trace(self._path)
        if trace != self._known:
            if self._known is not None and trace[0] < self._known[0]:
                raise InputError(f"{self._path} has become shorter: it is another stack, watch it with another output")
            tried, self._tried = self._tried, trace
            try:
                self._pages = whole_pages(self._path, self._pages)
            except InputError:
                if tried == trace:  # it rests, and is none
                    raise
                return {}, set()
            if not self._pages and tried == trace:
                raise InputError(f"{self._path} is no readable TIFF; give the stack that the microscope writes")
            if not self._pages:
                return {}, set()
            self._known = trace
        if not self._first and self._pages:
            self._describe()
        if not self._first:
            return {}, set()
        whole = self._pages * self._planes_a_page
        channels = len(self._first)
        complete = {i for i in range(whole // channels) if not self.is_done(i)}
        last = (whole - 1) // channels
        marks = {i: SETTLED for i in complete if i < last}
        if not self.is_done(last):
            marks[last] = f"{trace[0]}:{trace[1]}"
        return marks, complete

    @property
    def _planes_a_page(self) -> int:
        return sum(h.directory == 0 for h in self._first)

    def _describe(self) -> None:
        """Learn from the first scan how the pages are ordered, once all of it is there."""
        headers, described = growing_headers(self._path, min(self._pages, len(self._needed)))
        if described is not None and described.channels > 1:
            if described.channels != len(self._needed):
                raise InputError(
                    f"{self._path} has {described.channels} channels, the setup {len(self._needed)} detectors "
                    f"({', '.join(self._needed)}): load the setup of this detector"
                )
            if described.times > 1 and described.order.index("T") < described.order.index("C"):
                raise InputError(f"{self._path} holds all times of one detector before the next: it cannot be followed")
        self._described = described
        self._first = headers[: len(self._needed)] if len(headers) >= len(self._needed) else []

    def _headers(self, index: int) -> list[PlaneHeader]:
        """Headers of one scan, in the order of the setup."""
        channels, a_page = len(self._first), self._planes_a_page
        planes = [
            replace(h, page=index * channels + i, directory=(index * channels + i) // a_page)
            for i, h in enumerate(self._first)
        ]
        names = () if self._described is None else self._described.names
        if set(names) == set(self._needed):
            planes = [planes[names.index(name)] for name in self._needed]
        return planes

    def times_s(self, index: int) -> tuple[float | None, float]:
        """See :class:`IndexedArrivals`; without times in the file a scan came when the file last changed."""
        assert self._known is not None
        described = self._described
        seconds = None if described is None else described.seconds(index, 0)
        start = 0.0 if described is None or described.acquired is None else described.acquired.timestamp()
        return None if seconds is None else start + seconds, self._known[1] / 1e9

    def read(self, index: int) -> NDArray[Any]:
        """See :class:`IndexedArrivals`."""
        return np.stack([read_plane(header) for header in self._headers(index)])

    def open(self, index: int) -> SemSeries:
        """See :class:`IndexedArrivals`."""
        images = self.read(index)
        details = self._first[0].details
        stated = details.metadata.pixel_size_nm or (self._described.pixel_size_nm if self._described else None)
        series = SemSeries.from_arrays(images, self._pixel_size_nm or stated, None, self._needed)
        clip = self._first[0].clip or integer_range(images.dtype)
        return replace(series, region=image_region(list(images), details.bar_row), saturation=clip)
