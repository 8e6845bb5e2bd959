"""How well a law of growth is learned: facet velocities, and the frames that follow, against exact movies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.movies import Island, Movie
from napari_sem4d import HeightSeries, reconstruct_series
from napari_sem4d.dynamics import GrowthLaw, fit_growth_law

_FRAMES, _COMING = 12, 5
_INTERVAL_S = 60.0
_SIDE_NM_S, _TOP_NM_S = (0.55, 0.75), 0.45
_TURN_DEG = 25.0
_SEEDS = range(6)
_PLACES = ((0.3, 0.3, -0.3), (0.35, 0.75, -0.15), (0.75, 0.35, 0.0), (0.7, 0.75, 0.25))  # of side, side, movie


def growth_movie(seed: int, electrons_per_pixel: float = 2000.0) -> Movie:
    """Crystals of one substance: their facets point the same ways and grow alike, from different times on."""
    rng = np.random.default_rng((seed, 7))
    frames = _FRAMES + _COMING
    islands = tuple(
        Island(
            centre_px=(96 * row + rng.uniform(-6, 6), 96 * column + rng.uniform(-6, 6)),
            born_s=born * _FRAMES * _INTERVAL_S,
            turn_deg=_TURN_DEG,
            side_nm_per_s=_SIDE_NM_S,
            top_nm_per_s=_TOP_NM_S,
        )
        for row, column, born in _PLACES
    )
    time_s = _INTERVAL_S * np.arange(frames)
    drift = np.linspace(0.0, 1.0, frames)[:, None] * rng.uniform(-4, 4, 2) + rng.normal(0, 0.3, (frames, 2))
    gains = 1.0 + rng.normal(0, 0.01, (frames, 4))
    gains[0] = 1.0
    return Movie(96, 40.0, time_s, islands, drift - drift[0], gains, electrons_per_pixel, seed=seed, ground_nm=3.0)


def facets() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normals (n, 3) as (x, y up, z) of the crystals and their velocities (n,) in nm/s."""
    azimuth = np.radians(_TURN_DEG + 90.0 * np.arange(4))
    half = math.sqrt(0.5)  # side facets of 45 degrees
    sides = np.stack([half * np.cos(azimuth), half * np.sin(azimuth), np.full(4, half)], axis=-1)
    return np.concatenate([[[0.0, 0.0, 1.0]], sides]), np.array([_TOP_NM_S, *_SIDE_NM_S, *_SIDE_NM_S])


def from_truth(movie: Movie, noise_nm: float, seed: int) -> HeightSeries:
    """Exact heights of the first frames with noise that is alike over a few pixels."""
    from scipy import ndimage

    truth = np.stack([movie.truth_nm(frame) for frame in range(_FRAMES)])
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=truth.shape), (0, 1.5, 1.5))
    return HeightSeries(
        height_nm=(truth + noise_nm * noise / noise.std()).astype(np.float32),
        sigma_nm=np.full(truth.shape, noise_nm, np.float32),
        time_s=movie.time_s[:_FRAMES],
        pixel_size_nm=movie.pixel_size_nm,
        z_scale_source="geometry",
        z_scale_uncertainty=0.0,
    )


def from_scans(movie: Movie, method: str) -> HeightSeries:
    """Heights of the first frames as they are reconstructed, without a named datum."""
    first = replace(
        movie, time_s=movie.time_s[:_FRAMES], drift_px=movie.drift_px[:_FRAMES], gains=movie.gains[:_FRAMES]
    ).series()
    return reconstruct_series(first, movie.setup, method=method)  # type: ignore[arg-type]


def _row(name: str, movie: Movie, seen: HeightSeries, law: GrowthLaw) -> list[str]:
    normals, velocities = facets()
    error = law.velocity(normals) / velocities - 1.0
    coming = law.predict(_COMING)
    truth = np.stack([movie.truth_nm(_FRAMES + lead) for lead in range(_COMING)])
    last, before = (np.asarray(seen.height_nm[index], np.float64) for index in (-1, -2))
    lead = np.arange(1, _COMING + 1)[:, None, None]
    known = np.isfinite(coming.height_nm)

    def rms(heights: NDArray[np.floating]) -> float:
        return float(np.sqrt(np.mean((heights - truth)[known] ** 2)))

    law_nm, still, onwards = (
        rms(coming.height_nm),
        rms(np.broadcast_to(last, truth.shape)),
        rms(last + lead * (last - before)),
    )
    inside = np.abs(coming.height_nm - truth)[known] < coming.sigma_nm[known]
    return [
        name,
        f"{100 * np.abs(error).max():.1f} %",
        f"{law_nm:.1f} nm",
        f"{still / law_nm:.1f}",
        f"{onwards / law_nm:.1f}",
        f"{100 * inside.mean():.0f} %",
    ]


def growth_table() -> Iterator[Table]:
    """Tables of exact heights with noise and of reconstructed scans."""
    for title, noise_nm in (
        ("exact heights, noise of 2 nm", 2.0),
        ("exact heights, noise of 6 nm", 6.0),
        ("vift", None),
    ):
        table = Table(title=f"Law of growth from {_FRAMES} frames: {title}", title_justify="left")
        for column in (
            "seed",
            "worst facet velocity",
            f"rms of the next {_COMING}",
            "standing still",
            "carried on",
            "inside sigma",
        ):
            table.add_column(column, justify="right")
        for seed in _SEEDS:
            movie = growth_movie(seed)
            seen = from_scans(movie, "vift") if noise_nm is None else from_truth(movie, noise_nm, seed)
            table.add_row(*_row(str(seed), movie, seen, fit_growth_law(seen)))
        yield table
