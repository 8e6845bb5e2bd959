"""What the network is told of the physics, and what a setup makes of its coefficients. No learning.

A correction is given in units of the flat signal above an energy threshold, at two thresholds; a detector's own one
lies between and takes the weighted mean. The directions are those of :mod:`napari_sem4d.physics.zernike`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import diode_terms, solid_angle_elements
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.physics.plane_emission import plane_emission
from napari_sem4d.physics.zernike import full_zernike

THRESHOLDS = (0.03, 0.45)  # of the beam energy


def condition(material: str | None, energy_kev: float | None, pixel_over_r90: float, beam_px: float) -> list[float]:
    """Numbers that go into the network beside the surface, each of order one."""
    matter = find_material(material)
    energy = NOMINAL_ENERGY_KEV if energy_kev is None else energy_kev
    return [
        math.log(pixel_over_r90),
        2.0 * beam_px,
        math.log(matter.mean_atomic_number / 29.0),
        4.0 * (matter.backscatter_coefficient(energy) - 0.3),
        math.log(energy / 10.0),
    ]


def contraction(setup: Setup, field_mm: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Matrix (detector, threshold * term) from coefficients to signals seen from a place in the field."""
    out = np.zeros((len(setup.detectors), len(THRESHOLDS), 21))
    energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
    for index, detector in enumerate(setup.detectors):
        for weight, diode in diode_terms(detector):
            u, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm, field_mm)
            seen = full_zernike(u[:, 0], u[:, 1]) @ np.where(solid_angles > 0.0, u[:, 2] * solid_angles, 0.0)
            threshold = diode.energy_threshold_kev
            flat = plane_emission(setup.material, setup.beam_energy_kev, threshold).flat_signal
            place = (threshold / energy - THRESHOLDS[0]) / (THRESHOLDS[1] - THRESHOLDS[0])
            place = min(max(place, 0.0), 1.0)
            out[index] += weight * flat * np.outer([1.0 - place, place], seen)
    return out.reshape(len(setup.detectors), -1)
