"""Segments recorded one after the other: is their drift found, on which surfaces, and who is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import ndimage

from napari_sem4d import AnnularSegment, Setup, read_sem, simulate
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.registration.common_surface import common_surface
from napari_sem4d.registration.segments import align_segments

PIXEL_NM, SIDE, MARGIN, DOSE = 5.0, 256, 30, 30_000
_SEEDS = (0, 1)
_RINGS = {"4": (0.0, 90.0, 180.0, 270.0), "3": (90.0, 210.0, 330.0)}
_WRONG = {
    "turned by 20": (20.0, 110.0, 200.0, 290.0), "turned by 45": (45.0, 135.0, 225.0, 315.0),
    "turned by 90": (90.0, 180.0, 270.0, 0.0), "mirrored": (0.0, 270.0, 180.0, 90.0),
    "exchanged": (0.0, 180.0, 90.0, 270.0),
}  # fmt: skip
Surface = NDArray[np.float64]


def registration_tables(data: Path) -> Iterator[Table]:
    """Yield the tables: drift of 0 to 25 pixels by surface, wrong azimuths, real segments."""
    yield _by_surface()
    yield _by_azimuths()
    vickers = data / "sem" / "zeiss_qbsd_vickers"
    if vickers.is_dir():
        yield _real(vickers)


def _by_surface() -> Table:
    table = Table(
        title=f"Drift of 0 to 25 pixels, {SIDE} x {SIDE} pixels of {PIXEL_NM:g} nm, {DOSE} electrons a pixel, Au at "
        f"2 keV, analytic engine, {2 * len(_SEEDS)} scans a row"
    )
    for heading in (
        "surface", "segments", "rms error px", "worst px", "towards the segments px", "rest px", "sigma px",
        "closure px", "what was done", "undrifted",
    ):  # fmt: skip
        table.add_column(heading)
    for name, surface in _SURFACES.items():
        for count, azimuths in _RINGS.items():
            table.add_row(name, count, *_row(surface, azimuths))
    return table


def _row(surface: Callable[[int], Surface], azimuths: tuple[float, ...]) -> Iterator[str]:
    errors, along, rest, sigmas, closures = [], [], [], [], []
    done, undrifted = Counter[str](), Counter[str]()
    directions = _views(azimuths)
    for seed in _SEEDS:
        clean, noise = _expected(surface(seed), azimuths)
        for repeat in range(2):
            moves = np.random.default_rng((seed, repeat)).uniform(-25, 25, (len(azimuths), 2))
            moves[0] = 0.0
            images = _drifted(clean, noise, moves)
            found = common_surface(images, directions)
            error = (found.shifts + moves)[1:]
            errors.append(error)
            by_range = _part_towards(np.vstack([np.zeros(2), error]), azimuths)
            along.append(by_range)
            rest.append(error - by_range[1:])
            sigmas.append(found.sigma)
            closures.append(found.closure)
            done[_what(align_segments(images, [*"ABCD"][: len(azimuths)], directions).remark)] += 1
        undrifted[
            _what(align_segments(_drifted(clean, noise, 0 * moves), [*"ABCD"][: len(azimuths)], directions).remark)
        ] += 1
    yield f"{_rms(errors):.3f}"
    yield f"{np.abs(errors).max():.2f}"
    yield f"{_rms([a[1:] for a in along]):.3f}"
    yield f"{_rms(rest):.3f}"
    yield f"{max(sigmas):.3f}"
    yield f"{max(closures):.2f}"
    yield ", ".join(f"{n} {what}" for what, n in done.items())
    yield ", ".join(f"{n} {what}" for what, n in undrifted.items())


def _by_azimuths() -> Table:
    table = Table(title="Azimuths in the setup that are wrong: share explained (closure px), four segments")
    for heading in ("surface", "right", *_WRONG):
        table.add_column(heading)
    for name in ("fine grains", "smooth", "wide hills", "islands", "pyramids", "indent"):
        clean, noise = _expected(_SURFACES[name](0), _RINGS["4"])
        images = _drifted(clean, noise, np.random.default_rng(3).uniform(-20, 20, (4, 2)))
        cells = []
        for azimuths in (_RINGS["4"], *_WRONG.values()):
            found = common_surface(images, _views(azimuths))
            cells.append(f"{found.explained:.2f} ({found.closure:.2f})")
        table.add_row(name, *cells)
    return table


def _real(folder: Path) -> Table:
    table = Table(title="Zeiss QBSD, Vickers indent: shifts (x, y) of Q2, Q3, Q4 onto Q1")
    for heading in ("part", "shifts px", "closure px", "explained"):
        table.add_column(heading)
    images = read_sem(folder).frame()
    middle = images.shape[2] // 2
    parts = {"whole": images, "left half": images[:, :, :middle], "right half": images[:, :, middle:]}
    for name, part in parts.items():
        found = common_surface(part, _views((270.0, 180.0, 90.0, 0.0)))
        shifts = ", ".join(f"({x:.2f}, {y:.2f})" for y, x in found.shifts[1:])
        table.add_row(name, shifts, f"{found.closure:.2f}", f"{found.explained:.3f}")
    return table


def _what(remark: str) -> str:
    if "left as recorded" in remark:
        return "left"
    return "shifted" if "shifted onto" in remark else "lie on each other"


def _rms(values: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt((np.stack(values) ** 2).mean()))


def _part_towards(error: NDArray[np.float64], azimuths: tuple[float, ...]) -> NDArray[np.float64]:
    angles = np.radians(azimuths)
    pattern = np.stack([-np.sin(angles), np.cos(angles)], axis=1)
    pattern -= pattern[0]
    return np.asarray(pattern * ((error * pattern).sum() / (pattern**2).sum()))


def _setup(azimuths: tuple[float, ...]) -> Setup:
    segments = tuple(
        AnnularSegment(
            name="ABCD"[i], inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=azimuth,
            span_deg=360.0 / len(azimuths),
        )
        for i, azimuth in enumerate(azimuths)
    )  # fmt: skip
    return Setup(beam_energy_kev=2.0, material="Au", detectors=segments)


def _views(azimuths: tuple[float, ...]) -> NDArray[np.float64]:
    setup = _setup(azimuths)
    return np.array([mean_direction(detector, setup) for detector in setup.detectors])


def _expected(height: Surface, azimuths: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Images without noise, and noise that stays where it is when the specimen drifts."""
    clean = simulate(height, _setup(azimuths), PIXEL_NM, electrons_per_pixel=None).astype(np.float64)
    noisy = simulate(height, _setup(azimuths), PIXEL_NM, electrons_per_pixel=DOSE)
    return clean, noisy - clean


