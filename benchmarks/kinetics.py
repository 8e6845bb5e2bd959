"""Kinetics against the truth: events, volumes, facets, velocities, laws. Movies are made elsewhere or here."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from benchmarks.movies import Movie, growth
from napari_sem4d import reconstruct_series
from napari_sem4d.dynamics.facets import find_facets
from napari_sem4d.dynamics.growth_law import fit_growth_law
from napari_sem4d.dynamics.rate_laws import BOLTZMANN_EV_PER_K, compare_rate_laws, fit_arrhenius
from napari_sem4d.dynamics.tracks import Tracked, follow_objects
from napari_sem4d.model import HeightSeries
from napari_sem4d.physics.materials import find_material

_SEEDS = (0, 1, 2, 3, 4, 5)
_RECONSTRUCTED, _RECONSTRUCTED_SIDE = (0, 1, 2), 128
_SIDE, _PIXEL_NM, _FRAMES, _INTERVAL_S = 160, 20.0, 24, 10.0
_NUCLEI = 12
_SEEN_NM = 9.0  # three standard deviations: what rises less is no island yet
_NOISE_NM, _ALIKE_PX, _GROUND_NM = 3.0, 1.5, 6.0
_WIDE_PX = 15.0  # of islands whose volumes, and side of facets whose normals are compared
_SMALLEST_PX = 1.0  # of islands that count; where scans are reconstructed, the square of the exit radius
_FOOT_PX = 3  # around what rises by so much
_EXIT_RADII = 3.0  # the same in exit radii where scans are reconstructed
_AS_ONE = 0.98  # of the volume: objects that hold more than that of another component are not compared
_POLAR = math.degrees(math.acos(1.0 / math.sqrt(3.0)))  # of {111} on (001)


@dataclass(frozen=True, slots=True, eq=False)
class Growing:
    """A movie with all that is true of it.

    Attributes
    ----------
    movie : HeightSeries
    rises : (n, t, y, x) float64
        Height of every island alone above the ground.
    normals : (m, 3) float64
        Of all facets.
    velocities_nm_s : (m,) float64
        Along them.
    """

    movie: HeightSeries
    rises: NDArray[np.float64]
    normals: NDArray[np.float64]
    velocities_nm_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found of a movie against the truth."""

    births: tuple[int, int]
    coalescences: tuple[int, int]
    late_frames: float
    volume_errors: NDArray[np.float64]
    volume_pulls: NDArray[np.float64]
    normal_errors_deg: NDArray[np.float64]
    normal_pulls: NDArray[np.float64]
    velocity_errors: NDArray[np.float64]
    seconds: float


def kinetics_tables() -> Iterator[Table]:
    """Print what must hold for objects, facets and velocities, then laws."""
    table = _new_table(
        "True heights with noise of 3 nm, alike over 1.5 px (160 x 160 x 24), ground of 6 nm rms; islands from 9 nm on"
    )
    every = [found_in(crystals(seed), _WIDE_PX, _SMALLEST_PX) for seed in track(_SEEDS, "True heights", transient=True)]
    for seed, found in zip(_SEEDS, every, strict=True):
        _add(table, f"seed {seed}", found)
    _add(table, "all", _pooled(every))
    yield table
    table = _new_table(
        "Series reconstructed by vift (128 x 128 x 12, 40 nm, Cu 10 keV, 2000 electrons a pixel); islands from r90 on"
    )
    every = []
    for seed in track(_RECONSTRUCTED, "Reconstructed", transient=True):
        movie = of_one_law(growth(seed, side=_RECONSTRUCTED_SIDE))
        radius = find_material(movie.setup.material).exit_radius_nm(movie.setup.beam_energy_kev or 10.0)
        radius_px = radius / movie.pixel_size_nm
        every.append(found_in(reconstructed(movie), _EXIT_RADII * radius_px, radius_px**2))
        _add(table, f"seed {seed}", every[-1])
    _add(table, "all", _pooled(every))
    yield table
    yield laws_table()


