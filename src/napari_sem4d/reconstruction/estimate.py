"""What goes into a method and what comes out of it, the same for all methods. No numerics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.height import Reason
from napari_sem4d.model.region import Region
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import Reflectance
from napari_sem4d.reconstruction.gains import Channels
from napari_sem4d.reconstruction.neighbour import Neighbour


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A rectangle of a scan, ready for a method.

    Attributes
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    field : Field
        Places of the pixels in the whole scan.
    setup : Setup
    table : Reflectance
        That of the setup over the whole scan.
    channels : Channels
        Gains, black levels and noise, from the whole scan.
    pixel_size_nm : float
    saturation : (low, high) or None
        Grey levels at and beyond which a pixel is clipped.
    origin : (row, column)
        Of its first pixel on the scan.
    """

    images: NDArray[np.float32]
    field: Field
    setup: Setup
    table: Reflectance
    channels: Channels
    pixel_size_nm: float
    saturation: tuple[float, float] | None
    origin: tuple[int, int] = (0, 0)

    @property
    def place(self) -> Region:
        """Where on the scan it lies."""
        (row, column), (rows, columns) = self.origin, self.shape
        return Region(row, row + rows, column, column + columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.images.shape[1], self.images.shape[2]

    def crop(self, region: Region) -> Part:
        """Return a rectangle of this part."""
        return Part(
            self.images[:, *region.slices], self.field.crop(region), self.setup, self.table, self.channels,
            self.pixel_size_nm, self.saturation,
            (self.origin[0] + region.row_start, self.origin[1] + region.column_start),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Whole:
    """What a tile has to know of the map that it is a tile of.

    Attributes
    ----------
    shape : (rows, columns)
        Of the map, whose plane is free.
    shortfall : float or None
        By how much the variances of its slopes fall short of their noise, see :mod:`.validity`; None where nothing
        depends on it.
    """

    shape: tuple[int, int]
    shortfall: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """The answer of a method.

    Attributes
    ----------
    height_nm, sigma_nm : (y, x) float32
    samples : (n, y, x) float32 or None
    reason : (y, x) uint8
        Flags of :class:`napari_sem4d.model.Reason`.
    shadow : (y, x) bool
    brightness : (y, x) float32
        Relative to the emission model.
    signals : (detector, y, x) float32
        Predicted, fractions of the beam, brightness included.
    gain : (detector,) float64
    remarks : tuple of str
        For the user.
    details : dict
        For the provenance, JSON types.
    neighbour : Neighbour or None
        What the next scan of a series can go on from.
    """

    height_nm: NDArray[np.float32]
    sigma_nm: NDArray[np.float32]
    samples: NDArray[np.float32] | None
    reason: NDArray[np.uint8]
    shadow: NDArray[np.bool_]
    brightness: NDArray[np.float32]
    signals: NDArray[np.float32]
    gain: NDArray[np.float64]
    remarks: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)
    neighbour: Neighbour | None = None

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All that grows with the map."""
        each = (self.height_nm, self.sigma_nm, self.reason, self.shadow, self.brightness, self.signals)
        return each if self.samples is None else (*each, self.samples)

    def crop(self, region: Region) -> Estimate:
        """Return a rectangle of this estimate, its mean height 0."""
        rows, columns = region.slices
        height = self.height_nm[rows, columns]
        mean = np.float32(height.mean(dtype=np.float64))
        return Estimate(
            height_nm=height - mean,
            sigma_nm=self.sigma_nm[rows, columns],
            samples=None if self.samples is None else self.samples[:, rows, columns] - mean,
            reason=self.reason[rows, columns],
            shadow=self.shadow[rows, columns],
            brightness=self.brightness[rows, columns],
            signals=self.signals[:, rows, columns],
            gain=self.gain,
            remarks=self.remarks,
            details=self.details,
            neighbour=self.neighbour,
        )

    def only(self, selected: NDArray[np.bool_]) -> Estimate:
        """Return this estimate without a height outside of ``selected`` (y, x), its mean height 0."""
        mean = np.float32(self.height_nm[selected].mean(dtype=np.float64))
        nothing = np.float32(np.nan)
        return replace(
            self,
            height_nm=np.where(selected, self.height_nm - mean, nothing),
            sigma_nm=np.where(selected, self.sigma_nm, nothing),
            samples=None if self.samples is None else np.where(selected, self.samples - mean, nothing),
            reason=np.where(selected, self.reason, np.uint8(Reason.OUTSIDE)),
            shadow=self.shadow & selected,
        )


_LOOKED_AT = 4e6  # pixels that tell a median as well as all


def thin(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Index of pixels, evenly spread over a map (..., y, x), that are looked at in place of all of a large one."""
    step = max(1, round(math.sqrt(shape[-2] * shape[-1] / _LOOKED_AT)))
    return slice(None, None, step), slice(None, None, step)


def median_of(values: NDArray[np.float32]) -> float:
    """Median of a map (y, x)."""
    return float(np.median(values[thin(values.shape)]))
