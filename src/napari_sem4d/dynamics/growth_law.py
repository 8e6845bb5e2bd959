"""A growth law learned from a movie: normal velocity over orientation, curvature, nucleation. Says what comes next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.activity import activity
from napari_sem4d.dynamics.crystals import Crystals
from napari_sem4d.dynamics.forecast import LastState, forecast, front_of
from napari_sem4d.dynamics.nucleation import Nucleation, nucleation
from napari_sem4d.dynamics.orientation_velocity import OrientationVelocity
from napari_sem4d.dynamics.orientations import Disc, bend, from_disc, mean_curvature, slopes, stretch, to_disc
from napari_sem4d.model.errors import Cancelled, InputError
from napari_sem4d.model.height import HeightSeries

_LAGS = (1, 2, 4)  # frames between two heights whose difference is a rate
_FLAT = 0.02  # of orientation in the disc (2.3 degrees): what bends more, beyond the noise, is no facet
_STEADY_NOISE = 0.03  # of orientation in the disc: heights are smoothed until it is as small
_BLURS_PX = (0.0, 1.0, 1.5, 2.0, 3.0)
_EDGE_SHARE = 0.02  # weight of what is no facet
_CELL = 0.05  # of the disc
_LEAST_IN_CELL = 10.0  # pixels
_BEST_KNOWN = 0.005  # of the largest velocity: no cell is known better
_SHARP = 0.1  # curvature per pixel: what is sharper is an edge between facets
_SURE = 3.0  # standard deviations
_BROUGHT_FORWARD = 3  # frames that make the state from which a forecast starts


@dataclass(frozen=True, slots=True, eq=False)
class GrowthLaw:
    """How a surface moves along its normal: ``dh/dt = V(n) sqrt(1 + |grad h|^2) + curvature term + nucleation``.

    Attributes
    ----------
    velocity_over_orientation : OrientationVelocity
    nucleation : Nucleation
        Births of new islands on what does not move.
    curvature_nm2_s, curvature_sigma_nm2_s : float
        Velocity along the normal per mean curvature (sum of both principal curvatures).
    interval_s : float
        Usual time between two frames.
    warnings : tuple of str
    """

    velocity_over_orientation: OrientationVelocity
    nucleation: Nucleation
    curvature_nm2_s: float
    curvature_sigma_nm2_s: float
    interval_s: float
    last: LastState
    warnings: tuple[str, ...] = ()

    def velocity(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return velocities (n,) along unit normals (n, 3), given as (x, y up, z), in nm/s; growth is positive."""
        return self.velocity_over_orientation.mean(normals)

    def velocity_sigma(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the standard deviations (n,) of the velocities in nm/s."""
        return self.velocity_over_orientation.sigma(normals)

    def constrained(self, normals: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return for which unit normals (n, 3) the movie says more than was known without it."""
        return self.velocity_over_orientation.constrained(normals)

    def predict(
        self,
        frames: int = 5,
        *,
        seed: int = 0,
        progress: Callable[[float], object] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> HeightSeries:
        """Predict the frames that follow the movie.

        Parameters
        ----------
        frames : int
            How many, at the usual time between two frames.
        seed : int
            Of the draws of velocities and nuclei that make the spread.
        progress, should_stop : callable, optional
            As in :func:`napari_sem4d.reconstruct`.

        Returns
        -------
        HeightSeries
            Mean and standard deviation over the draws; time goes on from the movie.

        Raises
        ------
        InputError
            If ``frames`` is not positive.
        Cancelled
            When ``should_stop`` returned True.
        """
        if frames < 1:
            raise InputError(f"frames must be at least 1, got {frames}")
        return forecast(
            self.last, self.velocity_over_orientation, self.nucleation, self.curvature_nm2_s, self.interval_s, frames,
            seed=seed, progress=progress, should_stop=should_stop,
        )  # fmt: skip


def fit_growth_law(
    movie: HeightSeries,
    *,
    since_s: float | None = None,
    until_s: float | None = None,
    fold: int = 1,
    should_stop: Callable[[], bool] | None = None,
) -> GrowthLaw:
    """Learn how a surface moves from a movie of it.

    Velocities are read where two frames some time apart show the same facet; V(n) is a Gaussian process through them.
    What does not move at the end is taken as substrate: it stays as it is until a crystal grows over it.

    Parameters
    ----------
    movie : HeightSeries
        With a common datum. Its frames may be unevenly spaced.
    since_s, until_s : float, optional
        The part of the movie to learn from; default all. A law holds for one state of gas and temperature.
    fold : int
        Symmetry about the beam: 4 for a cube seen along an edge of its cell, 1 for none.
    should_stop : callable, optional
        As in :func:`napari_sem4d.reconstruct`.

    Raises
    ------
    InputError
        If there are fewer than three frames, or nothing moves.
    Cancelled
        When ``should_stop`` returned True.
    """
    part, gaps = _part(movie, since_s, until_s)
    if not 1 <= fold <= 12:
        raise InputError(f"fold is the symmetry about the beam, a whole number from 1 to 12, got {fold}")
    heights, time_s, pixel = np.asarray(part.height_nm), part.time_s, part.pixel_size_nm
    moved = activity(heights, part.sigma_nm, pixel)
    if not moved.moves.any():
        raise InputError(
            f"Nothing in the movie moves by more than {moved.threshold_nm:.3g} {part.unit}, three standard deviations "
            "of its noise: a law of growth needs frames further apart in time."
        )
    discs, noise = _orientations(heights, pixel)
    rates = _rates(heights, time_s, discs, noise, moved.moves, ~gaps, should_stop)
    velocity = OrientationVelocity.fit(*_cells(rates), fold)
    curvature, curvature_sigma = _curvature_term(heights, time_s, pixel, velocity, moved.moves)
    return GrowthLaw(
        velocity,
        nucleation(heights, moved.moves, moved.threshold_nm, time_s, pixel),
        curvature,
        curvature_sigma,
        float(np.median(np.diff(time_s))),
        _last_state(part, moved.moves, ~gaps, velocity, curvature),
        _remarks(part),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Rates:
    """Velocities along the normal read off pairs of frames, one entry per pixel and pair."""

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    velocity: NDArray[np.float64]
    weight: NDArray[np.float64]
    planar: NDArray[np.float64]
    start: NDArray[np.intp]


def _part(movie: HeightSeries, since_s: float | None, until_s: float | None) -> tuple[HeightSeries, NDArray[np.bool_]]:
    """The frames between two times, gaps filled from the nearest pixel, and where the gaps (y, x) were."""
    first = -np.inf if since_s is None else since_s
    last = np.inf if until_s is None else until_s
    chosen = np.flatnonzero((movie.time_s >= first) & (movie.time_s <= last))
    if len(chosen) < 3:
        raise InputError(
            f"A law of growth needs at least 3 frames: {len(chosen)} of {len(movie.time_s)} are in the chosen time"
        )
    frames = np.stack([np.asarray(movie.height_nm[index], np.float32) for index in chosen])
    sigma = np.stack([np.asarray(movie.sigma_nm[index], np.float32) for index in chosen])
    gaps = np.asarray(~np.isfinite(frames).all(axis=0))
    if gaps.all():
        raise InputError("No pixel of the movie has a height in all frames: reconstruct a part that stays in view.")
    if gaps.any():
        nearest = ndimage.distance_transform_edt(gaps, return_distances=False, return_indices=True)
        frames, sigma = frames[:, nearest[0], nearest[1]], sigma[:, nearest[0], nearest[1]]
    return replace(movie, height_nm=frames, sigma_nm=sigma, time_s=movie.time_s[chosen]), gaps


def _orientations(heights: NDArray[np.float32], pixel_size_nm: float) -> tuple[list[Disc], float]:
    """Orientations of every frame, heights smoothed as far as the noise asks for, and what noise is left."""
    for blur in _BLURS_PX:
        smooth = [ndimage.gaussian_filter(frame.astype(np.float64), blur) for frame in heights]
        discs = [to_disc(*slopes(frame, pixel_size_nm)) for frame in smooth]
        changes = np.diff([disc[0] for disc in discs], axis=0)
        noise = float(1.4826 * np.median(np.abs(changes)) / np.sqrt(2.0))
        if noise < _STEADY_NOISE:
            break
    return discs, noise


def _rates(
    heights: NDArray[np.float32],
    time_s: NDArray[np.float64],
    discs: list[Disc],
    noise: float,
    moves: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    should_stop: Callable[[], bool] | None,
) -> _Rates:
    tolerance = max(_FLAT, 2.5 * noise)
    bends = [bend(*disc) for disc in discs]
    found: list[tuple[NDArray[np.float64], ...]] = []
    usual = float(np.median(np.diff(time_s)))
    for lag in _LAGS:
        for k in range(len(heights) - lag):
            if should_stop is not None and should_stop():
                raise Cancelled
            (u0, v0), (u1, v1) = discs[k], discs[k + lag]
            apart = np.maximum(np.maximum(bends[k], bends[k + lag]), np.hypot(u1 - u0, v1 - v0))
            here = valid & moves[k] & moves[k + lag]
            duration = time_s[k + lag] - time_s[k]
            # the variance of a rate falls with the square of the time between the frames
            planar = 1.0 / (1.0 + (apart / tolerance) ** 4)
            weight = np.maximum(planar, _EDGE_SHARE) * (duration / usual) ** 2
            u, v = 0.5 * (u0 + u1), 0.5 * (v0 + v1)
            rate = (heights[k + lag].astype(np.float64) - heights[k]) / duration / stretch(u, v)
            found.append((u[here], v[here], rate[here], weight[here], planar[here], np.full(np.count_nonzero(here), k)))
    u, v, rate, weight, planar, start = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return _Rates(u, v, rate, weight, planar, start.astype(np.intp))


def _cells(rates: _Rates) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Velocities pooled over cells of orientation: normals (n, 3), weighted medians (n,), standard deviations (n,).

    The deviation comes from the scatter between frames, which are independent; neighbouring pixels are not.
    """
    side = round(2.0 / _CELL)
    cell = (np.floor((rates.u + 1.0) / _CELL) * side + np.floor((rates.v + 1.0) / _CELL)).astype(np.intp)
    order = np.argsort(cell, kind="stable")
    bounds = np.flatnonzero(np.diff(cell[order])) + 1
    places, values, sigmas = [], [], []
    for members in np.split(order, bounds):
        weight, rate, start = rates.weight[members], rates.velocity[members], rates.start[members]
        starts = np.unique(start)
        if weight.sum() < _LEAST_IN_CELL or len(starts) < 2:
            continue
        value = _weighted_median(rate, weight)
        by_start = [(weight[start == s].sum(), _weighted_median(rate[start == s], weight[start == s])) for s in starts]
        share, median = np.transpose(by_start)
        places.append((weight @ rates.u[members] / weight.sum(), weight @ rates.v[members] / weight.sum()))
        values.append(value)
        between = np.sqrt(np.sum(share**2 * (median - value) ** 2)) / share.sum()
        # An edge that sweeps over a pixel mixes two facets: what is read there scatters, and is wrong by as much.
        swept = 1.0 - rates.planar[members].mean()
        sigmas.append(float(np.hypot(between, swept * 1.4826 * np.median(np.abs(rate - value)))))
    if not values:
        raise InputError("No part of the surface keeps its orientation over two frames: the frames are too far apart.")
    known = np.asarray(sigmas)
    u, v = np.transpose(places)
    return from_disc(u, v), np.asarray(values), np.maximum(known, _BEST_KNOWN * np.abs(values).max())


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def _curvature_term(
    heights: NDArray[np.float32],
    time_s: NDArray[np.float64],
    pixel_size_nm: float,
    velocity: OrientationVelocity,
    moves: NDArray[np.bool_],
) -> tuple[float, float]:
    """Velocity per mean curvature and its standard deviation, nm^2/s; 0 when it is not sure to be more.

    Noise of a height makes curvature and change of the same frame go together. The curvature of the frame before, whose
    noise is another, is therefore used as an instrument (Reiersol 1945).
    """
    curvatures = [mean_curvature(frame, pixel_size_nm) for frame in heights]
    estimates = []
    for k in range(1, len(heights) - 1):
        resolved = np.maximum(np.abs(curvatures[k - 1]), np.abs(curvatures[k])) < _SHARP / pixel_size_nm
        here = moves[k - 1] & moves[k] & moves[k + 1] & resolved
        right, up = slopes(ndimage.gaussian_filter(heights[k], 1.0), pixel_size_nm)
        u, v = to_disc(right, up)
        rate = (heights[k + 1][here] - heights[k][here]) / (time_s[k + 1] - time_s[k]) / stretch(u[here], v[here])
        rest = rate - velocity.mean(from_disc(u[here], v[here]))
        before, now = curvatures[k - 1][here], curvatures[k][here]
        if here.any() and abs(power := float(before @ now)) > 0.0:
            estimates.append((float(before @ rest) / power, abs(power)))
    if len(estimates) < 2:
        return 0.0, float("nan")
    value, weight = np.transpose(estimates)
    mean = float(np.average(value, weights=weight))
    sigma = float(np.sqrt(np.sum(weight**2 * (value - mean) ** 2)) / weight.sum())
    return (mean, sigma) if mean > _SURE * sigma else (0.0, sigma)


def _last_state(
    part: HeightSeries,
    moves: NDArray[np.bool_],
    valid: NDArray[np.bool_],
    velocity: OrientationVelocity,
    curvature_nm2_s: float,
) -> LastState:
    """The end of the movie: its last frames, brought forward by the law, averaged as far as noise and law ask for."""
    heights, sigma, time_s, pixel = part.height_nm, part.sigma_nm, part.time_s, part.pixel_size_nm
    rests, front = ~moves[-1], front_of(velocity, curvature_nm2_s)
    states = [heights[-1].astype(np.float64)]
    for back in range(2, min(_BROUGHT_FORWARD, len(heights)) + 1):
        crystals = Crystals.of(heights[-back], ~moves[-back], pixel)
        states.append(crystals.after(front, pixel, time_s[-1] - time_s[-back]).height_nm.astype(np.float64))
    noise = np.square(sigma[-1].astype(np.float64))
    weights = [1.0 / np.maximum(noise, 1e-12)]
    for state in states[1:]:
        # what two states differ by beyond their noise is what the law lacks there
        misfit = ndimage.uniform_filter((state - states[0]) ** 2, 5) - 2.0 * noise
        weights.append(1.0 / np.maximum(noise + np.maximum(misfit, 0.0), 1e-12))
    mean = np.average(states, axis=0, weights=weights)
    last = np.where(rests, states[0], mean).astype(np.float32)
    change = np.square(states[0] - heights[-len(states)])
    wrong = np.square(states[-1] - states[0]) - 2.0 * noise
    share = np.sqrt(max(float(wrong[~rests].sum()), 0.0) / max(float(change[~rests].sum()), 1e-12))
    return LastState(
        Crystals.of(last, rests, pixel),
        np.where(rests, sigma[-1], 1.0 / np.sqrt(np.sum(weights, axis=0))).astype(np.float32),
        valid,
        min(float(share), 1.0),
        replace(part, height_nm=heights[-1:], sigma_nm=sigma[-1:], time_s=time_s[-1:]),
    )


def _remarks(part: HeightSeries) -> tuple[str, ...]:
    remarks = list(part.warnings)
    if part.z_scale_source == "arbitrary":
        remarks.append("the z scale is arbitrary: velocities are in a.u. per second")
    return tuple(remarks)
