"""Does one sigma hold two thirds of the errors? Pixels, steps and volumes, pooled over noise and surfaces.

The surfaces are none that the network was trained on. Images come from the network itself, so that its heights err by
noise and prior alone, and from the Monte Carlo, against which they err by the model, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from rich.table import Table

from benchmarks.classical import without_plane
from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import reconstruct, simulate
from napari_sem4d.metrology.figures import step_height, volume
from napari_sem4d.metrology.levelling import level_on
from napari_sem4d.model import HeightMap
from napari_sem4d.reconstruction.reconstruct import METHODS

Masks = NDArray[np.bool_]

_SIDE, _PIXEL_NM = 64, 40.0
_PLACES = 12  # steps and volumes read on each map
_RADIUS_PX = 4.0
_LEVEL = np.zeros((_SIDE, _SIDE), np.bool_)
_LEVEL[4:28, 36:60] = True
_MAPS = ("pixels", "levelled")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the images come from.

    Attributes
    ----------
    engine : {"vift", "montecarlo"}
    electrons_per_pixel : int
    realisations : int
        Of each surface.
    scale_sigma : float
        Of the z scale: geometry, gain and black level are known here, so only the emission model's is left.
    """

    engine: Literal["vift", "montecarlo"]
    electrons_per_pixel: int
    realisations: int
    scale_sigma: float


SOURCES = (Source("vift", 2000, 6, 0.0), Source("montecarlo", 500, 12, 0.03))


@dataclass(slots=True)
class Errors:
    """Errors in units of the stated sigma, of one method."""

    pixels: list[NDArray[np.float64]] = field(default_factory=list)
    levelled: list[NDArray[np.float64]] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    volumes: list[float] = field(default_factory=list)

    def add(self, result: HeightMap, truth: NDArray[np.float32], seed: int) -> None:
        """Compare a map with the truth, pixel by pixel and at some places."""
        rest = without_plane(result.height_nm) - without_plane(truth)
        self.pixels.append((rest / result.sigma_nm).astype(np.float64))
        true = replace(result, height_nm=truth, samples=None)
        level = level_on(result, _LEVEL)
        rest = level.height_nm - level_on(true, _LEVEL).height_nm
        self.levelled.append((rest / level.sigma_nm).astype(np.float64))
        for a, b, around in _places(seed):
            (value, sigma), (wanted, _) = result.difference(a, b), true.difference(a, b)
            self.differences.append((value - wanted) / sigma)
            step, true_step = step_height(result, a, b), step_height(true, a, b)
            self.steps.append((step.value - true_step.value) / step.sigma)
            heap, true_heap = volume(result, a, around), volume(true, a, around)
            self.volumes.append((heap.value - true_heap.value) / heap.sigma)


def coverage_tables() -> Iterator[Table]:
    """One table for each source of images."""
    for source in SOURCES:
        yield coverage_table(source)


def coverage_table(source: Source) -> Table:
    """Coverage of one sigma for every method, pooled, and the root mean square of error over sigma."""
    scenes = surfaces()
    count = source.realisations * len(scenes)
    table = Table(
        title=f"Errors within one sigma, %, and their root mean square in sigma\n"
        f"{count} noise realisations, {len(scenes)} surfaces of {_SIDE} x {_SIDE} pixels\n"
        f"images by {source.engine} at {source.electrons_per_pixel} electrons a pixel; target 63 to 73 %"
    )
    for heading in ("method", "surface", "pixels", "pixels,\nlevelled on\nan area", "difference\nof two areas",
                    "step,\ncommon tilt", "volume"):  # fmt: skip
        table.add_column(heading, no_wrap=True)
    errors = _collect(source, scenes)
    for method in METHODS:
        for name in scenes:
            table.add_row(method, name, *_figures([errors[method, name]]))
        table.add_row(method, "pooled", *_figures([errors[method, name] for name in scenes]), end_section=True)
    return table


def surfaces() -> dict[str, NDArray[np.float32]]:
    """Random relief, facets, round bumps and a terrace, (y, x) nm."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE].astype(np.float64)
    facets, bumps = np.zeros((2, _SIDE, _SIDE))
    for row, column, half, turn in ((18, 20, 13, 0.3), (40, 44, 15, 0.9), (50, 14, 9, 0.1)):
        u = (columns - column) * np.cos(turn) + (rows - row) * np.sin(turn)
        v = (rows - row) * np.cos(turn) - (columns - column) * np.sin(turn)
        facets = np.maximum(facets, 0.5 * _PIXEL_NM * np.clip(half - np.maximum(np.abs(u), np.abs(v)), 0, 7))
    for row, column, width, height in ((20, 22, 7, 260), (44, 40, 9, 320), (46, 12, 5, 150)):
        bumps += height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))
    terrace = 120.0 / (1 + np.exp(-(columns + 0.3 * rows - 40) / 1.5))
    rough = rough_surface((_SIDE, _SIDE), _PIXEL_NM)
    found = {"rough": rough, "facets": facets, "bumps": bumps, "terrace": terrace}
    return {name: np.asarray(height, np.float32) for name, height in found.items()}


def _collect(source: Source, scenes: dict[str, NDArray[np.float32]]) -> dict[tuple[str, str], Errors]:
    setup = quadrants()
    errors = {(method, name): Errors() for method in METHODS for name in scenes}
    with Progress(transient=True) as progress:
        task = progress.add_task(f"Images by {source.engine}", total=source.realisations * len(scenes))
        for seed in range(source.realisations):
            for name, truth in scenes.items():
                images = simulate(truth, setup, _PIXEL_NM, source.engine, source.electrons_per_pixel, seed)
                for method in METHODS:
                    result = reconstruct(images, setup, _PIXEL_NM, method, seed=seed)  # type: ignore[arg-type]
                    errors[method, name].add(replace(result, z_scale_uncertainty=source.scale_sigma), truth, seed)
                progress.advance(task)
    return errors


def _places(seed: int) -> Iterator[tuple[Masks, Masks, Masks]]:
    """Two areas some pixels apart, and a ring around the first, at random places."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    margin = 2.5 * _RADIUS_PX
    for _ in range(_PLACES):
        row, column = rng.uniform(margin, _SIDE - 1 - margin, 2)
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(2.5, 5.0) * _RADIUS_PX
        other = np.clip((row + reach * np.sin(angle), column + reach * np.cos(angle)), 3, _SIDE - 4)
        distance = np.hypot(rows - row, columns - column)
        b = np.hypot(rows - other[0], columns - other[1]) <= _RADIUS_PX
        a = distance <= _RADIUS_PX
        if not (a & b).any():
            yield a, b, (distance > 1.5 * _RADIUS_PX) & (distance <= 2.3 * _RADIUS_PX)


def _figures(parts: list[Errors]) -> list[str]:
    pooled: list[Any] = [
        *(np.concatenate([np.ravel(e) for part in parts for e in getattr(part, name)]) for name in _MAPS),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("differences", "steps", "volumes")),
    ]
    return [f"{100 * np.mean(np.abs(e) < 1):.0f} ({np.sqrt(np.mean(e**2)):.2f})" for e in pooled]
