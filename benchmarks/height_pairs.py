"""Pairs of an SEM and an AFM map of one surface, made from real AFM maps. No measuring.

The SEM map is reconstructed from images that the Vision Field Transformer renders at a stated dose; the AFM map is the
same surface dilated by a tip, turned, stretched, bent as slow drift does, with lines that jump, bow and noise.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.surfaces import quadrants
from napari_sem4d import HeightMap, InputError, Region, Setup, read_height, reconstruct, simulate
from napari_sem4d.metrology.tip import Tip

Floats = NDArray[np.float64]

SIDE, PIXEL_NM = 160, 40.0  # of the SEM map; the exit radius r90 is 25 nm (gold, 5 keV)
ELECTRONS = 60_000  # a pixel: 1 nA for 10 us
_WORLD_SIDE = 640
_LEAST_SIDE = 320  # of a surface: what goes on in mirrors must lie at the borders
_OVERSAMPLING = 3  # of the surface that the tip follows
_SLOPE, _STEEPEST = 0.25, 1.0  # root mean square; of the steepest thousandth
_BEND_PX = 0.3  # of the reference, each of three terms along either axis
_BOW_NM, _JUMP_NM, _NOISE_NM = 3.0, 0.3, (0.2, 1.0)  # terms of second degree at the edge; between lines; of a pixel
_BAND_PX = (2.0, 12.0)  # structures that tell one place from another
_RELIEF = 0.07  # rms slope of these structures, at least, in the direction in which it is least
_ROUNDS, _TRIES, _LEAST_OVERLAP = 5, 40, 0.4
_BORDER = 0.04  # of the side of a real map: cut off, for scanners err at the turn


@dataclass(frozen=True, eq=False)
class MadePair:
    """Two maps and what is true of them."""

    name: str
    surface: NDArray[np.float32]  # that the SEM map shows, nm
    height: HeightMap
    reference: HeightMap
    elsewhere: HeightMap  # of another place
    tip: Tip
    z_gain: float
    overlap: float
    _to_reference: Callable[[Floats], Floats]

    def truth(self, places_nm: Floats) -> Floats:
        """Places (n, 2) on the reference of places on the map, nm."""
        return self._to_reference(places_nm)

    def places(self) -> Floats:
        """Places (n, 2) on the map that the reference shows, nm."""
        rows, columns = np.mgrid[: self.height.height_nm.shape[0] : 4, : self.height.height_nm.shape[1] : 4]
        places = np.column_stack([columns.ravel(), rows.ravel()]) * PIXEL_NM
        end = (np.array(self.reference.height_nm.shape[::-1]) - 1) * self.reference.pixel_size_nm
        return places[((self.truth(places) >= 0) & (self.truth(places) <= end)).all(axis=1)]


def gold() -> Setup:
    """Gold at 5 keV under four quadrants: everything on the maps is wider than the exit radius."""
    return quadrants().model_copy(update={"material": "Au", "beam_energy_kev": 5.0})


def worlds(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Surfaces by name: real AFM maps of the folder, or made-up ones where it is absent."""
    if not folder.is_dir():
        return {f"made up {seed}": _made_up(seed) for seed in range(3)}
    found = {}
    for path in sorted(folder.iterdir()):
        try:
            found[path.name] = _cleaned(read_height(path).height_nm)
        except InputError as error:
            warnings.warn(f"left out: {error}", stacklevel=1)
    return found


def _made_up(seed: int) -> NDArray[np.float32]:
    side = _WORLD_SIDE
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((side, side)))
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    return np.fft.irfft2(spectrum * np.exp(-((k * 10) ** 2)) / (1 + (k * 60) ** 2), s=(side, side)).astype(np.float32)


