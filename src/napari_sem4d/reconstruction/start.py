"""A surface known beforehand, such as an AFM map, as the start of the loop. It reads no file and places no map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.region import Region

_SAME_PIXEL = 0.01  # of the pixel size: what files round
_FEWEST_PIXELS = 16
_SWEEPS = 24  # of the relaxation on each grid, which begins with what a coarser one has found


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Heights on the pixels of a scan.

    Attributes
    ----------
    height_nm : (y, x) float32
        NaN where nothing is known. Neither its mean nor its tilt counts.
    about : dict
        For the provenance: ``sha256`` of the heights as given (float32, row by row), the share of the region that
        they ``cover``, and their ``source``.
    origin : (row, column)
        Of the first pixel on the scan.
    """

    height_nm: NDArray[np.float32]
    about: dict[str, Any]
    origin: tuple[int, int] = (0, 0)

    def crop(self, place: Region) -> Start:
        """Return what lies on a place of the scan."""
        return Start(
            np.ascontiguousarray(self.height_nm[place.slices]), self.about, (place.row_start, place.column_start)
        )

    def joined(self, photometric_nm: NDArray[np.float32], around: Region, factor: float) -> NDArray[np.float32]:
        """Heights (y, x) to begin with in a rectangle of the scan.

        Where nothing is known the photometric height goes on, moved by the difference at the border of what is known,
        which fades smoothly (it is harmonic: Pérez, Gangnet and Blake 2003, ACM Trans. Graph. 22, 313). The tilt is
        that of the photometric height: a map lies in its instrument as it likes, and where gains are open the loop
        keeps the tilt with which it begins.

        Parameters
        ----------
        photometric_nm : (y, x) float32
        around : Region
            Where on the scan it lies.
        factor : float
            Heights of the surface over those of the forward model, which a slope calibration makes differ.
        """
        (top, left), (rows, columns) = self.origin, around.shape
        row, column = around.row_start - top, around.column_start - left
        known = self.height_nm[row : row + rows, column : column + columns] / np.float32(factor)
        measured = np.isfinite(known)
        if np.count_nonzero(measured) < _FEWEST_PIXELS:  # a margin may hold what the region lacks, never less
            return photometric_nm
        difference = np.where(measured, known - photometric_nm, np.float32(0.0))
        difference -= _plane(difference, measured)
        change = extended(difference, measured)
        change -= _plane(change, np.ones_like(measured))
        return np.asarray(photometric_nm + change, np.float32)


def take_start(start: HeightMap | ArrayLike, shape: tuple[int, int], region: Region, pixel_size_nm: float) -> Start:
    """Check a start and place it on the scan.

    Parameters
    ----------
    start : HeightMap or (y, x) array
        In nm, on the pixels of the scan or on those of the region; NaN where nothing is known.
    shape : (rows, columns)
        Of the scan.
    region : Region
        What is to be reconstructed.
    pixel_size_nm : float
        Of the scan.

    Raises
    ------
    InputError
        If it has other pixels than the scan, or no height in the region.
    """
    source = "array"
    if isinstance(start, HeightMap):
        source = str(start.provenance.get("source") or start.provenance.get("method") or "height map")
        if abs(start.pixel_size_nm / pixel_size_nm - 1.0) > _SAME_PIXEL:
            raise InputError(
                f"the pixels of the start are {start.pixel_size_nm:g} nm and those of the scan {pixel_size_nm:g} nm: "
                f"{_REMEDY}"
            )
        start = start.height_nm
    height = np.asarray(start, np.float32)
    if height.shape not in (shape, region.shape):
        raise InputError(
            f"the start has the shape {height.shape}, the scan {shape} and the region {region.shape}: {_REMEDY}"
        )
    digest = hashlib.sha256(np.ascontiguousarray(height).tobytes()).hexdigest()
    whole = height
    if height.shape != shape:
        whole = np.full(shape, np.nan, np.float32)
        whole[region.slices] = height
    whole = np.where(np.isfinite(whole), whole, np.float32(np.nan))
    covers = float(np.isfinite(whole[region.slices]).mean())
    if covers * region.shape[0] * region.shape[1] < _FEWEST_PIXELS:
        raise InputError(
            f"the start has no heights in rows {region.row_start}:{region.row_stop}, columns {region.column_start}:"
            f"{region.column_stop}: choose another region, or leave the start out"
        )
    return Start(whole, {"source": source, "sha256": digest, "cover": round(covers, 4)})


_REMEDY = (
    "place it on the pixels of the scan first, as reference_nm of a comparison is (compare a result with the map), "
    "or leave the start out"
)


def extended(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values (y, x) where they are ``known``, and elsewhere the smooth surface that joins them.

    The five-point mean everywhere else, without flow through the edge of the map, to some per cent: on coarser grids
    first, then relaxed on each finer one.
    """
    if known.all():
        return values
    rows, columns = values.shape
    if max(rows, columns) <= 2:
        return np.where(known, values, values[known].mean() if known.any() else np.float32(0.0))
    padded = ((0, rows % 2), (0, columns % 2))
    weight = _blocks(np.pad(known, padded).astype(np.float32))
    total = _blocks(np.pad(np.where(known, values, np.float32(0.0)), padded))
    means = np.asarray(total / np.maximum(weight, np.float32(1.0)), np.float32)
    coarse = extended(means, weight > 0)
    out = np.where(known, values, coarse.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns])
    for _ in range(_SWEEPS):
        edge = np.pad(out, 1, mode="edge")
        mean = (edge[:-2, 1:-1] + edge[2:, 1:-1] + edge[1:-1, :-2] + edge[1:-1, 2:]) * np.float32(0.25)
        out = np.where(known, values, mean)
    return np.asarray(out, np.float32)


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over blocks of 2 x 2."""
    return np.asarray(values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2], np.float32)


def _plane(values: NDArray[np.float32], use: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Least-squares plane (y, x) of the values in use."""
    rows, columns = (np.asarray(index, np.float64) for index in np.indices(values.shape))
    terms = np.stack([np.ones_like(rows), rows - rows[use].mean(), columns - columns[use].mean()])
    normal = np.einsum("ip,jp->ij", terms[:, use], terms[:, use])
    right = terms[:, use] @ values[use].astype(np.float64)
    solution = np.linalg.lstsq(normal, right, rcond=None)[0]
    return np.asarray(np.tensordot(solution, terms, axes=1), np.float32)
