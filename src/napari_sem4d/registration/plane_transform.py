"""Affine transforms between the planes of two maps. How they are found is said elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11


@dataclass(frozen=True, slots=True, eq=False)
class PlaneTransform:
    """Affine map from places on a height map to places on a reference.

    ``reference = matrix @ place + offset_nm``; places are (x right, y down) in nm from the centre of the first pixel of
    either map.

    Attributes
    ----------
    matrix : (2, 2) float64
    offset_nm : (2,) float64
    """

    matrix: Floats
    offset_nm: Floats

    @classmethod
    def from_points(cls, places_nm: Floats, reference_nm: Floats) -> PlaneTransform:
        """Return the transform through pairs of points (n, 2) marked on both maps, by least squares.

        Raises
        ------
        InputError
            If there are fewer than three pairs, or they lie on one line.
        """
        design = np.column_stack([places_nm, np.ones(len(places_nm))])
        if len(places_nm) < 3 or places_nm.shape != reference_nm.shape or np.linalg.matrix_rank(design) < 3:
            raise InputError("mark at least three pairs of points that do not lie on one line")
        found = np.linalg.lstsq(design, reference_nm, rcond=None)[0]
        return cls(np.asarray(found[:2].T, np.float64), np.asarray(found[2], np.float64))

    def __call__(self, places_nm: Floats) -> Floats:
        """Return the places (n, 2) on the reference of places (n, 2) on the map, nm."""
        return np.asarray(places_nm @ self.matrix.T + self.offset_nm)

    def inverse(self) -> PlaneTransform:
        """Return the transform from the reference to the map."""
        matrix = np.linalg.inv(self.matrix)
        return PlaneTransform(np.asarray(matrix, np.float64), np.asarray(-matrix @ self.offset_nm, np.float64))

    @property
    def rotation_deg(self) -> float:
        """Angle by which the reference is turned to lie on the map, counter-clockwise on the screen."""
        return shape_of(self.matrix)[0]

    @property
    def scale(self) -> tuple[float, float]:
        """Factors by which lengths along x and y of the reference become lengths on the map; y negative: mirrored."""
        return shape_of(self.matrix)[1:3]

    @property
    def shear(self) -> float:
        """Tangent by which the y axis of the reference leans to the right before it is turned."""
        return shape_of(self.matrix)[3]


def shape_of(matrix: Floats) -> tuple[float, float, float, float]:
    """Turn (degrees), scale along x and y, and shear of the reference, from the matrix of the transform."""
    to_map = np.linalg.inv(matrix)
    (a, b), (c, d) = to_map
    scale_x = math.hypot(a, c)
    scale_y = (a * d - b * c) / scale_x
    # y runs down, so that a turn counter-clockwise on the screen takes (1, 0) to (cos, -sin)
    shear = (a * b + c * d) / scale_x / scale_y
    return math.degrees(math.atan2(-c, a)), scale_x, float(scale_y), float(shear)


def sigmas_of_shape(matrix: Floats, covariance: Floats) -> tuple[float, float, float, float]:
    """Standard deviations of turn (degrees), scales and shear."""
    rates = np.empty((4, 4))
    for i in range(4):
        change = np.zeros(4)
        change[i] = 1e-6
        up, down = (np.array(shape_of(matrix + sign * change.reshape(2, 2))) for sign in (1, -1))
        up[0] = down[0] + (up[0] - down[0] + 180) % 360 - 180  # over the seam at 180 degrees
        rates[:, i] = (up - down) / 2e-6
    turn, x, y, shear = np.sqrt(np.diag(rates @ covariance @ rates.T))
    return float(turn), float(x), float(y), float(shear)
