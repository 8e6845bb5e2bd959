"""Moves the end of a movie on in time by a growth law, many times with what is not known drawn anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sem4d.dynamics.crystals import Crystals
from napari_sem4d.dynamics.front import GRID, Front
from napari_sem4d.dynamics.nucleation import Nucleation
from napari_sem4d.dynamics.orientation_velocity import OrientationVelocity
from napari_sem4d.dynamics.orientations import from_disc
from napari_sem4d.model.errors import Cancelled
from napari_sem4d.model.height import HeightSeries

DRAWS = 8
_LARGEST = 0.97  # radius in the disc up to which velocities are asked for; beyond, that of the rim


@dataclass(frozen=True, slots=True, eq=False)
class LastState:
    """Where a movie ends.

    Attributes
    ----------
    crystals : Crystals
    sigma_nm : (y, x) float32
        Of its heights.
    valid : (y, x) bool
    misfit_share : float
        By which share of a change the law was wrong when it predicted the last frames.
    movie : HeightSeries
        Its last frame, for scale, unit and provenance.
    """

    crystals: Crystals
    sigma_nm: NDArray[np.float32]
    valid: NDArray[np.bool_]
    misfit_share: float
    movie: HeightSeries


def front_of(velocity: OrientationVelocity, curvature_nm2_s: float) -> Front:
    """Return what moves a surface with these velocities."""
    axis = np.linspace(-1.0, 1.0, GRID)
    v, u = np.meshgrid(axis, axis, indexing="ij")
    inside = np.minimum(1.0, _LARGEST / np.maximum(np.hypot(u, v), 1e-9))
    table = velocity.mean(from_disc(u * inside, v * inside).reshape(-1, 3)).reshape(GRID, GRID)
    return Front(torch.as_tensor(table, dtype=torch.float32), max(curvature_nm2_s, 0.0))


def forecast(
    last: LastState,
    velocity: OrientationVelocity,
    nucleation: Nucleation,
    curvature_nm2_s: float,
    interval_s: float,
    frames: int,
    *,
    seed: int,
    progress: Callable[[float], object] | None,
    should_stop: Callable[[], bool] | None,
) -> HeightSeries:
    """Predict; see :meth:`napari_sem4d.dynamics.growth_law.GrowthLaw.predict`."""
    random = np.random.default_rng(seed)
    pixel = last.movie.pixel_size_nm
    fronts = [front_of(velocity.drawn(random), curvature_nm2_s) for _ in range(DRAWS)]
    states = [last.crystals] * DRAWS
    best, most_likely = last.crystals, front_of(velocity, curvature_nm2_s)
    heights, sigmas = [], []
    for frame in range(frames):
        best = best.after(most_likely, pixel, interval_s)
        drawn = []
        for index in range(DRAWS):
            if should_stop is not None and should_stop():
                raise Cancelled
            moved = states[index].after(fronts[index], pixel, interval_s)
            states[index] = _with_births(moved, nucleation, interval_s, pixel, random)
            drawn.append(states[index].height_nm)
            if progress is not None:
                progress((frame + (index + 1) / DRAWS) / frames)
        spread = np.var(drawn, axis=0, ddof=1, dtype=np.float64)
        heights.append(np.where(last.valid, best.height_nm, np.nan))
        misfit = last.misfit_share * (best.height_nm - last.crystals.height_nm)
        sigmas.append(np.where(last.valid, np.sqrt(spread + misfit**2 + last.sigma_nm**2), np.nan))
    return replace(
        last.movie,
        height_nm=np.stack(heights).astype(np.float32),
        sigma_nm=np.stack(sigmas).astype(np.float32),
        time_s=last.movie.time_s[-1] + interval_s * np.arange(1, frames + 1),
        drift_px=None,  # of the frames that were recorded
        drift_sigma_px=None,
        relative_signal=None,
    )


def _with_births(
    state: Crystals, nucleation: Nucleation, interval_s: float, pixel_size_nm: float, random: np.random.Generator
) -> Crystals:
    """Put cones where islands may be born in an interval."""
    free = np.flatnonzero(state.front_nm < state.floor_nm)
    area_um2 = len(free) * (pixel_size_nm * 1e-3) ** 2
    count = random.poisson(nucleation.rate_per_um2_s * area_um2 * interval_s) if nucleation.births else 0
    if count == 0:
        return state
    front = state.front_nm.copy()
    rows, columns = np.indices(front.shape)
    for place in random.choice(free, count):
        row, column = np.unravel_index(place, front.shape)
        distance = np.hypot(rows - row, columns - column) * pixel_size_nm
        cone = nucleation.height_nm * (1.0 - distance / max(nucleation.radius_nm, pixel_size_nm))
        front = np.maximum(front, state.floor_nm[row, column] + cone)
    return Crystals(front.astype(np.float32), state.floor_nm)