def _drifted(clean: NDArray[np.float64], noise: NDArray[np.float64], moves: NDArray[np.float64]) -> NDArray[np.float32]:
    inner = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    moved = [ndimage.shift(image, move, order=5)[inner] for image, move in zip(clean, moves, strict=True)]
    return (np.stack(moved) + noise[:, *inner]).astype(np.float32)


def _random(seed: int, width: float, slope: float) -> Surface:
    side = SIDE + 2 * MARGIN
    surface = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), width)
    return np.asarray(surface * (slope * PIXEL_NM / np.diff(surface, axis=0).std()))


def _grains(seed: int) -> Surface:
    rng = np.random.default_rng(seed)
    side = SIDE + 2 * MARGIN
    height = np.zeros((side, side))
    y, x = np.mgrid[-8:9, -8:9]
    for row, column in rng.integers(8, side - 8, (side * side // 200, 2)):
        width = rng.uniform(0.8, 1.6)
        bump = np.exp(-(x**2 + y**2) / (2 * width**2))
        height[row - 8 : row + 9, column - 8 : column + 9] += rng.choice([-1, 1]) * 0.45 * width * PIXEL_NM * bump
    return height


def _fractal(seed: int) -> Surface:
    side = SIDE + 2 * MARGIN
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    k[0, 0] = 1.0
    spectrum = np.fft.fft2(np.random.default_rng(seed).standard_normal((side, side)))
    surface = np.fft.ifft2(spectrum * k**-1.8 * np.exp(-((k / 0.25) ** 2))).real
    return np.asarray(surface * (0.4 * PIXEL_NM / np.diff(surface, axis=0).std()))


def _turned(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates around a random place along random axes."""
    side = SIDE + 2 * MARGIN
    row, column, angle = rng.uniform(0, side), rng.uniform(0, side), rng.uniform(0, np.pi)
    y, x = np.mgrid[:side, :side]
    return (
        (x - column) * np.cos(angle) + (y - row) * np.sin(angle),
        (y - row) * np.cos(angle) - (x - column) * np.sin(angle),
    )


def _islands(seed: int) -> Surface:
    rng = np.random.default_rng(seed)
    height = np.zeros((SIDE + 2 * MARGIN,) * 2)
    for _ in range(height.size // 2500):
        u, v = _turned(rng)
        outside = np.maximum(np.abs(u), 1.4 * np.abs(v)) - rng.uniform(6, 20)
        height = np.maximum(height, 60 * np.clip(0.5 - outside / 6, 0, 1))
    return height


def _pyramids(seed: int) -> Surface:
    rng = np.random.default_rng(seed)
    height = np.full((SIDE + 2 * MARGIN,) * 2, -np.inf)
    for _ in range(height.size // 1500):
        u, v = _turned(rng)
        flank = rng.uniform(0.3, 0.7) * PIXEL_NM * np.maximum(np.abs(u), np.abs(v))
        height = np.maximum(height, rng.uniform(0, 100) - flank)
    return np.asarray(ndimage.gaussian_filter(height, 0.7))


def _indent(seed: int) -> Surface:
    side = SIDE + 2 * MARGIN
    y, x = np.mgrid[:side, :side] - side / 2 + 3.3 * seed
    angle = 0.2 + seed
    across = np.maximum(np.abs(x * np.cos(angle) + y * np.sin(angle)), np.abs(y * np.cos(angle) - x * np.sin(angle)))
    pit = -np.clip(0.25 * side - across, 0, None) * np.tan(np.radians(22.0)) * PIXEL_NM
    return np.asarray(ndimage.gaussian_filter(pit, 1.0) + _random(seed, 1.0, 0.02))


_SURFACES: dict[str, Callable[[int], Surface]] = {
    "fine grains": _grains,
    "rough at all scales": _fractal,
    "smooth": lambda seed: _random(seed, 3.0, 0.35),
    "wide hills": lambda seed: _random(seed, 8.0, 0.3),
    "islands": _islands,
    "pyramids": _pyramids,
    "indent": _indent,
    "flat": lambda seed: np.zeros((SIDE + 2 * MARGIN,) * 2),
}
