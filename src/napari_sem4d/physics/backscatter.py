"""Figures of flat surfaces from the Monte Carlo, to compare with published ones. No images."""

from __future__ import annotations

import math

import numpy as np

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.specimen import Specimen
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import YieldTally

_SIDE = 16  # pixels a side over which the electrons are spread; the plane is the same under all of them


def backscatter_coefficient(
    material: str, energy_kev: float, tilt_deg: float = 0.0, electrons: int = 40_000, seed: int = 0
) -> float:
    """Share of beam electrons that leave a plane, from the Monte Carlo, followed down to 0.2 keV.

    Parameters
    ----------
    material : str
        Element symbol or compound formula.
    energy_kev : float
        Beam energy, 0.3 to 30 keV (the range of the cross-sections).
    tilt_deg : float
        Angle between the beam and the normal of the plane, 0 to 85 degrees.
    electrons : int
        The standard error is ``sqrt(eta (1 - eta) / electrons)``, somewhat more above 30,000 electrons.
    seed : int

    Raises
    ------
    InputError
        For an unknown material or values out of range.
    """
    if not 0.3 <= energy_kev <= 40.0:
        raise InputError(f"energy_kev {energy_kev} is outside 0.3 to 40 keV, where the cross-sections hold")
    if not 0.0 <= tilt_deg <= 85.0:
        raise InputError(f"tilt_deg {tilt_deg} is outside 0 to 85 degrees")
    if electrons < 1:
        raise InputError(f"electrons must be at least 1, got {electrons}")
    # The beam is tilted instead of the plane: a horizontal plane has no end.
    specimen = Specimen(np.zeros((_SIDE, _SIDE), np.float32), 1000.0, material)
    tally = YieldTally((_SIDE, _SIDE), energy_kev)
    tilt = (np.full(_SIDE, math.tan(math.radians(tilt_deg))), np.zeros(_SIDE))
    per_pixel = math.ceil(electrons / _SIDE**2)
    run_montecarlo(specimen, energy_kev, 0.0, None, per_pixel, [tally], beam_tilt=tilt, seed=seed)
    return float(tally.count.sum() / (per_pixel * _SIDE**2))