def crystals(seed: int) -> Growing:
    """Cubic crystals, all turned alike, that nucleate on rough ground at random and grow together."""
    random = np.random.default_rng(seed)
    turn = random.uniform(0.0, math.pi / 2)
    azimuth, polar = turn + np.arange(4) * math.pi / 2, math.radians(_POLAR)
    normals = np.array([[0.0, 0.0, 1.0], *([math.sin(polar) * math.cos(a), math.sin(polar) * math.sin(a),
                                             math.cos(polar)] for a in azimuth)])  # fmt: skip
    velocities = np.array([1.4, 2.0, 1.6, 2.0, 1.6])
    time_s = _INTERVAL_S * np.arange(_FRAMES)
    y, x = np.mgrid[:_SIDE, :_SIDE] * _PIXEL_NM
    places = random.uniform(0.08, 0.92, (_NUCLEI, 2)) * _SIDE * _PIXEL_NM
    births = random.uniform(-0.15, 0.7, _NUCLEI) * time_s[-1]
    rises = np.zeros((_NUCLEI, _FRAMES, _SIDE, _SIDE))
    for index, (place, birth) in enumerate(zip(places, births, strict=True)):
        for frame in np.flatnonzero(time_s > birth):
            reach = velocities * (time_s[frame] - birth)
            planes = [
                (d - n[0] * (x - place[1]) + n[1] * (y - place[0])) / n[2] for n, d in zip(normals, reach, strict=True)
            ]
            rises[index, frame] = np.maximum(np.min(planes, axis=0), 0.0)
    ground = _alike(random, (_SIDE, _SIDE), 4.0) * _GROUND_NM
    noise = np.stack([_alike(random, (_SIDE, _SIDE), _ALIKE_PX) * _NOISE_NM for _ in time_s])
    top = rises.max(axis=0)
    heights = np.where(top > 0.0, np.maximum(top, ground), ground) + noise
    movie = HeightSeries(
        heights.astype(np.float32), np.full(heights.shape, _NOISE_NM, np.float32), time_s, _PIXEL_NM, "geometry", 0.0
    )
    return Growing(movie, np.maximum(rises - np.where(rises > 0.0, ground, 0.0), 0.0), normals, velocities)


def reconstructed(movie: Movie) -> Growing:
    """Scans of islands of one law, reconstructed as a series."""
    result = reconstruct_series(movie.series(), movie.setup, "vift")
    rows, columns = np.arange(movie.side, dtype=np.float64)[:, None], np.arange(movie.side, dtype=np.float64)[None, :]
    ground = np.stack([movie.truth_nm(frame) for frame in range(len(movie.time_s))])
    rises = np.stack(
        [
            [island.height_nm(rows, columns, movie.pixel_size_nm, float(t)) for t in movie.time_s]
            for island in movie.islands
        ]
    )
    # the ground is that where no island stands, which the textures of the movie give
    bare = np.stack([movie.ground_nm * movie._texture(*movie._places(0), 0)] * len(ground))
    rises = np.where(rises > 0.0, np.maximum(rises - bare, 0.0), 0.0)
    island = movie.islands[0]
    normals, velocities = [[0.0, 0.0, 1.0]], [island.top_nm_per_s]
    for number in range(4):
        azimuth = math.radians(island.turn_deg + 90.0 * number)
        normals.append([math.cos(azimuth) * math.sqrt(0.5), math.sin(azimuth) * math.sqrt(0.5), math.sqrt(0.5)])
        velocities.append(island.side_nm_per_s[number % 2])
    return Growing(result, rises, np.array(normals), np.array(velocities))


def of_one_law(movie: Movie) -> Movie:
    """The movie with islands that are all turned alike and grow alike, so that there is one V(n)."""
    first = movie.islands[0]
    alike = {name: getattr(first, name) for name in ("turn_deg", "side_nm_per_s", "top_nm_per_s")}
    return replace(movie, islands=tuple(replace(island, **alike) for island in movie.islands))


