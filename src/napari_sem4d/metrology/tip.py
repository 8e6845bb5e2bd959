"""The shape of a scanning tip and what it makes of a surface. Nothing is compared here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError, stop_if_asked

_ROWS_AT_ONCE = 32  # between two questions whether to stop: below 0.2 s at 4096 columns


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

        Source: Villarrubia 1997, J. Res. Natl. Inst. Stand. Technol. 102, 425, eq. 4. The end of the tip meets the
        surface at the centres of pixels only, so a tip much sharper than a pixel changes nothing.

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
        surface = np.where(measured, height_nm, -np.inf).astype(np.float32)
        steps, rises = self._reach(float(np.ptp(height_nm[measured])), pixel_size_nm)
        # the highest place that the tip could touch: no farther pixel needs a look once it cannot win any more
        size = 2 * int(np.abs(steps).max(initial=0)) + 1
        out = np.empty_like(surface)
        for first in range(0, len(surface), _ROWS_AT_ONCE):
            stop_if_asked(should_stop)
            last = min(first + _ROWS_AT_ONCE, len(surface))
            above, below = max(0, first - size // 2), min(len(surface), last + size // 2)
            strip = surface[above:below]
            highest = ndimage.maximum_filter(strip, size, mode="nearest")[first - above : last - above]
            _dilate_rows(strip, highest, steps, rises, first - above, out[first:last])
        return np.where(measured, out, np.float32(np.nan))

    def _reach(self, range_nm: float, pixel_nm: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Steps (n, 2) in rows and columns at which the tip is no higher than the range; its heights, lowest first."""
        slope = 1 / math.tan(math.radians(self.half_angle_deg))
        most = math.ceil((self.radius_nm + range_nm / slope) / pixel_nm)
        rows, columns = np.mgrid[-most : most + 1, -most : most + 1]
        rises = self.height_nm(np.hypot(rows, columns).ravel() * pixel_nm)
        order = np.argsort(rises, kind="stable")
        order = order[rises[order] <= range_nm]
        steps = np.column_stack([rows.ravel(), columns.ravel()])[order]
        return np.ascontiguousarray(steps, np.int64), rises[order].astype(np.float32)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dilate_rows(
    surface: NDArray[np.float32], highest: NDArray[np.float32], steps: NDArray[np.int64],
    rises: NDArray[np.float32], first: int, out: NDArray[np.float32],
) -> None:  # fmt: skip
    rows, columns = surface.shape
    for i in range(out.shape[0]):
        for column in range(columns):
            row = first + i
            best = surface[row, column]
            top = highest[i, column]
            for k in range(1, len(steps)):
                if top - rises[k] <= best:
                    break
                y, x = row + steps[k, 0], column + steps[k, 1]
                if 0 <= y < rows and 0 <= x < columns:
                    felt = surface[y, x] - rises[k]
                    if felt > best:
                        best = felt
            out[i, column] = best
