"""The entry: a series of scans in, height maps that belong together out. The steps live beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.datum import Datum, found_datum, named_datum
from napari_sem4d.dynamics.drift_of_heights import DriftCorrection, drift_correction
from napari_sem4d.dynamics.series_blocks import SeriesBlock, frames_a_block, spread_frames
from napari_sem4d.dynamics.series_frame import FirstFrame, SeriesFrame
from napari_sem4d.dynamics.series_remarks import remarks_on_series
from napari_sem4d.dynamics.temporal_prior import REACH, noise_share, smoothed_frame
from napari_sem4d.io.series_store import SeriesStore, frames_in, open_series
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.region import Region, Roi, window_of
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.reconstruction.reconstruct import METHODS, Method
from napari_sem4d.reconstruction.uncertainty import range_blur_px
from napari_sem4d.registration.resampling import on_first_scan

_FRAMES_SHARE = 0.9  # of the time; the rest goes to datum and prior
_EVENT_SHARE = 0.3  # of the exit radius: a front is that narrow, wider averages would not see it
_SMALLEST_EVENT_PX = 0.9


def reconstruct_series(
    series: SemSeries,
    setup: Setup,
    method: Method = "vift",
    output: str | Path | None = None,
    *,
    roi: Roi | None = None,
    reference_region: Region | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    seed: int = 0,
) -> HeightSeries:
    """Reconstruct every scan of a series, as surfaces that belong together.

    Every scan is registered and its gains and shading are found on what does not change; its surface is reconstructed
    on its own pixels, beginning with what the loop has changed on the scan before, and moved onto the pixels of the
    first scan. What stands still gives all frames one zero and one tilt. When all frames are there their surfaces say
    what the drift still lacks, see :mod:`napari_sem4d.dynamics.drift_of_heights`. Then a prior in time takes off noise
    and keeps events, see :mod:`napari_sem4d.dynamics.temporal_prior`.

    When :data:`napari_sem4d.model.limits.LIMITS` allows workers, they make blocks of scans: the first of each begins
    cold and is registered to the first scan of all.

    Parameters
    ----------
    series : SemSeries
    setup : Setup
        Gains hold for the first scan.
    method : "photometric", "analytic", "vift" or "vift_light"
    output : path, optional
        Folder to keep the frames in: memory then does not grow with the number of scans, and a series that was
        interrupted goes on where it ended when it is called again with the same arguments.
    roi : Region, (y, x) bool or (n, 2) float, optional
        Part of the first scan to reconstruct, as in :func:`napari_sem4d.reconstruct`; it follows the drift.
    reference_region : Region, optional
        Part of the first scan that does not change, in the pixels of the whole scan; it must overlap ``roi``. Without
        one the largest part that stands still against itself is found; growth common to it stays unseen.
    progress, should_stop, seed
        As in :func:`napari_sem4d.reconstruct`.

    Returns
    -------
    HeightSeries
        Its maps are dask arrays when there is an ``output``.

    Raises
    ------
    InputError
        As :func:`napari_sem4d.reconstruct`; if the reference region lies outside, a scan has drifted off the region,
        or ``output`` holds other files or a series of other settings or scans.
    Cancelled
        When ``should_stop`` returned True; frames that were finished stay in ``output``.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: this version has {', '.join(METHODS)}")
    if series.pixel_size_nm is None:
        raise InputError("the pixel size is not known: give pixel_size_nm (on the command line --pixel-size-nm)")
    run = _Run(series, setup, method, output, roi, reference_region, seed, progress, should_stop)
    return run.result()


def finish_series(
    series: SemSeries,
    setup: Setup,
    method: Method,
    output: Path,
    *,
    roi: Roi | None = None,
    reference_region: Region | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    seed: int = 0,
) -> HeightSeries:
    """Tie together a series whose frames are all in ``output``; see :func:`reconstruct_series`.

    The images are not looked at, so that their files may have been moved meanwhile.
    """
    return _Run(series, setup, method, output, roi, reference_region, seed, progress, should_stop).finished()


def frames_kept(
    series: SemSeries,
    setup: Setup,
    method: Method,
    output: Path,
    *,
    roi: Roi | None = None,
    reference_region: Region | None = None,
    seed: int = 0,
) -> int:
    """Return with how many finished frames :func:`reconstruct_series` would go on. Writes nothing, reads no image.

    Raises
    ------
    InputError
        If it would refuse the region or the folder; whether the frames are of the same images is seen when it runs.
    """
    place, reference = SeriesPlace.of(series, roi, reference_region), _inside(series, reference_region)
    settings = settings_of(series, setup, method, place, reference, seed)
    return frames_in(output, {**settings, **_blocks(series)})


