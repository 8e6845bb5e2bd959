"""Puts a slope scale that was found into a setup, with what its uncertainty is made of. Nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.setup import Contribution, Setup, SlopeCalibration

_SMALLEST_SIGMA = 0.005  # no reference in an SEM is better known than this


def stored(
    setup: Setup,
    matrix: NDArray[np.float64],
    contributions: Sequence[Contribution],
    reference: str,
    grey_level: float | None = None,
) -> Setup:
    """Return the setup with a calibration; one that was there already is carried on, the map having been made with it.

    Parameters
    ----------
    matrix : (2, 2)
        True slopes from those measured with ``setup``.
    contributions : sequence of Contribution
        What its uncertainty is made of; one is added when they are smaller than anything can be known in an SEM.
    reference : str
        What was measured.
    grey_level : float, optional
        Of the scan it was measured on, black level taken off.
    """
    if setup.slope_calibration is not None:
        matrix = matrix @ np.array(setup.slope_calibration.matrix)
    (a, b), (c, d) = matrix.tolist()
    total = math.hypot(*(part.relative_sigma for part in contributions))
    if total < _SMALLEST_SIGMA:
        rest = math.sqrt(_SMALLEST_SIGMA**2 - total**2)
        limit = Contribution(name="limit", value="of any reference in an SEM", relative_sigma=rest)
        contributions, total = (*contributions, limit), math.hypot(total, rest)
    calibration = SlopeCalibration(
        matrix=((a, b), (c, d)),
        relative_sigma=total,
        contributions=tuple(contributions),
        reference=reference,
        grey_level=grey_level,
        beam_energy_kev=setup.beam_energy_kev,
        working_distance_mm=setup.working_distance_mm,
    )
    return setup.model_copy(update={"slope_calibration": calibration})
