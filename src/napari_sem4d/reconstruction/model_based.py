"""Methods with a forward model: the loop on a part of a scan, from its photometric start to its errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.region import Region
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.threads import hold_libraries
from napari_sem4d.reconstruction.estimate import Estimate, Part, Whole
from napari_sem4d.reconstruction.inversion import SlopeMap
from napari_sem4d.reconstruction.likelihood import Likelihood
from napari_sem4d.reconstruction.loop import LoopStep, Problem, Refined, refine
from napari_sem4d.reconstruction.loop_methods import LoopMethod
from napari_sem4d.reconstruction.neighbour import SIGNIFICANT, Neighbour
from napari_sem4d.reconstruction.photometric import facet_signals, integrated, measured_slopes, shadowed, slopes_of
from napari_sem4d.reconstruction.slope_calibration import calibrated
from napari_sem4d.reconstruction.spectrum import Spectrum
from napari_sem4d.reconstruction.start import Start
from napari_sem4d.reconstruction.uncertainty import (
    loop_model_sigma,
    loop_noise_sigma,
    loop_samples,
    range_blur_px,
)
from napari_sem4d.reconstruction.validity import reasons

_MARGIN_PX = (16, 64)  # smallest and largest around a region


def model_based(
    part: Part,
    inner: Region,
    method: LoopMethod,
    open_gain: NDArray[np.bool_],
    samples: int,
    seed: int,
    start: Start | Neighbour | None = None,
    *,
    for_next: tuple[int, int] | None = None,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
    on_step: Callable[[LoopStep], object] | None,
    whole: Whole | None = None,
) -> Estimate:
    """Height of the inside of a part of a scan, from a forward model that has to re-create the images.

    Parameters
    ----------
    part : Part
    inner : Region
        Of the part: what lies around it throws shadows into it, and is seen through the same blur.
    method : LoopMethod
    open_gain : (detector,) bool
        Gains that are solved along.
    start : Start or Neighbour, optional
        With what to begin in place of the photometric height.
    for_next : (rows, columns), optional
        Shape of the whole scan, to say what the next one of a series can go on from.
    samples, seed, progress, should_stop, on_step
        As in :func:`napari_sem4d.reconstruct`.
    whole : Whole, optional
        The map of which the part is a tile.
    """
    hold_libraries()
    ask = should_stop if should_stop is not None else lambda: False
    slopes = measured_slopes(part, should_stop)
    progress(0.03)
    photometric = integrated(slopes.slope_x, slopes.slope_y, slopes, part.pixel_size_nm, should_stop)
    begin = photometric if start is None else start.joined(photometric, part.place, _mean_factor(part.setup))
    progress(0.05)
    problem = problem_of(part, method, open_gain)
    if isinstance(start, Neighbour):
        problem = replace(problem, answer=(start.waves, start.answer), significant=SIGNIFICANT)

    def show(step: LoopStep) -> object:
        return on_step(in_grey_levels(step, part).crop(inner)) if on_step is not None else None

    found = refine(
        problem, begin, photometric, progress=lambda share: progress(0.05 + 0.75 * share), should_stop=ask, on_step=show
    )
    estimate = _estimate(part, slopes, photometric, found, method, samples, seed, whole, ask, progress)
    if for_next is not None:
        left = Neighbour.of(found.height_nm, photometric, part.place, for_next, found.spectrum.answer)
        estimate = replace(estimate, neighbour=left)
    return estimate.crop(inner)


def problem_of(part: Part, method: LoopMethod, open_gain: NDArray[np.bool_]) -> Problem:
    """Return what the loop has to explain."""
    return Problem(
        forward=method.make_forward(part.setup, part.shape, part.pixel_size_nm, part.field),
        likelihood=Likelihood(part.images, part.channels, part.table.counting, part.saturation),
        spectrum=Spectrum(part.setup, part.shape, part.pixel_size_nm),
        table=part.table,
        field=part.field,
        pixel_size_nm=part.pixel_size_nm,
        open_gain=open_gain,
        brightness_sigma=method.brightness_sigma,
    )


def in_grey_levels(step: LoopStep, part: Part) -> LoopStep:
    """Return a step with grey levels for signals and heights of the surface for those of the model."""
    gain, offset = (v.astype(np.float32)[:, None, None] for v in (part.channels.gain, part.channels.offset))
    return replace(
        step,
        height_nm=step.height_nm * np.float32(_mean_factor(part.setup)),
        predicted=step.predicted * gain + offset,
    )


def _mean_factor(setup: Setup) -> float:
    """Mean factor of the slope calibration."""
    if setup.slope_calibration is None:
        return 1.0
    return math.sqrt(float(np.linalg.det(np.array(setup.slope_calibration.matrix))))


def _estimate(
    part: Part,
    slopes: SlopeMap,
    photometric: NDArray[np.float32],
    found: Refined,
    method: LoopMethod,
    samples: int,
    seed: int,
    whole: Whole | None,
    should_stop: Callable[[], bool],
    progress: Callable[[float], object],
) -> Estimate:
    pixel = part.pixel_size_nm
    height = _calibrated_height(part, slopes, photometric, found.height_nm, should_stop)
    scale = _mean_factor(part.setup)
    facets = facet_signals(*slopes_of(found.height_nm, pixel), part, should_stop)
    signals = found.signals * found.brightness
    middle = np.float32(np.median(found.brightness))
    stop_if_asked(should_stop)
    shape, shortfall = (None, None) if whole is None else (whole.shape, whole.shortfall)
    reason = reasons(part, slopes, facets, signals / middle, shortfall, should_stop)
    progress(0.85)
    stop_if_asked(should_stop)
    model = np.float32(scale) * loop_model_sigma(
        found, part.setup, pixel, slopes.usable >= 3, method.range_error, should_stop
    )
    stop_if_asked(should_stop)
    sigma = np.hypot(np.float32(scale * pixel) * loop_noise_sigma(found, shape, should_stop), model)
    stop_if_asked(should_stop)
    progress(0.9)
    draws = None
    if samples > 0:
        blur = range_blur_px(part.setup, pixel)
        draws = loop_samples(height, found, scale * pixel, model, blur, samples, seed, should_stop, part.place)
    return Estimate(
        height_nm=height,
        sigma_nm=sigma.astype(np.float32),
        samples=draws,
        reason=reason if method.judged is None else method.judged(reason, height, part.setup, pixel),
        shadow=shadowed(found.signals, part),
        brightness=found.brightness,
        signals=signals,
        gain=part.channels.gain * found.gain_ratio,
        remarks=() if found.converged else ("the loop was ended before it had converged",),
        details={
            "evaluations": found.evaluations,
            "converged": found.converged,
            "chi_square": [round(c, 5) for c in found.chi_square],
        },
    )


def _calibrated_height(
    part: Part,
    slopes: SlopeMap,
    photometric: NDArray[np.float32],
    height: NDArray[np.float32],
    should_stop: Callable[[], bool],
) -> NDArray[np.float32]:
    """Height of the surface from that of the model.

    A calibration that differs along x and y turns the slopes of a surface into slopes of none, so only what the loop
    has changed goes through it as a surface; the measured slopes are calibrated as such.
    """
    if part.setup.slope_calibration is None:
        return height
    matrix, factor = np.array(part.setup.slope_calibration.matrix), _mean_factor(part.setup)
    if np.allclose(matrix, factor * np.eye(2), atol=1e-6):
        return height * np.float32(factor)
    pixel = part.pixel_size_nm
    measured = integrated(*calibrated(slopes.slope_x, slopes.slope_y, part.setup), slopes, pixel, should_stop)
    change = calibrated(*slopes_of(height - photometric, pixel), part.setup)
    whole = measured + integrated(*change, slopes, pixel, should_stop)
    return np.asarray(whole - whole.mean(dtype=np.float64), np.float32)


def with_margin(region: Region, scan: Part) -> Region:
    """Return the region with what blurs and shadows reach from outside."""
    reach = 2 * range_blur_px(scan.setup, scan.pixel_size_nm) + 8
    margin = int(min(max(math.ceil(reach), _MARGIN_PX[0]), _MARGIN_PX[1]))
    rows, columns = scan.shape
    return Region(
        max(region.row_start - margin, 0), min(region.row_stop + margin, rows),
        max(region.column_start - margin, 0), min(region.column_stop + margin, columns),
    )  # fmt: skip
