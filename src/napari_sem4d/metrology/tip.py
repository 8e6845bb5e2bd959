"""The shape of a scanning tip and what it makes of a surface. Nothing is compared here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline

from napari_sem4d.model.errors import InputError, stop_if_asked

_OF_RADIUS, _MOST_FINER = 0.3, 4  # the surface under the tip is interpolated to pixels of this share of its radius
_PARTS = 3  # of half a pixel in which the touching place is looked for
_BY_CHANCE = 1e-3  # of the range of heights: what the tip is felt higher by for rounding alone
_PIXELS_AT_ONCE = 2**16  # of the map, between two questions whether to stop


@dataclass(frozen=True, slots=True)
class Tip:
    """A cone with a round end, upright.

    Attributes
    ----------
    radius_nm : float
        Of the sphere at the end.
    half_angle_deg : float
        Between the axis and the side of the cone.
    """

    radius_nm: float
    half_angle_deg: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is no tip."""
        if not (math.isfinite(self.radius_nm) and self.radius_nm > 0):
            raise InputError(f"a tip has a radius above 0 nm, got {self.radius_nm:g}")
        if not 0 < self.half_angle_deg < 90:
            raise InputError(f"the half angle of a tip lies between 0 and 90 degrees, got {self.half_angle_deg:g}")

    def __str__(self) -> str:
        """Radius and half angle."""
        return f"radius {self.radius_nm:.3g} nm, half angle {self.half_angle_deg:.3g}°"

    def height_nm(self, distance_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the side of the tip above its end at distances from the axis (any shape), nm."""
        slope = 1 / math.tan(math.radians(self.half_angle_deg))
        joint = self.radius_nm * math.cos(math.radians(self.half_angle_deg))  # where the sphere goes over into the cone
        ball = self.radius_nm - np.sqrt(self.radius_nm**2 - np.minimum(distance_nm, joint) ** 2)
        return np.asarray(ball + slope * np.maximum(distance_nm - joint, 0.0))

    def dilate(
        self,
        height_nm: NDArray[np.float32],
        pixel_size_nm: float,
        *,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """Return the surface that a scan with this tip gives: a grey dilation with the reflected tip.

        Source: Villarrubia 1997, J. Res. Natl. Inst. Stand. Technol. 102, 425, eq. 4. It touches the surface between
        pixels, too: cubic interpolation where they are wide for the tip, and a look around the touching place with
        the true shape of the tip, without which a round end lies too low, by a nanometre for pixels of half its radius.

        Parameters
        ----------
        height_nm : (y, x) float32
            NaN where nothing was measured; the tip feels nothing there, and the pixel stays NaN.
        pixel_size_nm : float
        should_stop : callable, optional

        Raises
        ------
        Cancelled
            When ``should_stop`` returned True.
        """
        measured = np.isfinite(height_nm)
        if not measured.any():
            return height_nm
        finer = min(_MOST_FINER, max(1, math.ceil(pixel_size_nm / (_OF_RADIUS * self.radius_nm))))
        steps, rises = self._reach(float(np.ptp(height_nm[measured])), pixel_size_nm / finer)
        radii, ends = _rings(steps, finer)
        half_angle = math.radians(self.half_angle_deg)
        shape = np.array([self.radius_nm, self.radius_nm * math.cos(half_angle), 1 / math.tan(half_angle)])
        shape[:2] /= pixel_size_nm / finer
        halo = radii[-1] + 1
        rows, columns = height_nm.shape
        out = np.empty_like(height_nm)
        at_once = max(1, _PIXELS_AT_ONCE // columns)
        for first in range(0, rows, at_once):
            last = min(first + at_once, rows)
            above, below = max(0, first - halo), min(rows, last + halo)
            strip = _finer(height_nm[above:below], measured[above:below], finer)
            stop_if_asked(should_stop)
            # the highest place within each radius: no pixel up to there needs a look when it cannot win
            around = ndimage.maximum_filter(strip, finer, mode="nearest")[::finer, ::finer] if finer > 1 else strip
            highest = np.stack([ndimage.maximum_filter(around, 2 * radius + 1, mode="nearest") for radius in radii])
            for row in range(first, last):
                stop_if_asked(should_stop)
                _dilate_row(
                    strip, highest[:, row - above], steps, rises, ends, (row - above) * finer, finer, shape,
                    pixel_size_nm / finer, out[row],
                )  # fmt: skip
        return np.where(measured, out, np.float32(np.nan))

    def felt(
        self,
        height_nm: NDArray[np.float32],
        pixel_size_nm: float,
        *,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """As :meth:`dilate`, NaN where the tip may have touched what lies beyond the edge of the map.

        Those are the pixels where the surface would be felt higher if it went on beyond its edge at its slope, as high
        as it is anywhere.
        """
        measured = np.isfinite(height_nm)
        if not measured.any():
            return height_nm
        low, high = float(np.nanmin(height_nm)), float(np.nanmax(height_nm))
        margin = min(math.ceil(self._reach_nm(high - low) / pixel_size_nm), min(height_nm.shape) - 1)
        wide = np.clip(np.pad(height_nm, margin, mode="reflect", reflect_type="odd"), low, high)
        rows, columns = (slice(margin, margin + n) for n in height_nm.shape)
        beyond = self.dilate(wide, pixel_size_nm, should_stop=should_stop)[rows, columns]
        inner = self.dilate(height_nm, pixel_size_nm, should_stop=should_stop)
        return np.where(beyond - inner > _BY_CHANCE * (high - low), np.float32(np.nan), inner)

    def _reach_nm(self, range_nm: float) -> float:
        """How far from its axis the tip touches a surface of a range of heights."""
        return self.radius_nm + range_nm * math.tan(math.radians(self.half_angle_deg))

    def _reach(self, range_nm: float, pixel_nm: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Steps (n, 2) in rows and columns where the tip is below the range, the nearest first; its heights."""
        most = math.ceil(self._reach_nm(range_nm) / pixel_nm)
        rows, columns = np.mgrid[-most : most + 1, -most : most + 1]
        rises = self.height_nm(np.hypot(rows, columns).ravel() * pixel_nm)
        order = np.argsort(rises, kind="stable")
        order = order[rises[order] <= range_nm]
        steps = np.column_stack([rows.ravel(), columns.ravel()])[order]
        return np.ascontiguousarray(steps, np.int64), rises[order].astype(np.float32)


def _finer(height_nm: NDArray[np.float32], measured: NDArray[np.bool_], finer: int) -> NDArray[np.float32]:
    """Interpolate to so many times more pixels, cubic; minus infinity where nothing was measured."""
    if finer > 1:
        filled = height_nm.astype(np.float64)
        if not measured.all():
            nearest = ndimage.distance_transform_edt(~measured, return_distances=False, return_indices=True)
            filled = filled[tuple(nearest)]
        for axis in (0, 1):
            at = np.arange((filled.shape[axis] - 1) * finer + 1) / finer
            filled = CubicSpline(np.arange(filled.shape[axis]), filled, axis=axis)(at) if len(filled) > 1 else filled
        height_nm = filled.astype(np.float32)
        measured = np.kron(measured, np.ones((finer, finer), np.bool_))[: height_nm.shape[0], : height_nm.shape[1]]
    return np.where(measured, height_nm, np.float32(-np.inf))


def _rings(steps: NDArray[np.int64], finer: int) -> tuple[list[int], NDArray[np.int64]]:
    """Radii in pixels of the map, each twice the one before; up to which of the steps, the nearest first, each goes."""
    distance = np.hypot(*steps.T) / finer
    radii = [1]
    while radii[-1] < distance[-1]:
        radii.append(2 * radii[-1])
    return radii, np.searchsorted(distance, radii, side="right").astype(np.int64)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dilate_row(
    surface: NDArray[np.float32], highest: NDArray[np.float32], steps: NDArray[np.int64], rises: NDArray[np.float32],
    ends: NDArray[np.int64], row: int, finer: int, shape: NDArray[np.float64], pixel_nm: float,
    out: NDArray[np.float32],
) -> None:  # fmt: skip
    rows, columns = surface.shape
    for i in range(out.shape[0]):
        column = i * finer
        best, touching = surface[row, column], 0
        start = 1
        for ring in range(len(ends)):
            if start < ends[ring] and highest[ring, i] - rises[start] > best:
                for k in range(start, ends[ring]):
                    y, x = row + steps[k, 0], column + steps[k, 1]
                    if 0 <= y < rows and 0 <= x < columns and surface[y, x] - rises[k] > best:
                        best, touching = surface[y, x] - rises[k], k
            start = ends[ring]
        out[i] = _between(surface, row, column, steps[touching], best, shape, pixel_nm)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between(
    surface: NDArray[np.float32], row: int, column: int, step: NDArray[np.int64], best: float,
    shape: NDArray[np.float64], pixel_nm: float,
) -> float:  # fmt: skip
    """Highest the end of the tip gets when it may touch between pixels, around the pixel that it touches best.

    The surface is a parabola along each axis where it is bent less than the round end; elsewhere the pixel stands.
    """
    rows, columns = surface.shape
    y, x = row + step[0], column + step[1]
    radius, joint, side = shape  # of the tip; lengths in pixels
    rise, bend = np.zeros(2), np.zeros(2)
    free = np.zeros(2, np.bool_)
    for axis in range(2):
        up, right = 1 - axis, axis
        if up <= y < rows - up and right <= x < columns - right:
            ahead, back = surface[y + up, x + right], surface[y - up, x - right]
            rise[axis], bend[axis] = 0.5 * (ahead - back), ahead + back - 2 * surface[y, x]
            free[axis] = abs(bend[axis]) < pixel_nm / radius  # false where something is missing
    most = _PARTS if free[0] else 0
    wide = _PARTS if free[1] else 0
    here = surface[y, x]
    for i in range(-most, most + 1):
        v = 0.5 * i / (_PARTS + 0.5)
        for j in range(-wide, wide + 1):
            u = 0.5 * j / (_PARTS + 0.5)
            distance = math.hypot(step[0] + v, step[1] + u)
            inner = min(distance, joint)
            tip = radius - math.sqrt(radius * radius - inner * inner) + side * max(distance - joint, 0.0)
            z = here - tip * pixel_nm
            if most > 0:
                z += rise[0] * v + 0.5 * bend[0] * v * v
            if wide > 0:
                z += rise[1] * u + 0.5 * bend[1] * u * u
            best = max(best, z)
    return best
