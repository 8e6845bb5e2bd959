"""Registration of height maps with a reference of the same place and of another: error, stated error, trust."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import ndimage

from napari_sem4d.registration.heights import HeightRegistration, register_heights
from napari_sem4d.registration.plane_transform import PlaneTransform

_PIXEL_NM, _SIDE, _WORLD_SIDE = 20.0, 256, 700
_PAIRS = 10  # of each kind
_Z_GAIN = 0.93


@dataclass(frozen=True)
class _Pair:
    height: NDArray[np.float32]
    reference: NDArray[np.float32]
    pixel_nm: float  # of the reference
    truth: PlaneTransform

    def error_px(self, found: PlaneTransform) -> float:
        """Root mean square error of a place over the overlap, pixels of the reference."""
        rows, columns = np.mgrid[:_SIDE:4, :_SIDE:4]
        places = np.column_stack([columns.ravel(), rows.ravel()]) * _PIXEL_NM
        true = self.truth(places)
        inside = ((true >= 0) & (true <= (self.reference.shape[0] - 1) * self.pixel_nm)).all(axis=1)
        return float(np.sqrt(((found(places) - true)[inside] ** 2).sum(axis=1).mean())) / self.pixel_nm


def heights_table() -> Table:
    """Place of a map on references of any turn, 5 % scale error and 40 to 100 % overlap, on two kinds of surfaces."""
    table = Table(title="height maps registered with a reference (AFM), 256 x 256 pixels; search over all turns")
    headings = (
        "surface", "reference of", "trusted", "error, median / worst, pixels", "turn, worst, degrees",
        "error / stated, rms", "z-gain within 1 sigma", "evidence", "rival", "CPU s",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading)
    for name, surface in (("rough", _rough), ("faceted", _faceted)):
        for same in (True, False):
            table.add_row(name, *_row(surface, same))
    return table


def _row(surface: Callable[[int], NDArray[np.float64]], same: bool) -> list[str]:
    pairs = []
    for seed in range(_PAIRS):
        world = surface(seed)
        pairs.append(_pair(world, world if same else surface(seed + 1000), seed))
    spent = time.process_time()
    found = [register_heights(pair.height, _PIXEL_NM, pair.reference, pair.pixel_nm) for pair in pairs]
    spent = (time.process_time() - spent) / _PAIRS
    trusted = f"{sum(f.trusted for f in found)} of {_PAIRS}"
    evidence, rivals = [f.evidence for f in found], [f.rival for f in found]
    chance = [f"{min(evidence):.0f} to {max(evidence):.0f}", f"{min(rivals):.2f} to {max(rivals):.2f}", f"{spent:.1f}"]
    if not same:
        return ["another place", trusted, "-", "-", "-", "-", *chance]
    return ["the same place", trusted, *_errors(pairs, found), *chance]


def _errors(pairs: list[_Pair], found: list[HeightRegistration]) -> list[str]:
    error = np.array([p.error_px(f.transform) for p, f in zip(pairs, found, strict=True)])
    stated = np.array([f.position_sigma_nm / p.pixel_nm for p, f in zip(pairs, found, strict=True)])
    turns = [f.transform.rotation_deg - p.truth.rotation_deg for p, f in zip(pairs, found, strict=True)]
    turn = max(abs((turn + 180) % 360 - 180) for turn in turns)
    inside = sum(abs(f.z_gain - _Z_GAIN) <= f.z_gain_sigma for f in found)
    return [
        f"{np.median(error):.2f} / {error.max():.2f}",
        f"{turn:.3f}",
        f"{np.sqrt(np.mean((error / stated) ** 2)):.2f}",
        f"{inside} of {len(found)}",
    ]


def _rough(seed: int) -> NDArray[np.float64]:
    """Random surface of 60 nm with features of all sizes from 10 pixels up."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((_WORLD_SIDE, _WORLD_SIDE)))
    k = np.hypot(np.fft.fftfreq(_WORLD_SIDE)[:, None], np.fft.rfftfreq(_WORLD_SIDE)[None, :])
    surface = np.fft.irfft2(spectrum * np.exp(-((k * 10) ** 2)) / (1 + (k * 60) ** 2), s=(_WORLD_SIDE, _WORLD_SIDE))
    return surface * (60 / surface.std())


def _faceted(seed: int) -> NDArray[np.float64]:
    """Square pyramids of all turns that grow through each other."""
    rng = np.random.default_rng(seed)
    surface = np.full((_WORLD_SIDE, _WORLD_SIDE), -np.inf)
    y, x = np.mgrid[:_WORLD_SIDE, :_WORLD_SIDE]
    for row, column, turn in rng.uniform(0, (_WORLD_SIDE, _WORLD_SIDE, np.pi / 2), (300, 3)):
        u = (x - column) * np.cos(turn) + (y - row) * np.sin(turn)
        v = (y - row) * np.cos(turn) - (x - column) * np.sin(turn)
        surface = np.maximum(surface, rng.normal(0, 60) - 6 * np.maximum(np.abs(u), np.abs(v)))
    return surface


def _pair(world: NDArray[np.float64], other: NDArray[np.float64], seed: int) -> _Pair:
    """A map of the middle of ``world`` and a reference made from ``other``, each with its instrument's errors."""
    rng = np.random.default_rng(2000 + seed)
    pixel_nm = float(_PIXEL_NM * rng.choice([0.7, 1.0, 1.7]))
    side = int(rng.uniform(0.6, 1.0) * _SIDE * _PIXEL_NM / pixel_nm)
    turn, scale, shear = rng.uniform(0, 2 * np.pi), rng.uniform(0.95, 1.05, 2), rng.uniform(-0.03, 0.03)
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    matrix = np.linalg.inv(turned @ np.array([[scale[0], shear * scale[1]], [0.0, scale[1]]]))
    length = side * pixel_nm
    aside = (_SIDE * _PIXEL_NM - length) / 2 + rng.uniform(0.0, 0.6) * length
    centre = np.full(2, _SIDE / 2 * _PIXEL_NM) + aside * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])[seed % 4]
    truth = PlaneTransform(matrix, side / 2 * pixel_nm - matrix @ centre)
    first = (_WORLD_SIDE - _SIDE) // 2
    rows, columns = np.mgrid[:side, :side]
    at = truth.inverse()(np.column_stack([columns.ravel(), rows.ravel()]) * pixel_nm) / _PIXEL_NM + first
    reference = ndimage.map_coordinates(other, at.T[::-1], order=3, mode="reflect").reshape(side, side) / _Z_GAIN
    # noise and what line levelling leaves of the drift; noise, tilt and long waves of the reconstruction
    reference += rng.normal(0, 0.5, reference.shape) + np.cumsum(rng.normal(0, 0.05, (side, 1)), axis=0)
    height = world[first : first + _SIDE, first : first + _SIDE] + 0.1 * np.arange(_SIDE)
    waves = ndimage.gaussian_filter(rng.standard_normal(height.shape), 12)
    height = height + rng.normal(0, 3, height.shape) + waves / waves.std()
    return _Pair(height.astype(np.float32), reference.astype(np.float32), pixel_nm, truth)
