"""Opens scans in one viewer: files that the user chose, series in memory, layers that a reader put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_sem4d.model import InputError, SemSeries, Setup
from napari_sem4d.session.scan_names import series_name
from napari_sem4d.viewer.layers import Limits, scan_layers, scan_limits
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workers import Computation

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping
    from napari_sem4d.viewer.workbench import Workbench

# Under this key the image layers of a scan carry their series, whoever made them.
SERIES_KEY = "sem4d_series"


@dataclass(frozen=True, slots=True)
class Opened:
    """What reading files gave: a series, or a grouping that makes none yet and the reason.

    ``layers`` are made with it, in the worker: the first one loads the registry of units, which takes half a second.
    """

    grouping: Grouping | None
    series: SemSeries | None
    limits: Mapping[str, Limits]
    layers: Sequence[Image] = ()
    problem: InputError | None = None


class Opening:
    """Brings scans into the session and shows them; the newest one asked for wins.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
    """

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._session = workbench.session
        self._limits: dict[str, Limits] = {}
        self._new_layers: Sequence[Image] = ()
        self._reading: Computation[Opened] | None = None
        self._shown_series: SemSeries | None = None
        self._expected: tuple[SemSeries, Setup] | None = None
        viewer.layers.events.inserted.connect(self._note_layer)
        self._session.series_changed.connect(self._show_scan)

    def open_files(self, paths: Sequence[str | Path]) -> None:
        """Read the files of a scan or a series (folders: all images in them) and show them."""
        chosen = [Path(p) for p in paths]
        self._open(lambda: _read_files(chosen), f"Reading {len(chosen)} file{'s' * (len(chosen) != 1)} …")

    def open_grouping(self, grouping: Grouping) -> None:
        """Read the files again after the user has corrected what is what."""
        pixel_size_nm = self._session.series.pixel_size_nm if self._session.series is not None else None
        self._open(lambda: _read_grouping(grouping, pixel_size_nm), "Reading the files again …", correcting=True)

    def open_series(self, series: SemSeries) -> None:
        """Take a series that is already in memory."""
        self._open(lambda: opened_series(None, series), "Opening the scan …")

    def bring(self, layers: Sequence[Image], limits: Mapping[str, Limits]) -> None:
        """Keep the layers of the scan that the session is about to have."""
        self._give_up_reading()
        self._limits, self._new_layers = dict(limits), layers

    def _give_up_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()

    def _open(self, read: Callable[[], Opened], busy: str, *, correcting: bool = False) -> None:
        if self._reading is not None:
            self._reading.cancel()

        def take(opened: Opened) -> None:
            if self._reading is reading:
                self._reading = None
                self._take_opened(opened, correcting)

        def fail(error: Exception) -> None:
            if self._reading is reading:
                self._reading = None
                self._workbench.set_busy("")
                self._workbench.activities.note_failure(tell_failure(error, "open the files"))
                self._session.series_changed.emit()  # views show again what is open

        def give_up() -> None:
            if self._reading is reading:
                self._reading = None
                self._workbench.set_busy("")

        reading = Computation(
            lambda progress, should_stop: read(),
            on_result=take,
            on_error=fail,
            on_cancel=give_up,
            doing=busy,
            among=self._workbench.activities,
        )
        self._reading = reading
        self._workbench.set_busy(busy)
        reading.start()

    def _take_opened(self, opened: Opened, correcting: bool) -> None:
        if opened.series is not None:
            self._limits = dict(opened.limits)
            self._new_layers = opened.layers
            self._session.set_series(opened.series, opened.grouping)  # shows it, too
        elif opened.grouping is not None and opened.problem is not None:
            self._workbench.set_busy("")
            self._session.set_grouping(opened.grouping, str(opened.problem))
            if not correcting:  # while the user swaps names, every step in between is wrong: the panel says so
                tell_failure(opened.problem, "open the files")

    def _show_scan(self) -> None:
        series = self._session.series
        if series is not self._shown_series:
            self._shown_series = series
            self._workbench.forget_result()
            if series is None or series.absence:
                self._workbench.set_busy(self._workbench.busy or "Closing the scan …")
                self._workbench.scan.show((), lambda: self._workbench.set_busy(""))
                return
            layers = self._new_layers or scan_layers(series, self._session.name, self._limits)
            self._new_layers = ()
            self._workbench.set_busy(self._workbench.busy or "Showing the scan …")
            self._workbench.scan.show(layers, lambda: self._workbench.set_busy(""))

    # Scans that a reader or the sample put into the viewer ----------------------------------------------------

    def expect(self, series: SemSeries, setup: Setup) -> None:
        """Use ``setup`` for a series whose layers are about to come."""
        self._expected = series, setup

    def _note_layer(self, event: Any) -> None:
        if self._foreign_series(event.value) is not None:
            QTimer.singleShot(0, self.adopt)  # when the layers of all segments are in

    def _foreign_series(self, layer: Any) -> SemSeries | None:
        series = layer.metadata.get(SERIES_KEY)
        return series if isinstance(series, SemSeries) and series is not self._shown_series else None

    def adopt(self) -> None:
        """Take over the newest scan among the layers that is not open yet."""
        series = next((s for layer in reversed(self._viewer.layers) if (s := self._foreign_series(layer))), None)
        if series is None:
            return
        layers = [layer for layer in self._viewer.layers if layer.metadata.get(SERIES_KEY) is series]
        channels = (*series.detector_names, *series.others)
        self._limits = {name: tuple(layer.contrast_limits) for name, layer in zip(channels, layers, strict=False)}
        self._shown_series = series
        self._workbench.forget_result()
        self._workbench.scan.adopt(layers)
        if self._reading is None:
            self._workbench.set_busy("")
        self._session.set_series(series)
        if self._expected is not None and self._expected[0] is series:
            self._session.set_setup(self._expected[1])
        self._expected = None
        self._find_grouping(series)

    def _find_grouping(self, series: SemSeries) -> None:
        sources = sorted({m.source for m in series.channel_metadata if m.source})
        if len(series) > 1 or not sources:
            return

        def take(grouping: Grouping) -> None:
            if self._session.series is series and grouping.segments == series.detector_names:
                self._session.note_grouping(grouping)

        Computation(
            lambda progress, should_stop: _group(sources),
            on_result=take,
            on_error=lambda error: None,  # the scan is open; only the table of its files stays empty
        ).start()


def _group(paths: Sequence[str | Path]) -> Grouping:
    from napari_sem4d.io.grouping import propose_grouping

    return propose_grouping(paths)


def _read_files(paths: list[Path]) -> Opened:
    return _read_grouping(_group(paths), None)


def _read_grouping(grouping: Grouping, pixel_size_nm: float | None) -> Opened:
    from napari_sem4d.io.sem import read_sem

    try:
        series = read_sem(grouping, pixel_size_nm=pixel_size_nm)
    except InputError as error:
        return Opened(grouping, None, {}, problem=error)
    return opened_series(grouping, series)


def opened_series(grouping: Grouping | None, series: SemSeries) -> Opened:
    """Return a series with its layers; takes time, so in a worker."""
    limits = scan_limits(series)
    return Opened(grouping, series, limits, scan_layers(series, series_name(series), limits))
