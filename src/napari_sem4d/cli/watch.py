"""``napari-sem4d watch``: scans that come while the microscope goes on become frames in a folder."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import PixelSize, ReferenceRegionText, RegionText
from napari_sem4d.cli.outputs import make_folder
from napari_sem4d.cli.reconstruct import MethodName, describe
from napari_sem4d.model.errors import Cancelled
from napari_sem4d.model.methods import method_help

if TYPE_CHECKING:
    from napari_sem4d.dynamics.live import LiveFrame, LiveSeries
    from napari_sem4d.io.arrivals import Refusal
    from napari_sem4d.reconstruction.reconstruct import Method

_USUAL = MethodName("vift")


def watch(
    place: Annotated[
        Path,
        typer.Argument(
            help="Folder into which the microscope writes its scans; or the multi-page TIFF or Zarr that it appends to."
        ),
    ],
    setup: Annotated[Path, typer.Option(help="Setup file (JSON): beam and detectors; names the segments of a scan.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the frames; one that was begun before goes on.")
    ],
    pixel_size_nm: PixelSize = None,
    method: Annotated[MethodName, typer.Option(help=method_help())] = _USUAL,
    region: RegionText = None,
    reference_region: ReferenceRegionText = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    patience_s: Annotated[
        float,
        typer.Option(help="Seconds that a half-written file or scan may rest before it is given up.", min=1.0),
    ] = 60.0,
    idle_s: Annotated[
        float | None,
        typer.Option(help="End when nothing has come for so many seconds; else with Ctrl-C.", min=1.0),
    ] = None,
) -> None:
    """Reconstruct scans as they come. Ctrl-C ends the watch and finishes the series; the same command goes on."""
    from napari_sem4d.dynamics.live import LiveSeries
    from napari_sem4d.io.open_arrivals import open_arrivals
    from napari_sem4d.model.region import Region
    from napari_sem4d.model.setup import Setup

    roi, reference = (None if text is None else Region.parse(text) for text in (region, reference_region))
    used = Setup.from_json(setup)
    make_folder(output)
    source = open_arrivals(place, used.detector_names, pixel_size_nm=pixel_size_nm, patience_s=patience_s)
    live = LiveSeries(
        source, used, cast("Method", method.value), output, roi=roi, reference_region=reference, seed=seed,
        on_frame=_tell_frame, on_refusal=_tell_refusal,
    )  # fmt: skip
    terminal.result(f"watching {place}: {live.finished} frames in {output}; Ctrl-C ends the watch")
    with _interrupts() as asked:
        live.run(_Idle(live, asked, idle_s).is_over)
    terminal.result(f"{live.finished} frames, {live.status.refused} bad; finishing the series")
    with _interrupts() as asked, terminal.progress_bar("Finishing") as progress:
        try:
            movie = live.finish(progress, asked.is_set)
        except Cancelled:
            raise Cancelled(f"not finished: the frames are in {output}, the same command goes on with them") from None
    for message in movie.warnings:
        terminal.warning(message)
    terminal.result(f"wrote {output}")
    terminal.result(describe(movie))


class _Idle:
    """Says when a watch is over: the user has asked, or nothing has come for long."""

    def __init__(self, live: LiveSeries, asked: threading.Event, idle_s: float | None) -> None:
        self._live, self._asked, self._idle_s = live, asked, idle_s
        self._seen, self._since = -1, time.monotonic()

    def is_over(self) -> bool:
        status = self._live.status
        if status.seen != self._seen or status.incomplete or status.waiting:
            self._seen, self._since = status.seen, time.monotonic()
        idle = self._idle_s is not None and time.monotonic() - self._since > self._idle_s
        return idle or self._asked.is_set()


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Take Ctrl-C and a polite kill as a wish to end; a second one as an order."""
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_frame(frame: LiveFrame) -> None:
    kind = "quick look" if frame.is_quick else f"frame {frame.index}"
    terminal.result(f"{kind}: {frame.name}, t = {frame.time_s:.6g} s, after {frame.latency_s:.1f} s")


def _tell_refusal(refusal: Refusal) -> None:
    terminal.warning(f"left out: {refusal.reason}")
