"""The images that a microscope would record of a known surface: an engine and a recording. No fitting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.detectors import beam_pivot_mm, diode_terms
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import DetectorTally
from napari_sem4d.physics.recording import Recording, record
from napari_sem4d.physics.reflectance import Reflectance, reflectance

Engine = Literal["analytic", "montecarlo"]
ENGINES: tuple[str, ...] = get_args(Engine)


def simulate(
    height_nm: ArrayLike,
    setup: Setup,
    pixel_size_nm: float,
    engine: Engine = "analytic",
    electrons_per_pixel: float | None = None,
    seed: int = 0,
    *,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Images of a surface through every detector of a setup.

    Parameters
    ----------
    height_nm : (y, x) array
        Height in nm, up positive, rows run down; beyond its edge the surface goes on with the edge values.
    setup : Setup
        An open gain counts as 1, an open offset as 0.
    pixel_size_nm : float
    engine : "analytic" or "montecarlo"
        ``analytic``: emission law of the local slope, with parallax and the blur of the beam; no cast shadows, no
        electron range. ``montecarlo``: electron trajectories on the surface itself, re-entry included.
    electrons_per_pixel : float, optional
        Dose. ``montecarlo`` follows that many electrons (a whole number is needed); ``analytic`` adds their counting
        noise, or gives the noiseless expectation with None.
    seed : int
    progress, should_stop : callable, optional
        Called with the finished share; asked often, ``Cancelled`` is raised when it returns True.

    Returns
    -------
    (detector, y, x) float32
        ``gain * signal + offset``; the signal is a fraction of the beam.

    Raises
    ------
    InputError
        For a height map that is none, an unknown material or engine, or a geometry that sees nothing.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: this version has {', '.join(ENGINES)}")
    recording = Recording(electrons_per_pixel)
    if not setup.detectors:
        raise InputError("the setup has no detectors: add at least one")
    specimen = Specimen(np.asarray(height_nm), pixel_size_nm, setup.material)
    field = Field.of((specimen.height_nm.shape[0], specimen.height_nm.shape[1]), pixel_size_nm)
    table = reflectance(setup, round(field.half_width_mm, 6))
    if engine == "montecarlo":
        if electrons_per_pixel is None or electrons_per_pixel != int(electrons_per_pixel):
            raise InputError(
                f"the Monte Carlo follows a whole number of electrons_per_pixel such as 500, got {electrons_per_pixel}"
            )
        signals = montecarlo_signals(
            specimen, setup, int(electrons_per_pixel), seed, progress=progress, should_stop=should_stop
        )
        return record(signals, setup, recording, followed=electrons_per_pixel, seed=seed, table=table)
    signals = _analytic_signals(specimen, setup, table, field)
    return record(signals, setup, recording, seed=seed, table=table)


def _analytic_signals(specimen: Specimen, setup: Setup, table: Reflectance, field: Field) -> NDArray[np.float32]:
    slope_x, slope_y = height_slopes(specimen.height_nm, specimen.pixel_size_nm)
    signals = table.signals(slope_x, slope_y, field.x_mm, field.y_mm)
    if setup.beam_fwhm_nm is None:
        return signals
    sigma = setup.beam_fwhm_nm / 2.3548 / specimen.pixel_size_nm
    return np.asarray(ndimage.gaussian_filter(signals, (0.0, sigma, sigma), mode="nearest"), np.float32)


def montecarlo_signals(
    specimen: Specimen,
    setup: Setup,
    electrons_per_pixel: int,
    seed: int = 0,
    *,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Signals of every channel, (detector, y, x) fractions of the beam, with the noise of the electrons followed.

    The material is that of the specimen, which may have a film and a substrate; the setup gives beam and detectors.
    """
    energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
    threshold = min(d.energy_threshold_kev for detector in setup.detectors for _, d in diode_terms(detector))
    pivot_mm = beam_pivot_mm(setup)
    field = Field.of((specimen.height_nm.shape[0], specimen.height_nm.shape[1]), specimen.pixel_size_nm)
    tally = DetectorTally(setup, field, energy)
    run_montecarlo(
        specimen, energy, threshold, setup.beam_fwhm_nm, electrons_per_pixel, [tally],
        beam_tilt=(field.x_mm / pivot_mm, field.y_mm / pivot_mm), seed=seed, progress=progress, should_stop=should_stop,
    )  # fmt: skip
    return (tally.signal / electrons_per_pixel).astype(np.float32)


def height_slopes(
    height_nm: NDArray[np.float32], pixel_size_nm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes dz/dx (right) and dz/dy (up) of a height map by central differences; it goes on flat beyond its edge."""
    padded = np.pad(height_nm, 1, mode="edge")
    scale = np.float32(0.5 / pixel_size_nm)
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) * scale, (padded[:-2, 1:-1] - padded[2:, 1:-1]) * scale