@dataclass(frozen=True, slots=True, eq=False)
class SeriesPlace:
    """Where on the first scan the maps lie: their rectangle, its pixels that count, and those that do not change."""

    window: Region
    selected: NDArray[np.bool_] | None
    named: NDArray[np.bool_] | None

    @classmethod
    def of(cls, series: SemSeries, roi: Roi | None, reference: Region | None) -> SeriesPlace:
        """Return the place of a region (None: the whole scan) and of a part of the first scan that does not change."""
        window, selected = window_of(Region.full(series.frame_shape) if roi is None else roi, series.frame_shape)
        if reference is None:
            return cls(window, selected, None)
        named = np.zeros(series.frame_shape, np.bool_)
        named[reference.inside(series.frame_shape, smallest=2).slices] = True
        named = named[window.slices] & (True if selected is None else selected)
        if np.count_nonzero(named) < 3:
            raise InputError("the reference region does not overlap the region to reconstruct: move one of them")
        return cls(window, selected, named)


class _Run:
    """One series on its way from scans to surfaces."""

    def __init__(
        self,
        series: SemSeries,
        setup: Setup,
        method: Method,
        output: str | Path | None,
        roi: Roi | None,
        reference: Region | None,
        seed: int,
        progress: Callable[[float], object] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._series, self._setup, self._method, self._seed = series, setup, method, seed
        self._progress = progress if progress is not None else _ignore
        self._should_stop = should_stop
        self._place = SeriesPlace.of(series, roi, reference)
        self._reference = _inside(series, reference)
        self._range_px = range_blur_px(setup, float(series.pixel_size_nm or 1.0))
        folder = None if output is None else Path(output)
        blocks = _blocks(series)
        self._block_frames = blocks.get("block_frames", 0)
        settings = {**settings_of(series, setup, method, self._place, self._reference, seed), **blocks}
        self._store = SeriesStore(folder, (len(series), *self._place.window.shape), settings)

    def result(self) -> HeightSeries:
        """Make what is not there yet."""
        first = self._frames()
        if self._store.folder is not None and (self._store.folder / "about.json").is_file():
            self._progress(1.0)
            return open_series(self._store.folder)
        return self._tied_together(first)

    def finished(self) -> HeightSeries:
        """Tie frames together that are all there; the images are not looked at."""
        return self._tied_together(FirstFrame.from_json(self._store.first))

    def _tied_together(self, first: FirstFrame) -> HeightSeries:
        """Datum and prior in time of all frames."""
        count = len(self._series)
        datum = self._datum(count)
        self._tell(_FRAMES_SHARE + 0.02)
        records = self._store.records
        drift, drift_sigma = np.array([r.drift_px for r in records]), np.array([r.drift_sigma_px for r in records])
        times = np.asarray(self._series.time_s, np.float64)
        as_placed = DriftCorrection(np.zeros_like(drift), drift_sigma)
        share = noise_share(lambda i: self._levelled(datum, as_placed, i), times, datum.mask, self._should_stop)
        correction = drift_correction(
            lambda i: self._levelled(datum, as_placed, i, slopes=False),
            times, drift_sigma, share, datum.mask, self._should_stop,
        )  # fmt: skip
        self._tell(_FRAMES_SHARE + 0.04)
        self._smooth(datum, correction, share)
        relative = np.array([[c[0] for c in r.relative] for r in records])
        found = HeightSeries(
            height_nm=None,
            sigma_nm=None,
            time_s=times,
            pixel_size_nm=first.pixel_size_nm,
            z_scale_source=first.z_scale_source,
            z_scale_uncertainty=first.z_scale_uncertainty,
            warnings=remarks_on_series(records, datum, relative, correction.sigma_px, times),
            provenance={
                **first.provenance,
                "frames": count,
                "datum": {"source": datum.source, "share": round(datum.share, 4)},
                "noise_share": round(share, 4),
            },
            drift_px=drift + correction.shift_px,
            drift_sigma_px=correction.sigma_px,
            relative_signal=relative,
            datum=datum.mask,
            datum_source=datum.source,
            datum_share=datum.share,
        )
        self._tell(1.0)
        return self._store.finish(found)

    def _frames(self) -> FirstFrame:
        """Reconstruct the frames that are not finished."""
        count, store = len(self._series), self._store
        frame = SeriesFrame(
            self._series, self._setup, self._method, self._place.window, self._reference, self._seed, self._should_stop
        )
        for index in filter(store.has, range(count)):
            stop_if_asked(self._should_stop)
            if frame.input_sha256(index) != store.record(index).input_sha256:
                raise InputError(
                    f"scan {index} is not the one that the frame in {store.folder} was made of: choose another output, "
                    "or delete the folder to begin anew"
                )
        if store.finished:
            frame.restore(FirstFrame.from_json(store.first), store.state)
        for index in range(store.finished, 1 if self._block_frames else count):
            made = frame.make(
                index,
                lambda share, done=index: self._tell(_FRAMES_SHARE * (done + share) / count),  # type: ignore[misc]
            )
            selected = self._place.selected
            height, sigma = (
                m if selected is None else np.where(selected, m, np.float32(np.nan))
                for m in (made.height_nm, made.sigma_nm)
            )
            store.add(height, sigma, made.record, frame.state, frame.first.as_json() if index == 0 else None)
        if self._block_frames:
            spread_frames(
                lambda scans: self._block(scans, frame.first), count, self._block_frames, store, self._place.selected,
                lambda share: self._tell(_FRAMES_SHARE * share), self._should_stop,
            )  # fmt: skip
        return frame.first

    def _block(self, scans: range, first: FirstFrame) -> SeriesBlock:
        """Some scans in memory, for a worker."""
        series = self._series
        part = replace(
            series, full_images=np.asarray(series.images[scans.start : scans.stop]), others={}, warnings=(), planes=(),
            region=Region.full(series.frame_shape), time_s=series.time_s[scans.start : scans.stop],
        )  # fmt: skip
        return SeriesBlock(
            part, scans.start, self._setup, self._method, self._place.window, self._reference, self._seed, first,
            self._store.state,
        )  # fmt: skip

    def _datum(self, count: int) -> Datum:
        if self._place.named is not None:
            return named_datum(lambda i: self._store.raw(i)[0], count, self._place.named, self._should_stop)
        return found_datum(self._store.raw, count, max(self._range_px, 1.0), self._should_stop)

    def _levelled(
        self, datum: Datum, correction: DriftCorrection, frame: int, *, slopes: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Height above the datum, in place, and sigma, with what an error of the drift makes of ``slopes``."""
        height, sigma = self._store.raw(frame)
        shift, window = correction.shift_px[frame], self._place.window
        if shift.any():
            height = on_first_scan(height, window, shift, window)
            sigma = on_first_scan(sigma, window, shift, window, order=1)
        if slopes and correction.sigma_px[frame] > 0.0:
            steepness = np.hypot(*np.gradient(height))
            sigma = np.hypot(sigma, np.where(np.isfinite(steepness), correction.sigma_px[frame] * steepness, 0.0))
        return datum.levelled(height, frame), sigma.astype(np.float32)

    def _smooth(self, datum: Datum, correction: DriftCorrection, share: float) -> None:
        """Send a window of frames along the series."""
        count, times = len(self._series), np.asarray(self._series.time_s, np.float64)
        held: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        for frame in range(count):
            stop_if_asked(self._should_stop)
            around = range(max(0, frame - REACH), min(count, frame + REACH + 1))
            held = {i: held.get(i) or self._levelled(datum, correction, i) for i in around}
            height, sigma = smoothed_frame(
                [held[i][0] for i in around], [held[i][1] for i in around], times[around.start : around.stop],
                frame - around.start, share,
                max(_EVENT_SHARE * self._range_px, _SMALLEST_EVENT_PX), self._should_stop,
            )  # fmt: skip
            self._store.set_result(frame, height, sigma)
            self._tell(_FRAMES_SHARE + 0.04 + (0.96 - _FRAMES_SHARE) * (frame + 1) / count)

    def _tell(self, share: float) -> None:
        self._progress(min(share, 1.0))


def settings_of(
    series: SemSeries, setup: Setup, method: Method, place: SeriesPlace, reference: Region | None, seed: int
) -> dict[str, Any]:
    """Everything that the heights of a series depend on besides the images, as JSON types."""
    window, selected = place.window, place.selected
    return {
        "program_version": _version(),
        "method": method,
        "seed": seed,
        "setup": setup.model_dump(mode="json"),
        "pixel_size_nm": series.pixel_size_nm,
        "detector_names": list(series.detector_names),
        "image_shape": list(series.frame_shape),
        "time_s": [float(t) for t in series.time_s],
        "region": [window.row_start, window.row_stop, window.column_start, window.column_stop],
        "outline": None if selected is None else hashlib.sha256(np.packbits(selected).tobytes()).hexdigest(),
        "reference_region": None
        if reference is None
        else [reference.row_start, reference.row_stop, reference.column_start, reference.column_stop],
    }


def _blocks(series: SemSeries) -> dict[str, int]:
    """What is set besides when workers make the frames, in blocks that begin cold."""
    return {"block_frames": frames_a_block(series)} if LIMITS.is_spread else {}


def _inside(series: SemSeries, reference: Region | None) -> Region | None:
    return None if reference is None else reference.inside(series.frame_shape, smallest=2)


def _ignore(share: float) -> None:
    """Stand in for a caller who wants no progress."""


def _version() -> str:
    try:
        return version("napari-sem4d")
    except PackageNotFoundError:
        return "unknown"
