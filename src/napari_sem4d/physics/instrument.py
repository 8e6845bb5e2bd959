"""The images that a microscope would record of a known surface: an engine and a recording. No fitting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Setup
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.emission_field import Beam, setup_under
from napari_sem4d.physics.engines import MonteCarlo, engine_at_dose
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.recording import Recording, record
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.visible_emission import height_slopes

__all__ = ["height_slopes", "montecarlo_signals", "simulate"]


def simulate(
    height_nm: ArrayLike,
    setup: Setup,
    pixel_size_nm: float,
    engine: str = "analytic",
    electrons_per_pixel: float | None = None,
    seed: int = 0,
    *,
    checkpoint: Path | None = None,
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
    engine : "analytic", "vift" or "montecarlo"
        A key of :data:`napari_sem4d.physics.engines.ENGINES`. ``analytic``: emission of the local slope, cast shadows,
        blur by the beam and the electron range, parallax. ``vift``: that and the learned correction for finite range,
        edges and re-entry. ``montecarlo``: electron trajectories on the surface itself.
    electrons_per_pixel : float, optional
        Dose. ``montecarlo`` follows that many electrons (a whole number is needed); the others add their counting
        noise, or gives the noiseless expectation with None.
    seed : int
    checkpoint : Path, optional
        File from which an interrupted Monte Carlo goes on when it is called again with the same arguments.
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
    recording = Recording(electrons_per_pixel)
    if not setup.detectors:
        raise InputError("the setup has no detectors: add at least one")
    chosen = engine_at_dose(engine, electrons_per_pixel, seed, checkpoint)
    specimen = Specimen(np.asarray(height_nm), pixel_size_nm, setup.material)
    field = Field.of((specimen.height_nm.shape[0], specimen.height_nm.shape[1]), pixel_size_nm)
    # before a long run: it refuses a geometry that sees nothing
    table = reflectance(setup_under(setup, specimen, Beam.of(setup)), round(field.half_width_mm, 6))
    signals = chosen.signals(specimen, setup, progress=progress, should_stop=should_stop)
    return record(signals, setup, recording, followed=chosen.electrons_per_pixel, seed=seed, table=table)


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
    return MonteCarlo(electrons_per_pixel, seed).signals(specimen, setup, progress=progress, should_stop=should_stop)
