"""What every channel of a setup reads for planes at places of the field, straight from an emission law.

For a few of them; a table over all is :mod:`napari_sem4d.physics.reflectance`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import beam_pivot_mm, diode_terms, solid_angle_elements
from napari_sem4d.physics.emission import Emission
from napari_sem4d.physics.plane_emission import TabulatedEmission

_SMALLEST_COLLECTION = 1e-5  # steradian times response below which a diode collects no electron worth counting


def plane_signals(
    setup: Setup, slopes: ArrayLike, places_mm: Sequence[tuple[float, float]] = ((0.0, 0.0),)
) -> NDArray[np.float64]:
    """Signals (detector, slope, place) of planes, fractions of the beam.

    Parameters
    ----------
    slopes : (n, 2) array
        dz/dx to the right and dz/dy upwards.
    places_mm : sequence of (x, y)
        Places in the field, mm from the axis, x right and y up.
    """
    emission = TabulatedEmission.of(setup.material, setup.beam_energy_kev)
    slope = np.asarray(slopes, np.float64)
    normals = np.column_stack([-slope, np.ones(len(slope))])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.stack([signals_of_normals(setup, emission, normals, place) for place in places_mm], axis=-1)


def signals_of_normals(
    setup: Setup, emission: Emission, normals: NDArray[np.float64], place_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Signals (detector, n) of planes at one place of the field.

    Parameters
    ----------
    normals : (n, 3)
        Unit vectors.
    place_mm : (x, y)

    Raises
    ------
    InputError
        If a channel sees nothing: no solid angle above the surface, or a threshold above the electrons' energy.
    """
    # the scanned beam fans out from its pivot above the specimen and arrives tilted
    to_beam = np.array([-place_mm[0], -place_mm[1], beam_pivot_mm(setup)])
    to_beam /= np.linalg.norm(to_beam)
    out = np.zeros((len(setup.detectors), len(normals)))
    for index, detector in enumerate(setup.detectors):
        for weight, diode in diode_terms(detector):
            directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm, place_mm)
            threshold = diode.energy_threshold_kev
            if solid_angles.sum() * emission.per_electron(threshold) < _SMALLEST_COLLECTION:
                raise InputError(
                    f"detector {detector.name} sees nothing: check its radii and distance, and that "
                    f"energy_threshold_kev {threshold:g} is well below the beam energy"
                )
            out[index] += weight * emission.facet_signals(normals, to_beam, directions, solid_angles, threshold)
    return out
