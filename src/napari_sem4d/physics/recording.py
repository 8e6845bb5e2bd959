"""From mean signals to recorded grey images: dose, noise, black level, grey levels, drift. No electrons, no surface.

What happens before the detector is not here: a tilted specimen is a plane added to the height map, parallax comes with
the engines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.reflectance import Reflectance, reflectance

ELECTRONS_PER_PA_US = 6.2415  # in a pixel, for each pA of beam current and us of dwell time


@dataclass(frozen=True, slots=True)
class Recording:
    """How a scan is recorded. The default adds nothing to the mean images.

    Attributes
    ----------
    electrons_per_pixel : float or None
        Dose: beam electrons sent into a pixel; None for images without counting noise.
    quantum_efficiency : float
        Detective quantum efficiency, 0 to 1: the noise is that of ``electrons_per_pixel * quantum_efficiency``
        counted one by one. 0.15 was measured for a BSE detector (Goldstein et al., 4th ed.; physics.md 5.8).
    readout_noise : float
        Standard deviation of the amplifier's Gaussian noise, grey levels.
    bits : 8, 16 or None
        Grey levels of the image file: rounded, and held at 0 and at the largest grey level; None keeps fractions.
    drift_px : (float, float)
        Pixels by which structures move in the image, to the right and upwards, while one frame is scanned.
    in_sequence : bool
        True where each segment has a frame of its own, one after the other; else one frame holds all segments.
    """

    electrons_per_pixel: float | None = None
    quantum_efficiency: float = 1.0
    readout_noise: float = 0.0
    bits: int | None = None
    drift_px: tuple[float, float] = (0.0, 0.0)
    in_sequence: bool = False

    def __post_init__(self) -> None:
        if self.electrons_per_pixel is not None and not 0.0 < self.electrons_per_pixel < math.inf:
            raise InputError(f"electrons_per_pixel must be positive or None, got {self.electrons_per_pixel}")
        if not 0.0 < self.quantum_efficiency <= 1.0:
            raise InputError(f"quantum_efficiency must be above 0 and at most 1, got {self.quantum_efficiency}")
        if not 0.0 <= self.readout_noise < math.inf:
            raise InputError(f"readout_noise must be 0 or more grey levels, got {self.readout_noise}")
        if self.bits not in (None, 8, 16):
            raise InputError(f"bits must be 8, 16 or None, got {self.bits}")
        if not np.isfinite(self.drift_px).all():
            raise InputError(f"drift_px must be two numbers of pixels, got {self.drift_px}")

    @property
    def counted_electrons(self) -> float:
        """Beam electrons per pixel that set the noise: dose times quantum efficiency; infinite without noise."""
        return math.inf if self.electrons_per_pixel is None else self.electrons_per_pixel * self.quantum_efficiency

    def at_dose_of(self, setup: Setup) -> Recording:
        """Return the same recording at the beam current and dwell time of a setup."""
        return replace(self, electrons_per_pixel=dose(setup))


def dose(setup: Setup) -> float:
    """Beam electrons sent into a pixel; 0.5 nA for 20 us are 62,400.

    Raises
    ------
    InputError
        If the setup does not say beam current and dwell time.
    """
    if setup.beam_current_pa is None or setup.dwell_time_us is None:
        raise InputError("the dose needs beam_current_pa and dwell_time_us in the setup, or give electrons_per_pixel")
    return ELECTRONS_PER_PA_US * setup.beam_current_pa * setup.dwell_time_us


def record(
    signals: ArrayLike,
    setup: Setup,
    recording: Recording,
    *,
    brightness: ArrayLike | None = None,
    followed: float | None = None,
    seed: int = 0,
    table: Reflectance | None = None,
) -> NDArray[Any]:
    """Images that a microscope records of given mean signals.

    Parameters
    ----------
    signals : (detector, y, x) array
        Fractions of the beam, from an engine.
    setup : Setup
        Gains and black levels; an open gain counts as 1, an open black level as 0.
    recording : Recording
    brightness : (y, x) array, optional
        Factor on all channels: composition, channelling.
    followed : float, optional
        Electrons per pixel that a Monte Carlo followed for ``signals``: their noise is there already and only what is
        missing to that of the dose is added. None: ``signals`` have no noise.
    seed : int
    table : Reflectance, optional
        That of the setup, when the caller has it: it says how much signal one electron makes.

    Returns
    -------
    (detector, y, x) float32, uint8 or uint16
        Drift moves structures, not noise: noise of neighbouring pixels stays independent. The variance before gain is
        ``signal * signal of one electron / counted electrons`` (variance model of physics.md 5.8).

    Raises
    ------
    InputError
        If shapes do not match, or if ``signals`` have more noise than the dose would give.
    """
    means = np.asarray(signals, np.float32)
    if means.ndim != 3 or len(means) != len(setup.detectors):
        raise InputError(
            f"signals must have one image for each of the {len(setup.detectors)} detectors, got shape {means.shape}"
        )
    if brightness is not None:
        factor = np.asarray(brightness, np.float32)
        if factor.shape != means.shape[1:] or not (np.isfinite(factor) & (factor >= 0)).all():
            raise InputError(f"brightness must be {means.shape[1:]} numbers of 0 or more, got shape {factor.shape}")
        means = means * factor
    means = _drifted(means, recording)
    rng = np.random.default_rng(seed)
    missing = 1.0 / recording.counted_electrons - (0.0 if followed is None else 1.0 / followed)
    if followed is not None and recording.electrons_per_pixel is not None and missing < -1e-9 / followed:
        raise InputError(
            f"the signals come from {followed:g} electrons per pixel and are noisier than the dose of "
            f"{recording.counted_electrons:g} counted electrons: follow more, or state a smaller dose"
        )
    if missing * recording.counted_electrons > 1e-9:
        means = _with_counting_noise(means, table or reflectance(setup, 0.0), 1.0 / missing, rng)
    gain = np.array([1.0 if d.gain is None else d.gain for d in setup.detectors], np.float32)
    black = np.array([0.0 if d.offset is None else d.offset for d in setup.detectors], np.float32)
    grey = gain[:, None, None] * means + black[:, None, None]
    if recording.readout_noise:
        grey += recording.readout_noise * rng.standard_normal(grey.shape, np.float32)
    if recording.bits is None:
        return np.asarray(grey, np.float32)
    kind = np.uint8 if recording.bits == 8 else np.uint16
    return np.asarray(np.clip(np.rint(grey), 0, np.iinfo(kind).max), kind)


def _drifted(means: NDArray[np.float32], recording: Recording) -> NDArray[np.float32]:
    """Move every line to where the drift has brought it by the time it is scanned; the first line is in place."""
    right, up = recording.drift_px
    if not right and not up:
        return means
    count, rows, columns = means.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    out = np.empty_like(means)
    for index in range(count):
        frames = y / rows + (index if recording.in_sequence else 0)
        ndimage.map_coordinates(
            means[index], (y + up * frames, x - right * frames), out[index], order=3, mode="nearest"
        )
    return out


def _with_counting_noise(
    means: NDArray[np.float32], table: Reflectance, electrons: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Poisson numbers of electrons, each of the mean energy; a difference of diodes gets the noise of its parts."""
    noisy = np.empty_like(means)
    for index, mean in enumerate(means):
        per_electron = table.per_electron[index]
        if table.counting[index]:
            counts = rng.poisson(np.maximum(mean, 0.0) * (electrons / per_electron))
            noisy[index] = counts * (per_electron / electrons)
        else:
            sigma = np.sqrt(table.unsigned_flat[index] * per_electron / electrons)
            noisy[index] = mean + sigma * rng.standard_normal(mean.shape)
    return noisy
