"""Measured against predicted images of a surface while its detectors are moved. No Qt, no napari, no threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import HeightMap, InputError, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.held_field import HeldField, Kind
from napari_sem4d.reconstruction.blocks import block_means
from napari_sem4d.session.comparison import noise_level
from napari_sem4d.session.run import Run

MOST_SIDE = 512  # pixels of a side while something is dragged
THUMBNAIL_PX = 88
_KINDS: dict[str, Kind] = {"photometric": "facets", "analytic": "analytic", "vift": "vift", "vift_light": "vift"}
_FEWEST_PIXELS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """How one setup explains the images of a surface.

    Attributes
    ----------
    names : tuple of str
    rms : (detector,) float64
        Root mean square of the residual, in standard deviations of the noise; NaN where there is no noise to be seen.
    grey_rms : (detector,) float64
        The same in grey levels.
    gain, offset : (detector,) float64
        With which the predicted images fit the measured ones best.
    predicted, residual : (detector, y, x) float32
        Grey levels.
    measured : (detector, y, x) float32
    noise : (detector,) float64
        Grey levels.
    """

    names: tuple[str, ...]
    rms: NDArray[np.float64]
    grey_rms: NDArray[np.float64]
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    residual: NDArray[np.float32]
    noise: NDArray[np.float64]

    @property
    def chi_square(self) -> NDArray[np.float64]:
        """Reduced chi-square of each segment: 1 when only noise is left."""
        return self.rms**2

    def without_images(self) -> Fit:
        """Return the figures alone."""
        none = np.empty((len(self.names), 0, 0), np.float32)
        return replace(self, measured=none, predicted=none, residual=none)

    @property
    def total(self) -> float:
        """Reduced chi-square of all segments together."""
        return float(np.mean(self.chi_square))


@dataclass(frozen=True, slots=True, eq=False)
class LiveComparison:
    """The images of one result and the emission of its surface, to be compared under any setup.

    Attributes
    ----------
    names : tuple of str
    measured : (detector, y, x) float32
        Grey levels.
    brightness : (y, x) float32
        Common brightness that the result has found.
    usable : (y, x) bool
    noise : (detector,) float64
    held : HeldField
    step : int
        Pixels of the scan to one here.
    """

    names: tuple[str, ...]
    measured: NDArray[np.float32]
    brightness: NDArray[np.float32]
    usable: NDArray[np.bool_]
    noise: NDArray[np.float64]
    held: HeldField
    step: int

    @classmethod
    def of(
        cls,
        run: Run,
        setup: Setup,
        *,
        most_side: int | None = MOST_SIDE,
        should_stop: Callable[[], bool] | None = None,
    ) -> LiveComparison:
        """Hold the surface of a run for the beam of a setup; some tenths of a second to seconds.

        Parameters
        ----------
        run : Run
            With the result of one scan.
        setup : Setup
        most_side : int, optional
            A larger map is binned to this many pixels; None: never.
        should_stop : callable, optional
            Asked often; ``Cancelled`` is raised when it returns True.

        Raises
        ------
        InputError
            If the run has no height map with images.
        """
        result = run.unlevelled
        if not isinstance(result, HeightMap) or result.predicted.size == 0:
            raise InputError("A comparison needs the height map of one scan: reconstruct it first.")
        step = 1 if most_side is None else -(-max(result.height_nm.shape) // most_side)
        pixel = result.pixel_size_nm
        known = np.isfinite(result.height_nm) & np.isfinite(result.brightness)
        height = _without_gaps(result.height_nm, known) / np.float32(_calibrated_by(run.setup))
        brightness = _without_gaps(result.brightness, known)
        usable = known & result.valid
        measured = result.predicted + result.residual
        usable &= np.isfinite(measured).all(axis=0)
        measured = np.where(np.isfinite(measured), measured, np.float32(0.0))
        field = Field.of(run.series.frame_shape, pixel).crop(result.region)
        if step > 1:
            rows, columns = (n // step * step for n in height.shape)
            field = Field(field.x_mm[:columns].reshape(-1, step).mean(1), field.y_mm[:rows].reshape(-1, step).mean(1))
            height, brightness = (block_means(v[None], step)[0] for v in (height, brightness))
            measured = block_means(measured, step)
            usable = block_means(usable[None].astype(np.float32), step)[0] > 1.0 - 1e-6
        if np.count_nonzero(usable) < _FEWEST_PIXELS:
            raise InputError("Too few pixels of this map were measured to compare images.")
        held = HeldField.of(np.ascontiguousarray(height), setup, pixel * step, _KINDS[run.method], field, should_stop)
        return cls(result.detector_names, measured, brightness, usable, noise_level(measured), held, step)

    def serves(self, setup: Setup) -> bool:
        """Whether a setup can be compared without holding the surface anew."""
        return set(self.names) <= set(setup.detector_names) and self.held.serves(setup)

    def fit(self, setup: Setup) -> Fit:
        """Predict the images of a setup and fit gain and offset of each to the measured one.

        Raises
        ------
        InputError
            If a detector sees nothing, or the setup cannot be served.
        """
        detectors = {d.name: d for d in setup.detectors}
        chosen = setup.model_copy(update={"detectors": tuple(detectors[name] for name in self.names)})
        predicted = self.held.signals(chosen)
        predicted *= self.brightness
        count = len(self.names)
        gain, offset, grey = np.empty(count), np.empty(count), np.empty(count)
        residual = np.empty_like(predicted)
        number = int(np.count_nonzero(self.usable))
        weight = None if number == self.usable.size else self.usable.astype(np.float32)
        for index in range(count):
            gain[index], offset[index] = _line(predicted[index], self.measured[index], weight, number)
            predicted[index] *= np.float32(gain[index])
            predicted[index] += np.float32(offset[index])
            np.subtract(self.measured[index], predicted[index], out=residual[index])
            left = residual[index] if weight is None else residual[index] * weight
            grey[index] = np.sqrt(float(np.vdot(left, left)) / max(number - 2, 1))
        return Fit(
            names=self.names,
            rms=grey / self.noise,
            grey_rms=grey,
            gain=gain,
            offset=offset,
            measured=self.measured,
            predicted=predicted,
            residual=residual,
            noise=self.noise,
        )


def thumbnails(images: NDArray[np.float32], side_px: int = THUMBNAIL_PX) -> NDArray[np.float32]:
    """Return images (detector, y, x) binned to at most ``side_px`` pixels a side."""
    step = -(-max(images.shape[1:]) // side_px)
    return images if step == 1 else block_means(images, step)


def _line(
    predicted: NDArray[np.float32], measured: NDArray[np.float32], weight: NDArray[np.float32] | None, number: int
) -> tuple[float, float]:
    """Return gain and offset of the straight line from predicted to measured; a gain is never negative."""
    if weight is not None:
        predicted, measured = predicted * weight, measured * weight
    mean, level = (float(v.sum(dtype=np.float64)) / number for v in (predicted, measured))
    inner = predicted - np.float32(mean) if weight is None else (predicted - np.float32(mean)) * weight
    spread = float(np.vdot(inner, inner))
    gain = max(float(np.vdot(inner, measured)) / spread, 0.0) if spread > 0.0 else 0.0
    return gain, level - gain * mean


def _without_gaps(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a map (y, x) whose gaps have the nearest known value: they are no cliffs then."""
    if known.all() or not known.any():
        return values
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])


def _calibrated_by(setup: Setup) -> float:
    """Return the mean factor that a slope calibration has put on the heights: the model's own are without."""
    if setup.slope_calibration is None:
        return 1.0
    return float(np.sqrt(np.linalg.det(np.array(setup.slope_calibration.matrix))))