def found_in(growing: Growing, wide_px: float, least_px: float) -> Found:
    """Measure a movie and compare."""
    begin = time.process_time()
    movie = growing.movie
    tracked = follow_objects(movie)
    seconds = time.process_time() - begin
    components = [_components(growing.rises[:, frame], least_px) for frame in range(len(movie.time_s))]
    births, coalescences = _true_events(components)
    errors, pulls = _volumes(growing, tracked, components, wide_px)
    normals, normal_pulls = _normals(growing, tracked, wide_px)
    return Found(
        (tracked.count("birth"), births), (tracked.count("coalescence"), coalescences),
        _late(tracked, components), errors, pulls, normals, normal_pulls, _velocities(growing), seconds,
    )  # fmt: skip


def _components(rises: NDArray[np.float64], least_px: float) -> tuple[NDArray[np.int32], list[set[int]]]:
    """Connected islands of a frame that are large enough to be seen, and which nuclei each holds."""
    labels, count = ndimage.label(rises.max(axis=0) > _SEEN_NM, np.ones((3, 3)))
    labels[np.bincount(labels.ravel())[labels] < least_px] = 0
    members: list[set[int]] = [set() for _ in range(count + 1)]
    for index, rise in enumerate(rises):
        own = np.unique(labels[rise > _SEEN_NM])
        for label in own[own > 0]:
            members[label].add(index)
    return labels, members


def _true_events(components: list[tuple[NDArray[np.int32], list[set[int]]]]) -> tuple[int, int]:
    births = coalescences = 0
    for (_, before), (_, after) in itertools.pairwise(components):
        for held in filter(None, after):
            came = sum(bool(held & old) for old in before)
            births += came == 0
            coalescences += max(came - 1, 0)
    return births, coalescences


def _late(tracked: Tracked, components: list[tuple[NDArray[np.int32], list[set[int]]]]) -> float:
    """Mean number of frames by which a birth is seen late."""
    first: dict[int, int] = {}
    for frame, (_, members) in enumerate(components):
        for held in members[1:]:
            for nucleus in held:
                first.setdefault(nucleus, frame)
    late = []
    for event in tracked.events:
        labels, members = components[event.frame]
        held = members[labels[round(event.row_px), round(event.column_px)]] if event.kind == "birth" else set()
        if held:
            late.append(event.frame - min(first[n] for n in held))
    return float(np.mean(late)) if late else math.nan


