"""How a large map is cut into tiles that overlap, and how much each counts where. No images, no heights.

Around its core, which no other tile holds, a tile looks at ``overlap`` pixels more. The outer half of them is there for
shadows, blur and edges only; over the inner half a tile fades into its neighbours. The weights of all tiles add up to 1
at every pixel and, for themselves, on every line between two pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.region import Region


@dataclass(frozen=True, slots=True)
class Tile:
    """One of them; all places are on the scan.

    Attributes
    ----------
    core : Region
        What belongs to no other tile.
    support : Region
        Where it counts.
    around : Region
        What it looks at.
    """

    core: Region
    support: Region
    around: Region


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles that cover a region of a scan.

    Attributes
    ----------
    region : Region
    scan : (rows, columns)
        Shape of the scan.
    core_px : (rows, columns)
        Sides of the cores; the last ones are smaller.
    overlap_px : int
        By which a tile reaches beyond its core where the scan does.
    """

    region: Region
    scan: tuple[int, int]
    core_px: tuple[int, int]
    overlap_px: int

    @classmethod
    def of(cls, region: Region, scan: tuple[int, int], most_px: int, overlap_px: int, unit_px: int = 1) -> Tiling:
        """Tiling with cores of at most about ``most_px`` a side, alike, that begin on multiples of ``unit_px``."""
        overlap = math.ceil(overlap_px / unit_px) * unit_px
        sides = (_even(side, max(most_px, 2 * overlap), unit_px) for side in region.shape)
        rows, columns = sides
        return cls(region, scan, (rows, columns), overlap)

    def tiles(self) -> list[Tile]:
        """All tiles, row by row."""
        r = self.region
        return [
            Tile(core, self._widened(core, self.overlap_px // 2, r), self._widened(core, self.overlap_px, None))
            for top in range(r.row_start, r.row_stop, self.core_px[0])
            for left in range(r.column_start, r.column_stop, self.core_px[1])
            for core in (
                Region(
                    top, min(top + self.core_px[0], r.row_stop), left, min(left + self.core_px[1], r.column_stop)
                ),
            )
        ]  # fmt: skip

    def weights(self, tile: Tile) -> tuple[Fade, Fade]:
        """How much a tile counts along the rows and along the columns of its support; the product counts."""
        s, c, r = tile.support, tile.core, self.region
        half = self.overlap_px // 2
        return (
            _fade(s.row_start, s.row_stop, c.row_start, c.row_stop, r.row_start, r.row_stop, half),
            _fade(s.column_start, s.column_stop, c.column_start, c.column_stop, r.column_start, r.column_stop, half),
        )

    def _widened(self, core: Region, by: int, within: Region | None) -> Region:
        inside = Region.full(self.scan) if within is None else within
        return Region(
            max(core.row_start - by, inside.row_start), min(core.row_stop + by, inside.row_stop),
            max(core.column_start - by, inside.column_start), min(core.column_stop + by, inside.column_stop),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fade:
    """Weights along one axis: of the pixels (n,) and of the lines between them (n - 1,)."""

    pixels: NDArray[np.float32]
    edges: NDArray[np.float32]


def _even(side: int, most: int, unit: int) -> int:
    """Length of pieces of a side that are alike, multiples of a unit and at most about ``most`` long."""
    count = max(1, math.ceil(side / most))
    return math.ceil(side / count / unit) * unit


def _fade(start: int, stop: int, core_start: int, core_stop: int, first: int, last: int, half: int) -> Fade:
    def weight(place: NDArray[np.float64]) -> NDArray[np.float32]:
        out = np.ones(place.shape)
        if core_start > first:
            out *= np.sin(0.5 * np.pi * np.clip((place - core_start + half) / (2 * half), 0.0, 1.0)) ** 2
        if core_stop < last:
            out *= np.cos(0.5 * np.pi * np.clip((place - core_stop + half) / (2 * half), 0.0, 1.0)) ** 2
        return out.astype(np.float32)

    pixels = np.arange(start, stop, dtype=np.float64)
    return Fade(weight(pixels + 0.5), weight(pixels[1:]))
