"""Affine transforms between the planes of two maps. How they are found is said elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

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
    def from_points(cls, places_nm: Floats, reference_nm: Floats, *, similar: bool = False) -> PlaneTransform:
        """Return the transform through pairs of points (n, 2) marked on both maps, see :func:`fit_points`."""
        return fit_points(places_nm, reference_nm, similar=similar).transform

    @classmethod
    def turned(cls, rotation_deg: float, centre_nm: Floats, reference_centre_nm: Floats) -> PlaneTransform:
        """Return the transform of a reference that is turned, counter-clockwise on the screen, and not stretched.

        Parameters
        ----------
        rotation_deg : float
        centre_nm : (2,) float64
            Where on the map the centre of the reference lies.
        reference_centre_nm : (2,) float64
            The centre of the reference, on the reference.
        """
        turn = math.radians(rotation_deg)
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        return cls(matrix, reference_centre_nm - matrix @ centre_nm)

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


class PointFit(NamedTuple):
    """A transform through pairs of points.

    Attributes
    ----------
    transform : PlaneTransform
    sigma_nm : float
        One standard deviation of one coordinate of a marked point on the reference, from what the transform leaves
        over; NaN when there are no more points than it takes.
    covariance : (6, 6) float64
        Of the rows of ``[matrix, offset_nm]``, flattened; NaN with it.
    """

    transform: PlaneTransform
    sigma_nm: float
    covariance: Floats


def fit_points(places_nm: Floats, reference_nm: Floats, *, similar: bool = False) -> PointFit:
    """Least squares of pairs of points marked on a map and on a reference; exact when there are just enough.

    Parameters
    ----------
    places_nm, reference_nm : (n, 2) float64
    similar : bool
        One scale and no shear: two pairs are enough then. The reference is not mirrored.

    Raises
    ------
    InputError
        If there are fewer than three pairs (two when ``similar``), or they lie on one line (on one place).
    """
    count = len(places_nm)
    fewest = 2 if similar else 3
    straight = np.column_stack([places_nm, np.ones(count)])
    enough = count >= fewest and places_nm.shape == reference_nm.shape == (count, 2)
    if not enough or np.linalg.matrix_rank(straight) < fewest:
        where = "two pairs of points at different places" if similar else "three pairs of points that are not on a line"
        raise InputError(f"mark at least {where}")
    design = np.zeros((2 * count, 6))
    design[:count, :3] = design[count:, 3:] = straight
    # matrix [[a, b], [-b, a]] and two shifts
    basis = np.eye(6)
    if similar:
        basis = np.zeros((6, 4))
        basis[0, 0] = basis[4, 0] = basis[1, 1] = basis[2, 2] = basis[5, 3] = 1.0
        basis[3, 1] = -1.0
    wanted = reference_nm.T.ravel()
    found = np.linalg.lstsq(design @ basis, wanted, rcond=None)[0]
    rows = (basis @ found).reshape(2, 3)
    free = len(wanted) - basis.shape[1]
    rest = wanted - design @ basis @ found
    sigma = math.sqrt(float(rest @ rest) / free) if free > 0 else math.nan
    reduced = design @ basis
    covariance = sigma**2 * basis @ np.linalg.inv(reduced.T @ reduced) @ basis.T
    return PointFit(PlaneTransform(rows[:, :2].copy(), rows[:, 2].copy()), sigma, np.asarray(covariance))


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
