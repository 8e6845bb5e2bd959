"""One scan after the other: registered, brought to the gains of the first, reconstructed from its neighbour.

What makes surfaces of a series out of the frames lives elsewhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.series_store import FrameRecord
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap, ZScaleSource
from napari_sem4d.model.region import SMALLEST_SIDE, Region
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.reconstruction.neighbour import Neighbour
from napari_sem4d.reconstruction.reconstruct import Method, reconstruct_next
from napari_sem4d.registration.frames import FrameFit, FrameTracker
from napari_sem4d.registration.resampling import on_first_scan
from napari_sem4d.registration.segments import align_segments

_MARGIN_PX = 4  # around a region that drifts: what the spline needs


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """What the first frame says about all of them.

    Attributes
    ----------
    gain, offset : tuple of float
    detector_names : tuple of str
        Without dead segments.
    z_scale_source, z_scale_uncertainty, pixel_size_nm, provenance
        As in :class:`napari_sem4d.model.HeightMap`.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    detector_names: tuple[str, ...]
    z_scale_source: ZScaleSource
    z_scale_uncertainty: float
    pixel_size_nm: float
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, result: HeightMap) -> FirstFrame:
        """Take it from the height map of the first frame."""
        return cls(
            tuple(map(float, result.gain)), tuple(map(float, result.offset)), result.detector_names,
            result.z_scale_source, result.z_scale_uncertainty, result.pixel_size_nm, dict(result.provenance),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return JSON types."""
        uncertainty = self.z_scale_uncertainty
        return {
            "gain": list(self.gain),
            "offset": list(self.offset),
            "detector_names": list(self.detector_names),
            "z_scale_source": self.z_scale_source,
            "z_scale_uncertainty": uncertainty if math.isfinite(uncertainty) else None,
            "pixel_size_nm": self.pixel_size_nm,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> FirstFrame:
        """Read what :meth:`as_json` gave.

        Raises
        ------
        InputError
            If it is something else.
        """
        try:
            uncertainty = found["z_scale_uncertainty"]
            return cls(
                tuple(map(float, found["gain"])), tuple(map(float, found["offset"])),
                tuple(map(str, found["detector_names"])), found["z_scale_source"],
                math.nan if uncertainty is None else float(uncertainty), float(found["pixel_size_nm"]),
                dict(found["provenance"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the first frame of the output is damaged ({error}): choose another output") from error


@dataclass(frozen=True, slots=True, eq=False)
class MadeFrame:
    """A frame on the pixels of the first scan: height and sigma (y, x) in nm, and its record."""

    height_nm: NDArray[np.float32]
    sigma_nm: NDArray[np.float32]
    record: FrameRecord


class SeriesFrame:
    """Makes the frames of a series in their order.

    Parameters
    ----------
    series : SemSeries
    setup : Setup
    method : Method
    window : Region
        On the first scan.
    reference : Region or None
        Part of the first scan that does not change.
    seed : int
    should_stop : callable, optional
    """

    def __init__(
        self,
        series: SemSeries,
        setup: Setup,
        method: Method,
        window: Region,
        reference: Region | None,
        seed: int,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._series, self._setup, self._method = series, setup, method
        self._window, self._reference, self._seed = window, reference, seed
        self._should_stop = should_stop
        self._first: FirstFrame | None = None
        self._tracker: FrameTracker | None = None
        self._neighbour: Neighbour | None = None
        self._drift_px = np.zeros(2)  # of the neighbour

    @property
    def first(self) -> FirstFrame:
        """What the first frame says about all of them, once it is made."""
        assert self._first is not None
        return self._first

    @property
    def state(self) -> Mapping[str, NDArray[Any]]:
        """What registration and reconstruction of the next scan go on from."""
        assert self._tracker is not None
        left = {} if self._neighbour is None else self._neighbour.as_arrays()
        return {**self._tracker.state, **left, "drift_px": self._drift_px}

    def restore(self, first: FirstFrame, state: Mapping[str, NDArray[Any]], *, cold: bool = False) -> None:
        """Go on after the frame that gave ``state``; a ``cold`` start takes nothing of its surface."""
        self._first = first
        self._tracker = self._new_tracker()
        try:
            self._tracker.restore(state)
            self._drift_px = np.asarray(state["drift_px"], np.float64)
            self._neighbour = None if cold else Neighbour.from_arrays(state)
        except KeyError as error:
            raise InputError(f"the output is damaged ({error} is missing): choose another one") from error

    def input_sha256(self, index: int) -> str:
        """Fingerprint of the images of a scan."""
        return hashlib.sha256(np.ascontiguousarray(self._series.images[index]).tobytes()).hexdigest()

    def make(self, index: int, tell: Callable[[float], object]) -> MadeFrame:
        """Reconstruct the next scan.

        Raises
        ------
        InputError
            As :func:`napari_sem4d.reconstruct`; or if the scan has drifted off the region.
        Cancelled
            When ``should_stop`` returned True.
        """
        digest = self.input_sha256(index)
        scan, remarks, shifts = self._aligned(index)
        if self._first is None:
            result = self._reconstructed(scan, self._setup, self._window, tell)
            self._first = replace(FirstFrame.of(result), provenance={**result.provenance, **shifts})
            self._tracker = self._new_tracker()
            fit = self._tracker.fit(self._signals(scan), should_stop=self._should_stop)
            height, sigma = result.height_nm, result.sigma_nm
        else:
            assert self._tracker is not None
            scan = scan.with_detectors(self._first.detector_names)
            fit = self._tracker.fit(self._signals(scan), should_stop=self._should_stop)
            tell(0.1)
            place = self._place_of(fit, index)
            if self._neighbour is not None:
                self._neighbour = self._neighbour.moved(fit.drift_px - self._drift_px)
            result = self._reconstructed(
                self._at_first_gains(scan, fit), self._first_setup(), place, lambda share: tell(0.1 + 0.9 * share)
            )
            height = on_first_scan(result.height_nm, place, fit.drift_px, self._window)
            sigma = on_first_scan(result.sigma_nm, place, fit.drift_px, self._window, order=1)
        self._drift_px = fit.drift_px
        record = FrameRecord(
            input_sha256=digest,
            drift_px=(float(fit.drift_px[0]), float(fit.drift_px[1])),
            drift_sigma_px=fit.sigma_px,
            relative=tuple((float(a), float(b), float(c)) for a, b, c in fit.relative),
            warnings=(*remarks, *result.warnings),
        )
        return MadeFrame(height, sigma, record)

    def _aligned(self, index: int) -> tuple[SemSeries, tuple[str, ...], dict[str, Any]]:
        """One scan in memory, its segments on each other."""
        one = replace(
            self._series, full_images=self._series.frame(index)[None], region=Region.full(self._series.frame_shape),
            time_s=self._series.time_s[index : index + 1], others={},
        )  # fmt: skip
        if self._series.simultaneous is True:
            return one, (), {}
        known = set(self._setup.detector_names) <= set(one.detector_names)
        one = one.with_detectors(self._setup.detector_names) if known else one
        views = np.array([mean_direction(detector, self._setup) for detector in self._setup.detectors])
        if len(views) != len(one.detector_names):
            return one, (), {}  # reconstruct says what is wrong
        alignment = align_segments(one.full_images[0], one.detector_names, views, should_stop=self._should_stop)
        shifts = dict(zip(one.detector_names, alignment.shifts_px.tolist(), strict=True))
        moved = replace(one, full_images=alignment.images[None], simultaneous=True)
        return moved, (alignment.remark,), {"segment_shifts_px": shifts}

    def _reconstructed(
        self, scan: SemSeries, setup: Setup, place: Region, tell: Callable[[float], object]
    ) -> HeightMap:
        """Height of a scan, from what its neighbour has left; leaves that for the next."""
        result, self._neighbour = reconstruct_next(
            scan, setup, self._method, self._neighbour, roi=place,
            level_region=self._reference if self._neighbour is None else None, progress=tell,
            should_stop=self._should_stop, seed=self._seed,
        )  # fmt: skip
        return result

    def _new_tracker(self) -> FrameTracker:
        shape = self._series.frame_shape
        region = None
        if self._reference is not None:
            region = np.zeros(shape, np.bool_)
            region[self._reference.slices] = True
        return FrameTracker((len(self.first.detector_names), *shape), region)

    def _signals(self, scan: SemSeries) -> NDArray[np.float32]:
        """Grey levels above the black levels of the first frame, NaN where clipped."""
        images = scan.with_detectors(self.first.detector_names).full_images[0]
        if scan.saturation is not None:
            low, high = scan.saturation
            images = np.where((images > low) & (images < high), images, np.float32(np.nan))
        return np.asarray(images - np.array(self.first.offset, np.float32)[:, None, None], np.float32)

    def _at_first_gains(self, scan: SemSeries, fit: FrameFit) -> SemSeries:
        """The scan as it would have been recorded with the gains and the shading of the first."""
        signals = self._signals(scan) / fit.relative_signal(self._series.frame_shape)
        images = signals + np.array(self.first.offset, np.float32)[:, None, None]
        return replace(scan, full_images=images[None].astype(np.float32), saturation=None)

    def _first_setup(self) -> Setup:
        """The setup with what was solved on the first frame."""
        known = {d.name: d for d in self._setup.detectors}
        detectors = tuple(
            known[name].model_copy(update={"gain": gain, "offset": offset})
            for name, gain, offset in zip(self.first.detector_names, self.first.gain, self.first.offset, strict=True)
        )
        return self._setup.model_copy(update={"detectors": detectors})

    def _place_of(self, fit: FrameFit, index: int) -> Region:
        """Where on a scan the window of the first lies, with a margin."""
        rows, columns = self._series.frame_shape
        down, across = (round(float(d)) for d in fit.drift_px)
        window = self._window
        moved = Region(
            max(window.row_start + down - _MARGIN_PX, 0), min(window.row_stop + down + _MARGIN_PX, rows),
            max(window.column_start + across - _MARGIN_PX, 0), min(window.column_stop + across + _MARGIN_PX, columns),
        )  # fmt: skip
        if min(moved.shape) < SMALLEST_SIDE:
            raise InputError(
                f"scan {index} has drifted by {fit.drift_px[1]:.0f} columns and {fit.drift_px[0]:.0f} rows off the "
                "region: choose a region that stays on all scans, or end the series before it"
            )
        return moved
