"""What every channel of a setup reads for a plane at some places of the field, straight from the emission law.

For a few slopes and places; a table over all of them is :mod:`napari_sem4d.physics.reflectance`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.detectors import beam_pivot_mm, diode_terms, solid_angle_elements
from napari_sem4d.physics.plane_emission import TabulatedEmission


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
    out = np.zeros((len(setup.detectors), len(slope), len(places_mm)))
    for index, detector in enumerate(setup.detectors):
        for weight, diode in diode_terms(detector):
            for number, place in enumerate(places_mm):
                # the scanned beam fans out from its pivot above the specimen and arrives tilted
                to_beam = np.array([-place[0], -place[1], beam_pivot_mm(setup)])
                to_beam /= np.linalg.norm(to_beam)
                elements = solid_angle_elements(diode, setup.axis_offset_mm, place)
                out[index, :, number] += weight * emission.facet_signals(
                    normals, to_beam, *elements, diode.energy_threshold_kev
                )
    return out
