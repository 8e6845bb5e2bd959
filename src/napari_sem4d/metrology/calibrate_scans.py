"""Calibrations from scans as they were read: segments in order, clipped pixels out, settings remembered.

Objects of known slope or height are measured on height maps: :mod:`napari_sem4d.metrology.calibration`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.black_level import from_blanked_frame, from_two_currents
from napari_sem4d.metrology.flat_parallax import calibrate_on_parallax
from napari_sem4d.metrology.flat_tilts import TILT_SIGMA_DEG, calibrate_on_tilts
from napari_sem4d.model.conditions import with_conditions
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.physics.field import Field
from napari_sem4d.reconstruction.azimuths import estimate_azimuths
from napari_sem4d.registration.segments import align_segments

CURRENT_RATIO_SIGMA = 0.01  # relative, of two readings of one picoammeter


def on_tilts(
    series: SemSeries,
    setup: Setup,
    tilts_deg: Sequence[float],
    region: Region | None = None,
    *,
    rises_towards_deg: Sequence[float] | None = None,
    tilt_sigma_deg: float = TILT_SIGMA_DEG,
) -> Setup:
    """Calibrate on a series of scans of one flat, one for each tilt.

    Parameters
    ----------
    region : Region, optional
        A bare and flat part of the images; default all of them.
    tilts_deg, rises_towards_deg, tilt_sigma_deg
        See :func:`napari_sem4d.metrology.flat_tilts.calibrate_on_tilts`.

    Raises
    ------
    InputError
        If scans, tilts and setup do not fit together, or the tilts tell nothing.
    """
    ordered = _ordered(series, setup)
    if len(ordered) != len(tilts_deg):
        raise InputError(
            f"{len(ordered)} scans and {len(tilts_deg)} tilts: give one tilt for each scan, in the order of the scans"
        )
    area = _area(ordered, region)
    images = [_grey(ordered, frame)[:, *area.slices] for frame in range(len(ordered))]
    found = calibrate_on_tilts(
        images, setup, tilts_deg, _field(ordered).crop(area), rises_towards_deg=rises_towards_deg,
        tilt_sigma_deg=tilt_sigma_deg,
    )  # fmt: skip
    # a setup proposed from the first scan has its tilt, which is none of the detector's
    found = found.model_copy(update={"stage_tilt_deg": 0.0})
    return with_conditions(found, ordered.channel_metadata)


def on_parallax(series: SemSeries, setup: Setup, region: Region | None = None, frame: int = 0) -> Setup:
    """Calibrate on one scan of a flat over a wide field; see :mod:`napari_sem4d.metrology.flat_parallax`."""
    ordered = _ordered(series, setup)
    area = _area(ordered, region)
    images = _grey(ordered, frame)[:, *area.slices]
    return with_conditions(calibrate_on_parallax(images, setup, _field(ordered).crop(area)), ordered.channel_metadata)


def on_blanked_frame(series: SemSeries, setup: Setup, frame: int = 0) -> Setup:
    """Take the black levels from a frame with the beam blanked; see :mod:`napari_sem4d.metrology.black_level`."""
    ordered = _ordered(series, setup)
    found = from_blanked_frame(ordered.frame(frame), setup, ordered.saturation)
    return with_conditions(found.into(setup), ordered.channel_metadata)


def on_two_currents(first: SemSeries, second: SemSeries, setup: Setup, current_ratio: float | None = None) -> Setup:
    """Take the black levels from one place at two beam currents; the last scan of each series counts.

    Parameters
    ----------
    current_ratio : float, optional
        Current of the second over the first; default what the files say, or else what the images do.
    """
    one, two = _ordered(first, setup), _ordered(second, setup)
    if current_ratio is None:
        before, after = one.metadata.beam_current_pa, two.metadata.beam_current_pa
        current_ratio = after / before if before and after and after != before else None
    sigma = 0.0 if current_ratio is None else CURRENT_RATIO_SIGMA * current_ratio
    found = from_two_currents(_grey(one, 0), _grey(two, len(two) - 1), setup, current_ratio, sigma)
    return with_conditions(found.into(setup), one.channel_metadata)


def on_roughness(series: SemSeries, setup: Setup, frame: int = 0) -> Setup:
    """Estimate the azimuths from a scan of a rough surface; see :mod:`napari_sem4d.reconstruction.azimuths`."""
    ordered = _ordered(series, setup)
    images = _grey(ordered, frame)
    if ordered.simultaneous is not True:
        # where the azimuths in the setup do not explain the images, shifts are found without them
        views = np.array([mean_direction(detector, setup) for detector in setup.detectors])
        images = align_segments(images, setup.detector_names, views).images
    return estimate_azimuths(images).into(setup)


def _ordered(series: SemSeries, setup: Setup) -> SemSeries:
    """Return the series with the segments of the setup, in its order."""
    if len(setup.detectors) < 3:
        raise InputError(f"the setup describes {len(setup.detectors)} segments: a calibration needs three at least")
    return series.with_detectors(setup.detector_names)


def _grey(series: SemSeries, frame: int) -> NDArray[np.float32]:
    """Images (detector, y, x) of a scan, NaN where a pixel is clipped or no number."""
    images = series.frame(frame)
    bad = ~np.isfinite(images)
    if series.saturation is not None:
        bad |= (images <= series.saturation[0]) | (images >= series.saturation[1])
    return np.where(bad, np.float32(np.nan), images)


def _field(series: SemSeries) -> Field:
    if series.pixel_size_nm is None:
        raise InputError("the pixel size is not known: give it first (on the command line --pixel-size-nm)")
    return Field.of(series.frame_shape, series.pixel_size_nm)


def _area(series: SemSeries, region: Region | None) -> Region:
    return Region.full(series.frame_shape) if region is None else region.inside(series.frame_shape, smallest=32)