def _volumes(
    growing: Growing, tracked: Tracked, components: list[tuple[NDArray[np.int32], list[set[int]]]], wide_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative errors of the volumes of wide islands that lie within the view, and those in standard deviations."""
    movie, errors, pulls = growing.movie, [], []
    for row in tracked.rows:
        labels, _ = components[row.frame]
        over = labels[tracked.labels[row.frame] == row.label]
        best = int(np.bincount(over).argmax())
        inside = labels == best
        if best == 0 or row.at_edge or math.sqrt(inside.sum()) < wide_px:
            continue
        # the truth of all that the object covers, when that is one component
        shares = np.bincount(over, minlength=labels.max() + 1)[1:]
        if shares.max() < _AS_ONE * shares.sum() or (over == best).sum() < 0.5 * inside.sum():
            continue
        foot = ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=_FOOT_PX)
        true = float(growing.rises[:, row.frame].max(axis=0)[foot].sum()) * movie.pixel_size_nm**2
        errors.append(row.volume_nm3 / true - 1.0)
        pulls.append((row.volume_nm3 - true) / row.volume_sigma_nm3)
    return np.array(errors), np.array(pulls)


def _normals(growing: Growing, tracked: Tracked, wide_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Errors in degrees of the normals of large facets on islands in the last frames, and in standard deviations."""
    movie, errors, pulls = growing.movie, [], []
    for frame in range(len(movie.time_s) // 2, len(movie.time_s), 3):
        found = find_facets(
            np.asarray(movie.height_nm[frame]), np.asarray(movie.sigma_nm[frame]), movie.pixel_size_nm,
            correlation=tracked.correlation,
        )  # fmt: skip
        on_islands = growing.rises[:, frame].max(axis=0) > 0.0
        for facet in found.facets:
            own = found.labels == facet.label
            if own.sum() < wide_px**2 or on_islands[own].mean() < 0.95:
                continue
            apart = math.degrees(math.acos(min(float((growing.normals @ facet.normal).max()), 1.0)))
            errors.append(apart)
            pulls.append(apart / facet.sigma_deg)
    return np.array(errors), np.array(pulls)


def _velocities(growing: Growing) -> NDArray[np.float64]:
    """Relative errors of the velocities along the true normals where the movie is said to tell them."""
    law = fit_growth_law(growing.movie)
    use = law.constrained(growing.normals)
    return np.asarray(law.velocity(growing.normals[use]) / growing.velocities_nm_s[use] - 1.0)


def laws_table() -> Table:
    """Laws and activation energies that were put in, over many draws of noise."""
    table = Table(title="Intervals of 95 % over 100 draws of noise")
    for heading in ("quantity", "true", "mean found", "interval holds %"):
        table.add_column(heading)
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(10.0, 300.0, 24))
    true = 0.4 * (times + 5.0) ** 1.3
    powers = [compare_rate_laws(times, true + random.normal(0.0, 8.0, 24), np.full(24, 8.0)) for _ in range(100)]
    first = [next(law for law in laws if law.name == "power").parameter("n") for laws in powers]
    _add_interval(table, "exponent of a power law", 1.3, [(p.value, p.low, p.high) for p in first])
    kelvin = np.array([560.0, 600.0, 640.0, 680.0, 720.0])
    rates = 2e5 * np.exp(-0.75 / (BOLTZMANN_EV_PER_K * kelvin))
    energies = [fit_arrhenius(kelvin, rates * (1 + random.normal(0.0, 0.05, 5))).energy_ev for _ in range(100)]
    _add_interval(table, "activation energy, eV", 0.75, [(p.value, p.low, p.high) for p in energies])
    return table


def _add_interval(table: Table, name: str, true: float, found: list[tuple[float, float, float]]) -> None:
    holds = np.mean([low <= true <= high for _, low, high in found])
    table.add_row(name, f"{true:g}", f"{np.mean([f[0] for f in found]):.3g}", f"{100 * holds:.0f}")


def _alike(random: np.random.Generator, shape: tuple[int, int], blur_px: float) -> NDArray[np.float64]:
    """Noise of standard deviation 1 that is alike over some pixels."""
    noise = ndimage.gaussian_filter(random.normal(size=shape), blur_px)
    return np.asarray(noise / noise.std())


def _new_table(title: str) -> Table:
    table = Table(
        title=f"{title}\ntargets: births and coalescences 5 %; volume 3 %; normals 1.5 degrees; V(n) 7 %; pulls (error "
        "over sigma) 1"
    )
    for heading in ("movie", "births", "coalesc.", "births late, frames", "volume rms %", "pull", "normals rms deg",
                    "95 % deg", "pull", "V(n) rms %", "worst %", "processor s"):  # fmt: skip
        table.add_column(heading)
    return table


def _add(table: Table, name: str, found: Found) -> None:
    table.add_row(
        name, f"{found.births[0]} of {found.births[1]}", f"{found.coalescences[0]} of {found.coalescences[1]}",
        f"{found.late_frames:.1f}", f"{100 * _rms(found.volume_errors):.1f}", f"{_rms(found.volume_pulls):.1f}",
        f"{_rms(found.normal_errors_deg):.2f}",
        f"{np.quantile(found.normal_errors_deg, 0.95):.2f}" if found.normal_errors_deg.size else "-",
        f"{_rms(found.normal_pulls):.1f}", f"{100 * _rms(found.velocity_errors):.1f}",
        f"{100 * np.abs(found.velocity_errors).max():.1f}" if found.velocity_errors.size else "-",
        f"{found.seconds:.1f}",
    )  # fmt: skip


def _pooled(every: list[Found]) -> Found:
    def joined(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(f, name) for f in every])

    def summed(name: str) -> tuple[int, int]:
        counts = np.sum([getattr(f, name) for f in every], axis=0)
        return int(counts[0]), int(counts[1])

    return Found(
        summed("births"), summed("coalescences"), float(np.nanmean([f.late_frames for f in every])),
        joined("volume_errors"), joined("volume_pulls"), joined("normal_errors_deg"), joined("normal_pulls"),
        joined("velocity_errors"), sum(f.seconds for f in every),
    )  # fmt: skip


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else math.nan
