"""The setup's slope calibration, in both directions: slopes of the model and slopes of the surface. Nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.setup import Setup
from napari_sem4d.reconstruction.inversion import SlopeMap

Slopes = tuple[NDArray[np.float32], NDArray[np.float32]]


def calibrated(slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], setup: Setup) -> Slopes:
    """Slopes of the surface from those of the model."""
    if setup.slope_calibration is None:
        return slope_x, slope_y
    return _turn(slope_x, slope_y, np.array(setup.slope_calibration.matrix))


def uncalibrated(slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], setup: Setup) -> Slopes:
    """Slopes of the model from those of the surface."""
    if setup.slope_calibration is None:
        return slope_x, slope_y
    return _turn(slope_x, slope_y, np.linalg.inv(np.array(setup.slope_calibration.matrix)))


def calibrated_variances(slopes: SlopeMap, setup: Setup) -> Slopes:
    """Variances of the calibrated slopes; the small covariance of the two is left out."""
    if setup.slope_calibration is None:
        return slopes.variance_x, slopes.variance_y
    return _turn(slopes.variance_x, slopes.variance_y, np.array(setup.slope_calibration.matrix) ** 2)


def _turn(slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], matrix: NDArray[np.float64]) -> Slopes:
    m = matrix.astype(np.float32)
    return m[0, 0] * slope_x + m[0, 1] * slope_y, m[1, 0] * slope_x + m[1, 1] * slope_y