def _cleaned(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take off what the real scanner did: bow, jumping lines, outliers; the rest is taken for the surface."""
    cut = [round(_BORDER * n) for n in height.shape]
    z = height[cut[0] : -cut[0], cut[1] : -cut[1]].astype(np.float64)
    z = np.where(np.isfinite(z), z, np.nanmedian(z))
    y, x = (np.linspace(-1, 1, n) for n in z.shape)
    bow = np.polynomial.legendre.legvander2d(*np.meshgrid(x, y), [3, 3]).reshape(z.size, -1)
    for _ in range(2):
        z = z - (bow @ np.linalg.lstsq(bow, z.ravel(), rcond=None)[0]).reshape(z.shape)
        low, high = np.percentile(z, (0.1, 99.9))
        z = np.clip(z, low, high)
    return ndimage.gaussian_filter(z, 1.5).astype(np.float32)


def rendered(surface: NDArray[np.float32], seed: int, electrons: float = ELECTRONS) -> NDArray[np.float32]:
    """Images (detector, y, x) of a surface by ``vift`` with the counting noise of the dose."""
    return simulate(surface, gold(), PIXEL_NM, engine="vift", electrons_per_pixel=electrons, seed=seed)


def make_pair(
    surfaces: dict[str, NDArray[np.float32]],
    seed: int,
    render: Callable[[NDArray[np.float32], int], NDArray[np.float32]] = rendered,
) -> MadePair:
    """Return the pair of a seed; ``render`` gives the images of a surface and a seed."""
    rng = np.random.default_rng(seed)
    names = sorted(surfaces)
    first = seed % len(names)
    for name in _ROUNDS * (*names[first:], *names[:first]):
        world = _scaled(_turned(surfaces[name], rng))
        found = _placed(world, rng)
        if found is not None:
            break
    else:
        raise InputError("no map has a place with structures: give other maps")
    corner, geometry = found
    surface = world[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE]
    # as rough, and yet nowhere the same: every other one shows the same specimen as in a mirror
    other = world[:, ::-1] if seed % 2 else _scaled(_turned(surfaces[names[(first + 1 + seed // 2) % len(names)]], rng))
    tip = Tip(float(rng.uniform(20, 60)), float(rng.uniform(15, 25)))
    z_gain = float(rng.uniform(0.9, 1.1))
    return MadePair(
        name=name,
        surface=surface,
        height=reconstruct(render(surface, seed), gold(), PIXEL_NM, method="vift"),
        reference=as_reference(geometry.scan(world, corner, tip, rng) / z_gain, geometry.pixel_nm),
        elsewhere=as_reference(geometry.scan(other, corner, tip, rng) / z_gain, geometry.pixel_nm),
        tip=tip,
        z_gain=z_gain,
        overlap=geometry.overlap(),
        _to_reference=geometry.to_reference,
    )


def _placed(world: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.intp], _Geometry] | None:
    """Corner (x, y) of the SEM map on the surface and place of the reference, None where there is too little relief."""
    for _ in range(_TRIES):
        corner, geometry = _drawn(rng, min(world.shape))
        surface = world[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE]
        if geometry.overlap() >= _LEAST_OVERLAP and _structured(surface, geometry):
            return corner, geometry
    return None


def _turned(world: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Shrink or enlarge to a side of 320 pixels at least, turn to one of eight orientations, go on in mirrors."""
    smallest = _LEAST_SIDE / min(world.shape)
    world = ndimage.zoom(world, rng.uniform(smallest, max(smallest, 1.0)), order=3)
    world = np.rot90(world, rng.integers(4))
    return world.T if rng.integers(2) else world


def _scaled(world: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the surface slopes that a specimen has and a segmented detector sees."""
    slope = np.hypot(*np.gradient(world, PIXEL_NM))
    factor = min(_SLOPE / np.sqrt(np.mean(slope**2)), _STEEPEST / np.percentile(slope, 99.9))
    return (world * factor).astype(np.float32)


def _drawn(rng: np.random.Generator, world_side: int) -> tuple[NDArray[np.intp], _Geometry]:
    """Corner of the SEM map on the surface (x, y), and where the reference lies."""
    corner = rng.integers(0, world_side - SIDE, 2)
    pixel_nm = float(PIXEL_NM * rng.uniform(0.6, 1.5))
    side = int(rng.uniform(0.7, 1.1) * SIDE * PIXEL_NM / pixel_nm)
    turn, scale, shear = rng.uniform(0, 2 * np.pi), rng.uniform(0.95, 1.05, 2), rng.uniform(-0.02, 0.02)
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    matrix = np.linalg.inv(turned @ np.array([[scale[0], shear * scale[1]], [0.0, scale[1]]]))
    centre = (SIDE - 1) / 2 * PIXEL_NM + rng.uniform(-0.6, 0.6, 2) * SIDE * PIXEL_NM
    return corner, _Geometry(matrix, centre, side, pixel_nm, rng.normal(0, _BEND_PX, (2, 3)))


@dataclass(frozen=True, eq=False)
class _Geometry:
    """Where the reference lies: affine, then bent along its slow axis by drift."""

    matrix: Floats
    centre: Floats  # of the reference on the map, nm
    side: int
    pixel_nm: float
    bend: Floats  # (2, 3) pixels of the reference: Legendre polynomials of degree 2 to 4 of the line

    def to_reference(self, places: Floats) -> Floats:
        middle = (self.side - 1) / 2 * self.pixel_nm
        straight = (places - self.centre) @ self.matrix.T + middle
        return straight + self._bent(straight[:, 1])

    def to_map(self, places: Floats) -> Floats:
        middle = (self.side - 1) / 2 * self.pixel_nm
        straight = places
        for _ in range(6):  # the bend is small and smooth
            straight = places - self._bent(straight[:, 1])
        return (straight - middle) @ np.linalg.inv(self.matrix).T + self.centre

    def _bent(self, along_nm: Floats) -> Floats:
        line = 2 * along_nm / ((self.side - 1) * self.pixel_nm) - 1
        bend = np.pad(self.bend, ((0, 0), (2, 0))).T
        return np.polynomial.legendre.legval(np.clip(line, -1.5, 1.5), bend).T * self.pixel_nm

    def grid(self) -> Floats:
        rows, columns = np.mgrid[: self.side, : self.side]
        return self.to_map(np.column_stack([columns.ravel(), rows.ravel()]) * self.pixel_nm) / PIXEL_NM

    def overlap(self) -> float:
        """Share of the smaller map that lies on the other."""
        at = self.grid()
        inside = np.count_nonzero(((at >= 0) & (at <= SIDE - 1)).all(axis=1)) * self.pixel_nm**2
        return float(inside / min(SIDE**2 * PIXEL_NM**2, self.side**2 * self.pixel_nm**2))

    def scan(self, world: NDArray[np.float32], corner: NDArray[np.intp], tip: Tip, rng: np.random.Generator) -> Floats:
        """Heights that the AFM gives of the surface, its own errors included."""
        at = (self.grid() + corner).T[::-1]
        margin = 20
        low = np.floor(at.min(axis=1)).astype(int) - margin
        rows, columns = (
            np.arange(first * _OVERSAMPLING, (math.ceil(last) + margin) * _OVERSAMPLING) / _OVERSAMPLING
            for first, last in zip(low, at.max(axis=1), strict=True)
        )
        fine = ndimage.map_coordinates(world, np.meshgrid(rows, columns, indexing="ij"), order=3, mode="mirror")
        felt = tip.dilate(fine.astype(np.float32), PIXEL_NM / _OVERSAMPLING)
        z = ndimage.map_coordinates(felt, (at - low[:, None]) * _OVERSAMPLING, order=1).reshape(self.side, self.side)
        y, x = np.mgrid[-1 : 1 : self.side * 1j, -1 : 1 : self.side * 1j]
        bow = rng.normal(0, _BOW_NM, 3) @ np.stack([x**2, x * y, y**2]).reshape(3, -1)
        jumps = rng.normal(0, _JUMP_NM, (self.side, 1)) + np.cumsum(rng.normal(0, _JUMP_NM / 3, (self.side, 1)), axis=0)
        return z + bow.reshape(z.shape) + jumps + rng.normal(0, rng.uniform(*_NOISE_NM), z.shape)


def _structured(surface: NDArray[np.float32], geometry: _Geometry) -> bool:
    """Whether the part in common has relief in every direction: along straight grooves no place is like no other."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    at = geometry.to_reference(np.column_stack([columns.ravel(), rows.ravel()]) * PIXEL_NM)
    inside = ((at >= 0) & (at <= (geometry.side - 1) * geometry.pixel_nm)).all(axis=1).reshape(SIDE, SIDE)
    band = ndimage.gaussian_filter(surface, _BAND_PX[0]) - ndimage.gaussian_filter(surface, _BAND_PX[1])
    slopes = np.stack([slope[inside] for slope in np.gradient(band, PIXEL_NM)])
    return bool(np.linalg.eigvalsh(slopes @ slopes.T / slopes.shape[1])[0] > _RELIEF**2)


def as_reference(heights: Floats, pixel_nm: float) -> HeightMap:
    """Return heights (y, x) as a map whose z scale is known to 1 %."""
    height = heights.astype(np.float32)
    shape = height.shape
    none = np.empty((0, *shape), np.float32)
    return HeightMap(
        height_nm=height, sigma_nm=np.full(shape, np.nan, np.float32), shadow=np.zeros(shape, bool),
        valid=np.ones(shape, bool), brightness=np.ones(shape, np.float32), predicted=none, residual=none,
        gain=np.empty(0), offset=np.empty(0), z_scale_source="reference", z_scale_uncertainty=0.01,
        pixel_size_nm=pixel_nm, detector_names=(), region=Region(0, shape[0], 0, shape[1]),
    )  # fmt: skip
